// What shadow copies leave behind: counters, latency, examples of disagreements, and the shadow log.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/collectable.h"
#include "telemetry/series.h"

namespace signalbox::telemetry {

// What became of one copy. Every copy that rules ask for becomes one of these.
enum class ShadowOutcome : uint8_t {
  kAgree,
  kDisagree,
  kNotComparable,  // both answered; their answers cannot be compared as the rule says
  kNotCompared,    // the shadow answered; the rule asks for no comparison, or there is no live answer to compare with
  kFailed,         // the shadow could not be reached, broke off, or answered with a status other than OK
  kDroppedCopies,  // never sent: as many were under way as may be
  kDroppedMemory,  // given up: body or answers would have taken more memory than shadows may have
  kDroppedIncomplete,  // never sent: the live request ended before its body was complete
  kDroppedSlow,        // given up: the shadow had not answered in its time
  kDroppedQueue,       // answered, and not compared: too many answers waited for that
  kDroppedStopping,    // given up: the proxy stopped
};
// In the order of ShadowOutcome; the label `outcome`.
inline constexpr std::array<std::string_view, 11> kShadowOutcomeNames = {
    "agree",          "disagree",           "not_comparable", "not_compared",  "failed",          "dropped_copies",
    "dropped_memory", "dropped_incomplete", "dropped_slow",   "dropped_queue", "dropped_stopping"};

// One shadow rule of one Objective, and its model. Thread-safe: any number of workers count.
class ShadowSeries {
 public:
  ShadowSeries(std::string_view objective, std::string_view shadow, std::string_view model)
      : objective_(objective), shadow_(shadow), model_(model) {}

  void Count(ShadowOutcome outcome) { outcomes_[static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed); }
  // From the copy's headers to the last byte of its answer.
  void AddDuration(uint64_t duration_us);

  const std::string& objective() const { return objective_; }
  const std::string& shadow() const { return shadow_; }
  const std::string& model() const { return model_; }
  uint64_t count(ShadowOutcome outcome) const {
    return outcomes_[static_cast<size_t>(outcome)].load(std::memory_order_relaxed);
  }

 private:
  friend class ShadowRecordsImpl;
  const std::string objective_;
  const std::string shadow_;
  const std::string model_;
  std::array<std::atomic<uint64_t>, kShadowOutcomeNames.size()> outcomes_ = {};
  std::array<std::atomic<uint64_t>, kRequestBoundsUs.size() + 1> durations_ = {};
  std::atomic<uint64_t> duration_sum_us_{0};
};

// One copy that did not end as it should: for people.
struct ShadowReport {
  const ShadowSeries* series = nullptr;
  ShadowOutcome outcome = ShadowOutcome::kFailed;
  uint64_t decision_id = 0;
  int64_t start_unix_us = 0;  // of the live request
  std::string live_model;     // empty where none answered
  std::string reason;
  // What they answered, shortened. Empty where that is not known.
  std::string live_answer;
  std::string shadow_answer;
};

struct ShadowRecordsOptions {
  // JSON Lines, one for each report; empty: none.
  std::string log_path = {};
  // Of reports, for each series, the latest.
  size_t examples_max = 10;
  // Shadow rules with their Objectives and models, over all snapshots. Those beyond are counted together as "other".
  size_t series_max = 512;
};

// Thread-safe.
//
// Collect() gives these families, with the labels objective, shadow and model; durations are in seconds:
//   signalbox_shadow_requests_total      with `outcome`, of kShadowOutcomeNames. The disagreement rate is
//                                        disagree / (agree + disagree)
//   signalbox_shadow_duration_seconds    histogram, of copies that were answered
// and without labels:
//   signalbox_shadow_copies_open, signalbox_shadow_held_bytes    what shadows take now
//   signalbox_shadow_log_written_total, signalbox_shadow_log_lost_total
class ShadowRecords : public prometheus::Collectable {
 public:
  // What opening the log says.
  static absl::StatusOr<std::unique_ptr<ShadowRecords>> Create(ShadowRecordsOptions options);
  ~ShadowRecords() override = default;

  // Lives as long as this. Takes a lock and may allocate: callers keep what it returns.
  virtual ShadowSeries& SeriesOf(std::string_view objective, std::string_view shadow, std::string_view model) = 0;
  // Keeps it as an example and writes it to the log. Can wait for the disk: not for a worker's thread.
  virtual void Report(ShadowReport report) = 0;
  // The latest reports of each series as JSON, the newest first.
  virtual std::string ExamplesJson() const = 0;
  // Opens the log anew, for after it was renamed. When that fails, says why, and goes on with the old file.
  virtual absl::Status ReopenLog() = 0;

  // Gauges that workers keep.
  std::atomic<int64_t> copies_open{0};
  std::atomic<int64_t> held_bytes{0};
};

}  // namespace signalbox::telemetry
