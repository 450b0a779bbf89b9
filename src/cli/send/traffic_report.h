// What came of the requests that were sent: by Objective and model, for people and for programs.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::cli {

// Of the requests of one Objective that one model answered, or failed to.
struct ModelTally {
  uint64_t answered = 0;
  uint64_t failed = 0;
  std::map<std::string, uint64_t> reasons;  // of sb-reason: "default", "experiment", ...
  std::vector<uint64_t> latency;            // of the answered, in the buckets of telemetry::QuantileHistogram
};

// What failed in the same way.
struct Failure {
  std::string objective;
  std::string code;     // "UNAVAILABLE"; "NOT_SENT" and "WRONG_ANSWER" are the sender's own
  std::string message;  // of the first of them
  auto operator<=>(const Failure&) const = default;
};

struct TrafficReport {
  struct Key {
    std::string objective;
    std::string model;  // of sb-model: "title-ranker@3"; empty where no model was chosen
    auto operator<=>(const Key&) const = default;
  };
  std::chrono::nanoseconds duration{0};
  uint64_t sent = 0;     // includes those that wait for their answer
  uint64_t settled = 0;  // of the requests in the order of sending, how many first ones have all ended
  std::map<Key, ModelTally> models;
  std::map<Failure, uint64_t> failures;
  std::map<std::string, uint64_t> snapshots;  // of sb-snapshot: how many answers each snapshot led to

  void AddAnswer(const std::string& objective, const std::string& model, const std::string& reason,
                 const std::string& snapshot, std::chrono::nanoseconds latency);
  void AddFailure(const std::string& objective, const std::string& model, std::string_view code,
                  std::string_view message);

  uint64_t answered() const;
  uint64_t failed() const;
  // Of one Objective, all models.
  uint64_t answered(std::string_view objective) const;
  // What `model` answered of all that was answered for `objective`, 0 to 1.
  double Share(std::string_view objective, std::string_view model) const;

  // What came to this report after `earlier`, a report of the same traffic.
  TrafficReport Since(const TrafficReport& earlier) const;
};

// A line for each Objective and model, after a line of headings; then one for each kind of failure.
std::string Table(const TrafficReport& report);

// {"duration_s", "sent", "answered", "failed", "objectives": [{"objective", "answered", "failed", "models": [{"model",
// "answered", "failed", "share", "p50_ms", "p99_ms", "reasons": {}}]}], "failures": [{"objective", "code", "message",
// "count"}], "snapshots": {SB_SNAPSHOT: answers}}
nlohmann::ordered_json Json(const TrafficReport& report);

}  // namespace signalbox::cli
