#include <fmt/format.h>

#include "base/status.h"
#include "host/flight_features.h"
#include "host/out_of_fold.h"
#include "host/quality.h"
#include "host/train.h"
#include "host/version_folder.h"

namespace signalbox::host {
namespace {

constexpr char kName[] = "arrival-delay";
constexpr double kSmoothing = 40;
// What the aviation statistics that the data comes from call late.
constexpr int32_t kLateMinutes = 15;
constexpr size_t kFlightsMin = 500;

struct Recipe {
  int version;
  std::string description;
  std::vector<std::string> features;
  std::map<std::string, std::string> parameters;
  int rounds;
};

std::vector<Recipe> Recipes() {
  return {
      {.version = 1,
       .description = "Knows the distance and the day of the week",
       .features = {"distance", "weekday"},
       .parameters = {{"objective", "binary:logistic"}, {"max_depth", "2"}, {"eta", "0.3"}},
       .rounds = 10},
      {.version = 2,
       .description = "Adds the time of day, both airports, the route, and how the airports' delays grow over the day",
       .features = {"distance", "weekday", "minute_of_day", "origin", "destination", "route", "origin_part_of_day",
                    "destination_part_of_day"},
       .parameters = {{"objective", "binary:logistic"},
                      {"max_depth", "3"},
                      {"eta", "0.08"},
                      {"min_child_weight", "20"},
                      {"subsample", "0.8"}},
       .rounds = 120},
  };
}

struct Split {
  std::vector<FlightInput> inputs;  // in order of departure; the rows below point here
  LabelledRows<FlightInput> training;
  LabelledRows<FlightInput> held_out;
};

Split SplitFlights(const Flights& flights) {
  Split split;
  split.inputs.reserve(flights.flights.size());
  for (const Flight& flight : flights.flights) {
    split.inputs.push_back({.departure = flight.departure,
                            .origin = flight.origin,
                            .destination = flight.destination,
                            .distance_miles = flight.distance_miles});
  }
  const int32_t first_day = flights.flights.front().departure.day;
  const int32_t days = flights.flights.back().departure.day - first_day + 1;
  const int32_t held_out_from = first_day + days * 4 / 5;
  for (size_t i = 0; i < split.inputs.size(); ++i) {
    const bool held_out = split.inputs[i].departure.day >= held_out_from;
    const float late = flights.flights[i].delay_minutes >= kLateMinutes ? 1.0f : 0.0f;
    (held_out ? split.held_out : split.training).Add(split.inputs[i], late);
  }
  return split;
}

inference::ModelInferRequest SampleRequest(const Flight& flight) {
  inference::ModelInferRequest request;
  auto add = [&](const char* name, const char* datatype) {
    auto* input = request.add_inputs();
    input->set_name(name);
    input->set_datatype(datatype);
    input->add_shape(1);
    return input->mutable_contents();
  };
  add("origin", "BYTES")->add_bytes_contents(flight.origin);
  add("destination", "BYTES")->add_bytes_contents(flight.destination);
  add("departure", "BYTES")->add_bytes_contents(flight.departure_text);
  add("distance", "FP32")->add_fp32_contents(flight.distance_miles);
  return request;
}

absl::StatusOr<TrainedVersion> TrainVersion(const Recipe& recipe, const Split& split, const Flights& flights,
                                            const std::string& repository, uint64_t seed) {
  const auto definitions = FlightFeatureDefinitions();
  VersionFolder folder;
  v1::Workflow& workflow = folder.workflow;
  workflow.set_kind(v1::Workflow::ARRIVAL_DELAY);
  workflow.set_description(recipe.description);
  for (const std::string& feature : recipe.features) workflow.add_features(feature);

  TrainingSet set;
  ASSIGN_OR_RETURN(set.features, OutOfFoldFeatures<FlightInput>(definitions, workflow, split.training, kSmoothing));
  set.labels = split.training.labels;
  std::map<std::string, std::string> parameters = recipe.parameters;
  parameters["seed"] = std::to_string(seed);
  ASSIGN_OR_RETURN(Booster booster, Booster::Train(set, parameters, recipe.rounds));

  FitEncodings<FlightInput>(definitions, split.training, kSmoothing, workflow);
  ASSIGN_OR_RETURN(Matrix held_out, ComputeFeatures<FlightInput>(definitions, workflow, split.held_out.rows));
  std::vector<float> probabilities;
  RETURN_IF_ERROR(booster.Predict(held_out, probabilities));
  auto& metrics = *workflow.mutable_held_out_metrics();
  metrics["auc"] = AreaUnderCurve(probabilities, split.held_out.labels);
  metrics["log_loss"] = LogLoss(probabilities, split.held_out.labels);

  *workflow.mutable_sample_request() = SampleRequest(flights.flights.back());
  v1::Training& training = *workflow.mutable_training();
  training.mutable_parameters()->insert(parameters.begin(), parameters.end());
  training.set_rounds(recipe.rounds);
  training.set_rows(static_cast<int64_t>(split.training.rows.size()));
  training.set_held_out_rows(static_cast<int64_t>(split.held_out.rows.size()));
  training.set_data_sha256(flights.data_sha256);
  training.set_seed(seed);
  ASSIGN_OR_RETURN(folder.files[kModelFile], booster.Serialize());

  TrainedVersion trained{.model = kName,
                         .version = recipe.version,
                         .description = recipe.description,
                         .features = workflow.features_size(),
                         .rows = training.rows(),
                         .held_out_rows = training.held_out_rows(),
                         .held_out_metrics = {metrics.begin(), metrics.end()}};
  RETURN_IF_ERROR(WriteVersionFolder(fmt::format("{}/{}/{}", repository, kName, recipe.version), std::move(folder)));
  return trained;
}

}  // namespace

absl::StatusOr<std::vector<TrainedVersion>> TrainArrivalDelay(const Flights& flights, const std::string& repository,
                                                              uint64_t seed) {
  if (flights.flights.size() < kFlightsMin) {
    return absl::InvalidArgumentError(
        fmt::format("{} flights, training needs at least {}", flights.flights.size(), kFlightsMin));
  }
  const Split split = SplitFlights(flights);
  if (split.training.rows.empty() || split.held_out.rows.empty()) {
    return absl::InvalidArgumentError(
        "the flights are all of one day: expected at least two, to train on some and hold out others");
  }
  std::vector<TrainedVersion> versions;
  for (const Recipe& recipe : Recipes()) {
    ASSIGN_OR_RETURN(TrainedVersion version, TrainVersion(recipe, split, flights, repository, seed));
    versions.push_back(std::move(version));
  }
  return versions;
}

}  // namespace signalbox::host
