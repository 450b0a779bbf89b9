// What all workers have counted, as Prometheus metric families.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "prometheus/metric_family.h"
#include "telemetry/histogram.h"
#include "telemetry/series.h"

namespace signalbox::telemetry {

// The counts of a histogram over the recent past, from counts that only grow. Used under a lock of the caller's.
class RecentCounts {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // Long enough for a p99.9 of a busy cell, short enough that a canary's trouble shows.
  static constexpr std::chrono::seconds kWindow{60};

  // `counts` are the totals at `now`. Returns what came in during the last one to two windows, or since the last call
  // where that is longer ago.
  std::vector<uint64_t> Update(Time now, std::span<const uint64_t> counts);

 private:
  std::vector<uint64_t> older_;
  std::vector<uint64_t> newer_;
  Time newer_at_;
};

// Keeps what quantiles over the recent past need between scrapes. Used by one thread at a time.
class MetricFamilies {
 public:
  // The families of all series of `workers`, each label combination once. Values that clients sent are made valid
  // UTF-8.
  std::vector<prometheus::MetricFamily> Collect(const std::vector<const WorkerSeries*>& workers,
                                                RecentCounts::Time now);

 private:
  struct RecentLatency {
    RecentCounts request;
    RecentCounts own;
  };
  std::map<Labels, RecentLatency> recent_;
};

// A family of one counter per element of `values`, told apart by `label` (or one without labels, when it is empty).
prometheus::MetricFamily CounterFamily(std::string name, std::string help, const std::string& label,
                                       const std::vector<std::pair<std::string, uint64_t>>& values);

}  // namespace signalbox::telemetry
