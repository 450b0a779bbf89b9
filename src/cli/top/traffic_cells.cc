#include "cli/top/traffic_cells.h"

namespace signalbox::cli {
namespace {

using enum Cell;
using enum Level;

// In the order of Cell.
constexpr std::array<CellTraits, kCellCount> kTraits = {{
    {"requests_per_second"},
    {"share"},
    {"p50_seconds", Merge::kMost},
    {"p99_seconds", Merge::kMost},
    {"errors_per_second"},
    {"in_flight"},
    {"saturation", Merge::kMost},
    {"refusals_per_second"},
    {"fallbacks_per_second"},
    {"static_answers_per_second"},
    {"retries_per_second"},
    {"hedges_per_second"},
    {"shadows_per_second"},
    {"shadows_lost_per_second"},
    {"disagreement"},
    {""},
    {""},
    {""},
    {"outstanding"},
    {"latency_seconds", Merge::kMost},
    {"weight", Merge::kLeast},
    {"utilisation", Merge::kMost},
    {"ejected_by"},
    {"unhealthy_for"},
    {"panic_at"},
    {"ejections_per_second"},
    {"worker_delay_seconds", Merge::kMost},
    {"admitted_least", Merge::kLeast},
}};

constexpr FamilyUse kUses[] = {
    {.family = "signalbox_requests_total", .cell = kRate, .level = kModel},
    {.family = "signalbox_requests_total",
     .cell = kErrors,
     .level = kModel,
     .label = "code",
     .value = "!OK",
     .parts_by = "code"},
    {.family = "signalbox_request_duration_recent_seconds",
     .cell = kP50,
     .level = kModel,
     .is_counter = false,
     .label = "quantile",
     .value = "0.5"},
    {.family = "signalbox_request_duration_recent_seconds",
     .cell = kP99,
     .level = kModel,
     .is_counter = false,
     .label = "quantile",
     .value = "0.99"},
    {.family = "signalbox_fallbacks_total", .cell = kFallbacks, .level = kModel},
    {.family = "signalbox_static_answers_total", .cell = kStaticAnswers, .level = kModel},
    {.family = "signalbox_refusals_total", .cell = kRefusals, .level = kObjective, .parts_by = "limit"},
    {.family = "signalbox_bulkhead_requests", .cell = kInFlight, .level = kObjective, .is_counter = false},
    {.family = kLimitInFlightFamily, .cell = kLimitInFlight, .level = kModel, .is_counter = false},
    {.family = "signalbox_try_events_total", .cell = kRetries, .level = kObjective, .label = "event", .value = "retry"},
    {.family = "signalbox_try_events_total", .cell = kHedges, .level = kObjective, .label = "event", .value = "hedge"},
    {.family = "signalbox_shadow_requests_total",
     .cell = kShadows,
     .level = kShadow,
     .label = "outcome",
     .value = "!dropped_*"},
    {.family = "signalbox_shadow_requests_total",
     .cell = kShadowsLost,
     .level = kShadow,
     .label = "outcome",
     .value = "dropped_*"},
    {.family = "signalbox_shadow_requests_total",
     .cell = kShadowsAgreed,
     .level = kShadow,
     .label = "outcome",
     .value = "agree"},
    {.family = "signalbox_shadow_requests_total",
     .cell = kShadowsDisagreed,
     .level = kShadow,
     .label = "outcome",
     .value = "disagree"},
    {.family = "signalbox_host_outstanding_requests", .cell = kOutstanding, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_latency_seconds", .cell = kHostLatency, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_weight", .cell = kWeight, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_utilisation", .cell = kUtilisation, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_ejected", .cell = kEjected, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_healthy", .cell = kUnhealthy, .level = kHost, .is_counter = false, .negate = true},
    {.family = "signalbox_host_panic", .cell = kPanic, .level = kHost, .is_counter = false},
    {.family = "signalbox_host_ejections_total", .cell = kEjections, .level = kHost},
    {.family = "signalbox_worker_delay_seconds", .cell = kWorkerDelay, .level = kProxy, .is_counter = false},
    {.family = "signalbox_overload_admitted_ratio", .cell = kAdmitted, .level = kProxy, .is_counter = false},
};

}  // namespace

const CellTraits& TraitsOf(Cell cell) { return kTraits[static_cast<size_t>(cell)]; }

std::span<const FamilyUse> FamilyUses() { return kUses; }

bool Fits(const FamilyUse& use, std::string_view label_value) {
  if (use.label.empty()) return true;
  std::string_view pattern = use.value;
  const bool is_other = pattern.starts_with('!');
  if (is_other) pattern.remove_prefix(1);
  if (!pattern.ends_with('*')) return (label_value == pattern) != is_other;
  pattern.remove_suffix(1);
  return label_value.starts_with(pattern) != is_other;
}

}  // namespace signalbox::cli
