#include <fmt/format.h>

#include "base/status.h"
#include "host/booster.h"
#include "host/flight_features.h"
#include "host/model.h"

namespace signalbox::host {
namespace {

enum Input : size_t { kOrigin, kDestination, kDeparture, kDistance };
constexpr TensorSpec kInputs[] = {{.name = "origin", .datatype = "BYTES"},
                                  {.name = "destination", .datatype = "BYTES"},
                                  {.name = "departure", .datatype = "BYTES"},
                                  {.name = "distance", .datatype = "FP32", .optional = true}};
constexpr TensorSpec kOutputs[] = {{.name = "probability", .datatype = "FP32"}};

// IATA has three letters, ICAO four.
constexpr size_t kAirportBytesMax = 8;

absl::Status CheckAirport(std::string_view input, size_t row, std::string_view code) {
  if (!code.empty() && code.size() <= kAirportBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("input \"{}\": element {} is \"{}\", expected an airport code such as JFK", input, row,
                  code.substr(0, kAirportBytesMax)));
}

absl::StatusOr<FlightInput> ReadFlight(const Inputs& inputs, size_t row) {
  const std::string_view origin = inputs.Bytes(kOrigin)[row], destination = inputs.Bytes(kDestination)[row];
  RETURN_IF_ERROR(CheckAirport("origin", row, origin));
  RETURN_IF_ERROR(CheckAirport("destination", row, destination));
  const std::string_view text = inputs.Bytes(kDeparture)[row];
  std::optional<Departure> departure = ParseDeparture(text);
  if (!departure) {
    return absl::InvalidArgumentError(
        fmt::format("input \"departure\": element {} is \"{}\", expected local time such as 2001-03-31T22:27", row,
                    text.substr(0, 40)));
  }
  FlightInput flight{.departure = *departure, .origin = std::string(origin), .destination = std::string(destination)};
  if (!inputs.Floats(kDistance).empty()) {
    const float miles = inputs.Floats(kDistance)[row];
    // Half of the way around the earth is 12,450 miles. NaN is an honest "not known".
    if (miles <= 0 || miles > 12'450) {
      return absl::InvalidArgumentError(fmt::format(
          "input \"distance\": element {} is {}, expected miles, more than 0 and at most 12450", row, miles));
    }
    flight.distance_miles = miles;
  }
  return flight;
}

class ArrivalDelay : public Model {
 public:
  ArrivalDelay(v1::Workflow workflow, Features<FlightInput> features, Booster booster)
      : Model(std::move(workflow)), features_(std::move(features)), booster_(std::move(booster)) {}

  std::span<const TensorSpec> inputs() const override { return kInputs; }
  std::span<const TensorSpec> outputs() const override { return kOutputs; }

  absl::Status Infer(const inference::ModelInferRequest& request, const RequestMetadata& /*metadata*/,
                     inference::ModelInferResponse& response) const override {
    RETURN_IF_ERROR(Outputs::CheckRequested(request, kOutputs));
    ASSIGN_OR_RETURN(Inputs inputs, Inputs::Read(request, kInputs));
    Matrix matrix{.columns = features_.count(), .values = {}};
    for (size_t row = 0; row < inputs.rows(); ++row) {
      ASSIGN_OR_RETURN(FlightInput flight, ReadFlight(inputs, row));
      features_.Compute(flight, matrix.AddRow());
    }
    std::vector<float> probabilities;
    RETURN_IF_ERROR(booster_.Predict(matrix, probabilities));
    Outputs(request, response).Add(kOutputs[0], probabilities);
    return absl::OkStatus();
  }

 private:
  Features<FlightInput> features_;
  Booster booster_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Model>> MakeArrivalDelay(VersionFolder folder) {
  ASSIGN_OR_RETURN(auto features, Features<FlightInput>::Compile(FlightFeatureDefinitions(), folder.workflow));
  ASSIGN_OR_RETURN(Booster booster, Booster::Parse(folder.files[kModelFile], features.count()));
  return std::make_unique<ArrivalDelay>(std::move(folder.workflow), std::move(features), std::move(booster));
}

}  // namespace signalbox::host
