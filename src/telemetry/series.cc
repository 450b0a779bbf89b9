#include "telemetry/series.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "base/hash.h"

namespace signalbox::telemetry {
namespace {

constexpr std::array<std::string_view, kGrpcCodes> kGrpcCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

size_t CodeIndex(int grpc_status) {
  constexpr size_t kUnknown = 2;
  return grpc_status >= 0 && static_cast<size_t>(grpc_status) < kGrpcCodes ? static_cast<size_t>(grpc_status)
                                                                           : kUnknown;
}

Labels Own(const LabelViews& views) {
  Labels labels;
  std::copy(views.begin(), views.end(), labels.begin());
  return labels;
}

bool Same(const Labels& labels, const LabelViews& views) {
  return std::equal(labels.begin(), labels.end(), views.begin());
}

// Each hash seeds the next, so that ("ab", "c") and ("a", "bc") differ.
uint64_t Hash(const LabelViews& labels) {
  uint64_t hash = 0;
  for (std::string_view label : labels) hash = StableHash64(label, hash);
  return hash;
}

}  // namespace

std::string_view GrpcCodeName(int grpc_status) { return kGrpcCodeNames[CodeIndex(grpc_status)]; }

CellLatency::CellLatency(const LabelViews& views) : labels(Own(views)) {}

Series::Series(const LabelViews& views, CellLatency* latency) : labels(Own(views)), cell_latency(latency) {}

void Series::Count(const RequestRecord& record) {
  requests[CodeIndex(record.grpc_status)].Add(1);
  request_duration.Add(kRequestBoundsUs, record.latency_us);
  own_duration.Add(kOwnBoundsUs, record.own_us);
  fallbacks.Add(record.fallbacks);
  if (record.static_answer) static_answers.Add(1);
  if (!record.override_rule.empty()) overrides.Add(1);
  if (record.shadows_not_sent != 0) shadows_not_sent.Add(record.shadows_not_sent);
  for (size_t event = 0; event < try_events.size(); ++event) {
    if (record.try_events[event] != 0) try_events[event].Add(record.try_events[event]);
  }
  for (size_t note = 0; record.notes >> note != 0 && note < notes.size(); ++note) {
    if ((record.notes >> note & 1) != 0) notes[note].Add(1);
  }
  if (record.refusal != 0) refusals[record.refusal - 1][record.priority].Add(1);
  request_bytes.Add(record.request_bytes);
  response_bytes.Add(record.response_bytes);
  cell_latency->request.Add(record.latency_us);
  cell_latency->own.Add(record.own_us);
}

WorkerSeries::WorkerSeries(TenantSet& tenants, size_t series_max)
    // One more of each than is asked for: the place of the overflow series is set aside.
    : tenants_(tenants),
      series_(series_max + 1),
      cell_latencies_(series_max + 1),
      slots_(std::bit_ceil(2 * (series_max + 1))) {}

void WorkerSeries::Count(const RequestRecord& record) {
  LabelViews labels = {record.objective, record.model,  record.experiment,
                       record.cell,      record.tenant, record.traffic_type};
  if (record.objective.empty()) labels[kObjectiveLabel] = kUnknownObjective;
  Series* series = FindSlot(labels, Hash(labels)).series;
  if (series == nullptr) series = &FindOrAdd(labels);
  series->Count(record);
}

// The slot of `labels`, or the empty one where they would go.
WorkerSeries::Slot& WorkerSeries::FindSlot(const LabelViews& labels, uint64_t hash) {
  const size_t mask = slots_.size() - 1;
  size_t position = hash & mask;
  while (slots_[position].series != nullptr) {
    Slot& slot = slots_[position];
    if (slot.hash == hash && Same(slot.series->labels, labels)) return slot;
    position = (position + 1) & mask;
  }
  return slots_[position];
}

Series& WorkerSeries::FindOrAdd(LabelViews labels) {
  labels[kTenantLabel] = tenants_.Admit(labels[kTenantLabel]);
  uint64_t hash = Hash(labels);
  Slot& slot = FindSlot(labels, hash);
  if (slot.series != nullptr) return *slot.series;

  size_t last = series_.capacity() - 1;
  if (series_.size() < last) {
    slot = {hash, series_.Append(std::make_unique<Series>(labels, &FindOrAddCellLatency(labels)))};
    return *slot.series;
  }
  dropped_.Add(1);
  if (overflow_ == nullptr) {
    labels.fill(kOther);
    overflow_ = series_.Append(std::make_unique<Series>(labels, &FindOrAddCellLatency(labels)));
  }
  return *overflow_;
}

// A plain search: it runs once for each new series, and there are as many cells as the rules name.
CellLatency& WorkerSeries::FindOrAddCellLatency(LabelViews labels) {
  labels[kTenantLabel] = {};
  for (size_t i = 0; i < cell_latencies_.size(); ++i) {
    if (Same(cell_latencies_[i].labels, labels)) return cell_latencies_[i];
  }
  return *cell_latencies_.Append(std::make_unique<CellLatency>(labels));
}

}  // namespace signalbox::telemetry
