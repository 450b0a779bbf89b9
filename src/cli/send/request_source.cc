#include "cli/send/request_source.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/hash.h"
#include "base/status.h"

namespace signalbox::cli {
namespace {

// A row of a streaming service's page, and the flights of one search.
constexpr size_t kTitlesPerRequest = 25;
constexpr size_t kFlightsPerRequestMax = 5;

constexpr std::array kCountries = {"US", "BR", "DE", "IN", "JP", "FR", "GB", "MX"};
constexpr std::array kLocales = {"en-US", "pt-BR", "de-DE", "en-IN", "ja-JP", "fr-FR", "en-GB", "es-MX"};
constexpr std::array kDevices = {"tv", "phone", "web", "tablet"};
// One profile in so many is a child's.
constexpr uint64_t kKidsProfileOneIn = 12;

// Everything but the surface comes from the user's number, as a person keeps country and television.
std::string Context(const std::string& user, Domain domain) {
  const uint64_t hash = StableHash64(user);
  const size_t country = hash % kCountries.size();
  const bool kids = domain == Domain::kFilms && (hash >> 32) % kKidsProfileOneIn == 0;
  return fmt::format("country={}, locale={}, device={}, surface={}", kCountries[country], kLocales[country],
                     kDevices[(hash >> 16) % kDevices.size()],
                     domain == Domain::kFlights ? "search"
                     : kids                     ? "kids"
                                                : "home");
}

inference::InferTensorContents* AddInput(inference::ModelInferRequest& body, const char* name, const char* datatype,
                                         size_t rows) {
  auto* input = body.add_inputs();
  input->set_name(name);
  input->set_datatype(datatype);
  input->add_shape(static_cast<int64_t>(rows));
  return input->mutable_contents();
}

}  // namespace

absl::StatusOr<ObjectiveTraffic> ParseObjectiveTraffic(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view domain = equals == std::string_view::npos ? "" : text.substr(equals + 1);
  if (equals == 0 || (domain != "films" && domain != "flights")) {
    return absl::InvalidArgumentError(fmt::format(
        "--objective {}: expected NAME=films or NAME=flights, such as ContinueWatchingRanking=films", text));
  }
  return ObjectiveTraffic{.objective = std::string(text.substr(0, equals)),
                          .domain = domain == "films" ? Domain::kFilms : Domain::kFlights};
}

std::vector<ObjectiveTraffic> DemoObjectives() {
  return {{.objective = "TitleRanking", .domain = Domain::kFilms},
          {.objective = "HomePageRanking", .domain = Domain::kFilms},
          {.objective = "ArrivalDelay", .domain = Domain::kFlights}};
}

absl::StatusOr<RequestSource> RequestSource::Load(SourceOptions options) {
  if (options.objectives.empty()) return absl::InvalidArgumentError("no Objective to send requests to");
  if (options.users == 0) return absl::InvalidArgumentError("0 users, expected at least 1");
  ASSIGN_OR_RETURN(host::Films films, host::LoadFilms(options.data_folder));
  ASSIGN_OR_RETURN(host::Flights flights, host::LoadFlights(options.data_folder));
  return RequestSource(std::move(options), std::move(films), std::move(flights));
}

TrafficRequest RequestSource::Next() {
  TrafficRequest request{.objective = static_cast<size_t>(count_++ % options_.objectives.size()),
                         .user = fmt::format("user-{}", random_() % options_.users),
                         .context = {},
                         .body = {}};
  const ObjectiveTraffic& traffic = options_.objectives[request.objective];
  request.context = Context(request.user, traffic.domain);
  request.body.set_model_name(traffic.objective);
  traffic.domain == Domain::kFilms ? AddFilms(request) : AddFlights(request);
  return request;
}

void RequestSource::AddFilms(TrafficRequest& request) {
  request.rows = kTitlesPerRequest;
  auto* titles = AddInput(request.body, "title", "BYTES", request.rows);
  for (size_t i = 0; i < request.rows; ++i)
    titles->add_bytes_contents(films_.films[Draw(films_.films.size())].film.title());
}

void RequestSource::AddFlights(TrafficRequest& request) {
  request.rows = 1 + Draw(kFlightsPerRequestMax);
  auto* origin = AddInput(request.body, "origin", "BYTES", request.rows);
  auto* destination = AddInput(request.body, "destination", "BYTES", request.rows);
  auto* departure = AddInput(request.body, "departure", "BYTES", request.rows);
  auto* distance = AddInput(request.body, "distance", "FP32", request.rows);
  for (size_t i = 0; i < request.rows; ++i) {
    const host::Flight& flight = flights_.flights[Draw(flights_.flights.size())];
    origin->add_bytes_contents(flight.origin);
    destination->add_bytes_contents(flight.destination);
    departure->add_bytes_contents(flight.departure_text);
    distance->add_fp32_contents(flight.distance_miles);
  }
}

}  // namespace signalbox::cli
