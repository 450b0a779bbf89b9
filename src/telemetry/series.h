// What one worker has counted, by label combination.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/counter.h"
#include "telemetry/histogram.h"
#include "telemetry/published_list.h"
#include "telemetry/telemetry.h"
#include "telemetry/tenant_set.h"

namespace signalbox::telemetry {

// In the order of kLabelNames.
enum Label : size_t {
  kObjectiveLabel,
  kModelLabel,
  kExperimentLabel,
  kCellLabel,
  kTenantLabel,
  kTrafficTypeLabel,
  kLabelCount
};
inline constexpr std::array<std::string_view, kLabelCount> kLabelNames = {"objective", "model",  "experiment",
                                                                          "cell",      "tenant", "traffic_type"};
using Labels = std::array<std::string, kLabelCount>;
using LabelViews = std::array<std::string_view, kLabelCount>;

// The objective of requests whose Objective nobody knows: what the client sent is not a label, there is no end to it.
inline constexpr std::string_view kUnknownObjective = "unknown";

// 100 us to 10 s: from a tree model beside the proxy to a language model.
inline constexpr std::array<uint32_t, 16> kRequestBoundsUs = {
    100,    250,     500,     1'000,   2'500,     5'000,     10'000,    25'000,
    50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};
// The proxy's own part is tens of microseconds; milliseconds mean that it is overloaded.
inline constexpr std::array<uint32_t, 10> kOwnBoundsUs = {10, 25, 50, 100, 250, 500, 1'000, 2'500, 10'000, 100'000};

// Status codes 0 (OK) to 16 (UNAUTHENTICATED).
inline constexpr size_t kGrpcCodes = 17;
// "OK", "CANCELLED", ...; "UNKNOWN" for what is no gRPC status.
std::string_view GrpcCodeName(int grpc_status);

// Fine histograms of one cell. Without the tenant among the labels, because 12 KiB for each tenant that a client may
// invent would be too much.
struct CellLatency {
  explicit CellLatency(const LabelViews& views);
  const Labels labels;  // the tenant is empty
  QuantileHistogram request;
  QuantileHistogram own;
};

// One label combination. Written by its worker, read by scrapes.
struct Series {
  Series(const LabelViews& views, CellLatency* latency);
  void Count(const RequestRecord& record);

  const Labels labels;  // as clients sent them: not necessarily UTF-8
  CellLatency* const cell_latency;
  std::array<Counter, kGrpcCodes> requests;
  BoundedHistogram<kRequestBoundsUs.size()> request_duration;
  BoundedHistogram<kOwnBoundsUs.size()> own_duration;
  Counter fallbacks;
  Counter static_answers;
  Counter overrides;
  Counter shadows_not_sent;
  std::array<Counter, kNoteNames.size()> notes;
  std::array<Counter, kTryEventNames.size()> try_events;
  std::array<std::array<Counter, kPriorityNames.size()>, kRefusalNames.size()> refusals;
  Counter request_bytes;
  Counter response_bytes;
};

// Used by one worker; `series()`, `cell_latencies()` and the counter may be read by any thread.
class WorkerSeries {
 public:
  // `tenants` outlives this.
  WorkerSeries(TenantSet& tenants, size_t series_max);

  // Allocates when the combination is new. Beyond `series_max` combinations everything is counted in one series, whose
  // labels are all "other".
  void Count(const RequestRecord& record);

  const PublishedList<Series>& series() const { return series_; }
  const PublishedList<CellLatency>& cell_latencies() const { return cell_latencies_; }
  // Requests that would have needed a series beyond the limit.
  uint64_t dropped() const { return dropped_.value(); }

 private:
  struct Slot {
    uint64_t hash = 0;
    Series* series = nullptr;
  };

  Slot& FindSlot(const LabelViews& labels, uint64_t hash);
  Series& FindOrAdd(LabelViews labels);
  CellLatency& FindOrAddCellLatency(LabelViews labels);

  TenantSet& tenants_;
  PublishedList<Series> series_;
  PublishedList<CellLatency> cell_latencies_;
  // Open addressing, at most half full.
  std::vector<Slot> slots_;
  Series* overflow_ = nullptr;
  Counter dropped_;
};

}  // namespace signalbox::telemetry
