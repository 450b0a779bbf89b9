#include "cli/send/traffic_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "telemetry/histogram.h"

namespace signalbox::cli {
namespace {

using telemetry::QuantileHistogram;

// Kinds of failure that are told apart; the rest is counted with its model alone.
constexpr size_t kFailureKindsMax = 100;
constexpr size_t kMessageBytesMax = 300;
// More than anybody publishes while watching.
constexpr size_t kSnapshotsMax = 10'000;
// For failures before a model was chosen.
constexpr char kNoModel[] = "(none)";

double Seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

double QuantileMs(const ModelTally& tally, double quantile) {
  return tally.answered == 0 ? 0 : telemetry::QuantileUs(tally.latency, quantile) / 1000;
}

std::string_view ModelOf(const TrafficReport::Key& key) {
  return key.model.empty() ? std::string_view(kNoModel) : std::string_view(key.model);
}

std::vector<std::string> Objectives(const TrafficReport& report) {
  std::vector<std::string> objectives;
  for (const auto& [key, tally] : report.models) {
    if (objectives.empty() || objectives.back() != key.objective) objectives.push_back(key.objective);
  }
  return objectives;
}

}  // namespace

void TrafficReport::AddAnswer(const std::string& objective, const std::string& model, const std::string& reason,
                              const std::string& snapshot, std::chrono::nanoseconds latency) {
  if (!snapshot.empty() && (snapshots.size() < kSnapshotsMax || snapshots.contains(snapshot))) ++snapshots[snapshot];
  ModelTally& tally = models[{objective, model}];
  ++tally.answered;
  if (!reason.empty()) ++tally.reasons[reason];
  tally.latency.resize(QuantileHistogram::kBuckets);
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  ++tally.latency[QuantileHistogram::BucketOf(static_cast<uint64_t>(std::max<int64_t>(us, 0)))];
}

void TrafficReport::AddFailure(const std::string& objective, const std::string& model, std::string_view code,
                               std::string_view message) {
  ++models[{objective, model}].failed;
  Failure failure{
      .objective = objective, .code = std::string(code), .message = std::string(message.substr(0, kMessageBytesMax))};
  auto known = failures.find(failure);
  if (known != failures.end()) {
    ++known->second;
  } else if (failures.size() < kFailureKindsMax) {
    failures.emplace(std::move(failure), 1);
  }
}

uint64_t TrafficReport::answered() const {
  uint64_t sum = 0;
  for (const auto& [key, tally] : models) sum += tally.answered;
  return sum;
}

uint64_t TrafficReport::failed() const {
  uint64_t sum = 0;
  for (const auto& [key, tally] : models) sum += tally.failed;
  return sum;
}

uint64_t TrafficReport::answered(std::string_view objective) const {
  uint64_t sum = 0;
  for (const auto& [key, tally] : models) sum += key.objective == objective ? tally.answered : 0;
  return sum;
}

double TrafficReport::Share(std::string_view objective, std::string_view model) const {
  auto tally = models.find({std::string(objective), std::string(model)});
  const uint64_t all = answered(objective);
  return tally == models.end() || all == 0 ? 0 : static_cast<double>(tally->second.answered) / static_cast<double>(all);
}

TrafficReport TrafficReport::Since(const TrafficReport& earlier) const {
  TrafficReport since = *this;
  since.duration -= earlier.duration;
  since.sent -= earlier.sent;
  for (const auto& [key, before] : earlier.models) {
    ModelTally& tally = since.models[key];
    tally.answered -= before.answered;
    tally.failed -= before.failed;
    for (const auto& [reason, count] : before.reasons) tally.reasons[reason] -= count;
    std::erase_if(tally.reasons, [](const auto& reason) { return reason.second == 0; });
    for (size_t i = 0; i < before.latency.size(); ++i) tally.latency[i] -= before.latency[i];
    if (tally.answered == 0 && tally.failed == 0) since.models.erase(key);
  }
  for (const auto& [snapshot, count] : earlier.snapshots) {
    if ((since.snapshots[snapshot] -= count) == 0) since.snapshots.erase(snapshot);
  }
  for (const auto& [failure, count] : earlier.failures) {
    if ((since.failures[failure] -= count) == 0) since.failures.erase(failure);
  }
  return since;
}

std::string Table(const TrafficReport& report) {
  // As wide as the names need: with the usual ones the table fits a terminal of 80 columns.
  size_t objective_width = std::string_view("objective").size(), model_width = std::string_view("model").size();
  for (const auto& [key, tally] : report.models) {
    objective_width = std::max(objective_width, key.objective.size());
    model_width = std::max(model_width, ModelOf(key).size());
  }
  std::string table = fmt::format("{:<{}} {:<{}} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "objective", objective_width,
                                  "model", model_width, "req/s", "share", "p50 ms", "p99 ms", "errors");
  const double seconds = std::max(Seconds(report.duration), 1e-9);
  std::string_view last;
  for (const auto& [key, tally] : report.models) {
    table += fmt::format(
        "{:<{}} {:<{}} {:>8.1f} {:>6.1f} % {:>8.2f} {:>8.2f} {:>8}\n", key.objective == last ? "" : key.objective,
        objective_width, ModelOf(key), model_width, static_cast<double>(tally.answered + tally.failed) / seconds,
        100 * report.Share(key.objective, key.model), QuantileMs(tally, 0.5), QuantileMs(tally, 0.99), tally.failed);
    last = key.objective;
  }
  for (const auto& [failure, count] : report.failures) {
    table += fmt::format("  {} x {} {}: {}\n", count, failure.objective, failure.code, failure.message);
  }
  return table;
}

nlohmann::ordered_json Json(const TrafficReport& report) {
  nlohmann::ordered_json json = {{"duration_s", Seconds(report.duration)},
                                 {"sent", report.sent},
                                 {"answered", report.answered()},
                                 {"failed", report.failed()},
                                 {"objectives", nlohmann::ordered_json::array()},
                                 {"failures", nlohmann::ordered_json::array()},
                                 {"snapshots", report.snapshots}};
  for (const std::string& objective : Objectives(report)) {
    nlohmann::ordered_json models = nlohmann::ordered_json::array();
    uint64_t failed = 0;
    for (const auto& [key, tally] : report.models) {
      if (key.objective != objective) continue;
      failed += tally.failed;
      models.push_back({{"model", key.model},
                        {"answered", tally.answered},
                        {"failed", tally.failed},
                        {"share", report.Share(objective, key.model)},
                        {"p50_ms", QuantileMs(tally, 0.5)},
                        {"p99_ms", QuantileMs(tally, 0.99)},
                        {"reasons", tally.reasons}});
    }
    json["objectives"].push_back({{"objective", objective},
                                  {"answered", report.answered(objective)},
                                  {"failed", failed},
                                  {"models", std::move(models)}});
  }
  for (const auto& [failure, count] : report.failures) {
    json["failures"].push_back(
        {{"objective", failure.objective}, {"code", failure.code}, {"message", failure.message}, {"count", count}});
  }
  return json;
}

}  // namespace signalbox::cli
