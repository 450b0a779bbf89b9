// Requests as applications would send them, made from real films and flights.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "host/films.h"
#include "host/flights.h"
#include "inference/open_inference.pb.h"

namespace signalbox::cli {

// What the models behind an Objective take: titles to rank, or flights whose delay is asked for.
enum class Domain { kFilms, kFlights };

struct ObjectiveTraffic {
  std::string objective;
  Domain domain = Domain::kFilms;
};

// "ContinueWatchingRanking=films"; INVALID_ARGUMENT says what was expected.
absl::StatusOr<ObjectiveTraffic> ParseObjectiveTraffic(std::string_view text);
// Those of the example rules in examples/rules/demo.
std::vector<ObjectiveTraffic> DemoObjectives();

struct SourceOptions {
  std::string data_folder;  // node_modules/vega-datasets/data
  std::vector<ObjectiveTraffic> objectives;
  uint64_t users = 10'000;  // 1 or more
  uint64_t seed = 1;
};

struct TrafficRequest {
  size_t objective = 0;  // index into SourceOptions::objectives
  std::string user;      // "user-4711"
  std::string context;   // the value of sb-context; the same for every request of a user
  inference::ModelInferRequest body;
  size_t rows = 0;  // that the answer must have
};

// Not thread-safe.
class RequestSource {
 public:
  // NOT_FOUND says how to get the data; INVALID_ARGUMENT for options that say nothing.
  static absl::StatusOr<RequestSource> Load(SourceOptions options);

  const SourceOptions& options() const { return options_; }
  // Objectives in turn; the user, and what is asked, at random: equal options give equal requests, in order.
  TrafficRequest Next();

 private:
  RequestSource(SourceOptions options, host::Films films, host::Flights flights)
      : options_(std::move(options)), films_(std::move(films)), flights_(std::move(flights)), random_(options_.seed) {}

  size_t Draw(size_t count) { return static_cast<size_t>(random_() % count); }
  void AddFilms(TrafficRequest& request);
  void AddFlights(TrafficRequest& request);

  SourceOptions options_;
  host::Films films_;
  host::Flights flights_;
  std::mt19937_64 random_;
  uint64_t count_ = 0;
};

}  // namespace signalbox::cli
