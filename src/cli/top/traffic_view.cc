#include "cli/top/traffic_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "telemetry/utf8.h"

namespace signalbox::cli {
namespace {

constexpr std::string_view kRequestsFamily = "signalbox_requests_total";

std::string ShortName(std::string_view name, std::string_view if_empty) {
  if (name.empty()) return std::string(if_empty);
  std::string valid;
  telemetry::AppendValidUtf8(telemetry::Utf8Prefix(name, kTrafficNameBytesMax), valid);
  return valid;
}

double Merged(Merge merge, double a, double b) {
  switch (merge) {
    case Merge::kMost:
      return std::max(a, b);
    case Merge::kLeast:
      return std::min(a, b);
    case Merge::kSum:
      break;
  }
  return a + b;
}

void MergeInto(Cell cell, std::optional<double>& into, double value) {
  into = into ? Merged(TraitsOf(cell).merge, *into, value) : value;
}

void MergeInto(RowValues& into, const RowValues& row) {
  for (size_t i = 0; i < kCellCount; ++i) {
    if (row.cells[i]) MergeInto(static_cast<Cell>(i), into.cells[i], *row.cells[i]);
  }
  for (const auto& [part, value] : row.parts) into.parts[part] += value;
}

// Whether a use fills cells of such a row.
bool Fills(const FamilyUse& use, Level level) {
  return use.level == level ||
         (level == Level::kObjective && (use.level == Level::kModel || use.level == Level::kShadow));
}

bool WasStartedAgain(const TrafficValues& before, const TrafficValues& now) {
  for (const auto& [key, row] : now.rows) {
    if (key.level != Level::kObjective || !row[Cell::kRate]) continue;
    const auto old = before.rows.find(key);
    if (old != before.rows.end() && old->second[Cell::kRate] > row[Cell::kRate]) return true;
  }
  return false;
}

// What came since `before`, of a counter.
double Increase(double before, double now) { return now >= before ? now - before : now; }

void ToRates(const RowValues* before, double seconds, Level level, const std::bitset<kCellCount>& exposed,
             bool is_known, RowValues& row) {
  for (const FamilyUse& use : FamilyUses()) {
    if (!use.is_counter || !Fills(use, level)) continue;
    std::optional<double>& cell = row[use.cell];
    if (!is_known) {
      cell.reset();
    } else if (exposed[static_cast<size_t>(use.cell)]) {
      // A series that appears was at 0 before, and one that has not appeared still is.
      cell = Increase(before == nullptr ? 0 : (*before)[use.cell].value_or(0), cell.value_or(0)) / seconds;
    }
  }
  if (!is_known) row.parts.clear();
  for (auto& [part, value] : row.parts) {
    double old = 0;
    if (before != nullptr) {
      if (const auto found = before->parts.find(part); found != before->parts.end()) old = found->second;
    }
    value = Increase(old, value) / seconds;
  }
}

void WorkOut(RowValues& row) {
  const std::optional<double> disagreed = row[Cell::kShadowsDisagreed];
  const double compared = row[Cell::kShadowsAgreed].value_or(0) + disagreed.value_or(0);
  if (compared > 0) row[Cell::kDisagreement] = disagreed.value_or(0) / compared;
  // An Objective's bulkhead counts all; without one, what has a limit is what is known.
  if (!row[Cell::kInFlight]) row[Cell::kInFlight] = row[Cell::kLimitInFlight];
}

void SetShare(const RowValues& of, RowValues& row) {
  if (of[Cell::kRate].value_or(0) > 0 && row[Cell::kRate]) row[Cell::kShare] = *row[Cell::kRate] / *of[Cell::kRate];
}

Cell SortCell(SortBy sort, bool is_host) {
  switch (sort) {
    case SortBy::kP99:
      return is_host ? Cell::kHostLatency : Cell::kP99;
    case SortBy::kErrors:
      return is_host ? Cell::kEjections : Cell::kErrors;
    case SortBy::kRefusals:
      return is_host ? Cell::kOutstanding : Cell::kRefusals;
    case SortBy::kSaturation:
      return is_host ? Cell::kUtilisation : Cell::kSaturation;
    case SortBy::kRate:
    case SortBy::kName:
      break;
  }
  return is_host ? Cell::kOutstanding : Cell::kRate;
}

bool GoesBefore(const ViewRow& a, const ViewRow& b, SortBy sort, bool is_host = false) {
  if (sort != SortBy::kName) {
    const Cell cell = SortCell(sort, is_host);
    const double left = a.values[cell].value_or(-1);
    const double right = b.values[cell].value_or(-1);
    if (left != right) return left > right;
  }
  return a.name < b.name;
}

}  // namespace

TrafficPage::TrafficPage()
    : reader_([this](const MetricSample& sample) { return Take(sample); },
              [this](std::string_view family) { Expose(family); }) {}

absl::StatusOr<TrafficValues> TrafficPage::Finish() {
  RETURN_IF_ERROR(reader_.Finish());
  if (!is_proxy_) {
    return absl::InvalidArgumentError(
        fmt::format("has no {}: expected the address of a proxy's --admin, is it another program's?", kRequestsFamily));
  }
  return std::move(values_);
}

void TrafficPage::Expose(std::string_view family) {
  if (family == kRequestsFamily) is_proxy_ = true;
  for (const FamilyUse& use : FamilyUses()) {
    if (use.family == family) values_.exposed.set(static_cast<size_t>(use.cell));
  }
}

absl::Status TrafficPage::Take(const MetricSample& sample) {
  if (!sample.name.starts_with("signalbox_")) return absl::OkStatus();
  if (sample.name == kLimitInFlightFamily || sample.name == kLimitFamily) RETURN_IF_ERROR(TakeLimit(sample));
  bool is_used = false;
  for (const FamilyUse& use : FamilyUses()) {
    if (use.family != sample.name) continue;
    is_used = true;
    // Nothing was counted less than never. A quantile of nothing is NaN.
    if (!std::isfinite(sample.value) || sample.value < 0) continue;
    if (!use.label.empty() && !Fits(use, sample.label(use.label))) continue;
    const double value = use.negate ? (sample.value == 0 ? 1 : 0) : sample.value;
    std::string objective = ShortName(sample.label("objective"), "(none)");
    std::string model = ShortName(sample.label("model"), "(no model)");
    switch (use.level) {
      case Level::kModel:
        RETURN_IF_ERROR(AddTo({Level::kModel, objective, std::move(model)}, use, sample, value));
        break;
      case Level::kShadow:
        RETURN_IF_ERROR(AddTo({Level::kShadow, objective,
                               fmt::format("{} to {}", ShortName(sample.label("shadow"), "(no shadow)"), model)},
                              use, sample, value));
        break;
      case Level::kObjective:
        break;
      case Level::kHost:
        RETURN_IF_ERROR(AddTo({Level::kHost, "", ShortName(sample.label("host"), "(no host)")}, use, sample, value));
        continue;
      case Level::kProxy:
        RETURN_IF_ERROR(AddTo({Level::kProxy, "", ""}, use, sample, value));
        continue;
    }
    RETURN_IF_ERROR(AddTo({Level::kObjective, std::move(objective), ""}, use, sample, value));
  }
  if (is_used) Expose(sample.name);
  return absl::OkStatus();
}

absl::Status TrafficPage::TakeLimit(const MetricSample& sample) {
  if (!std::isfinite(sample.value) || sample.value < 0) return absl::OkStatus();
  std::string key;
  for (const MetricLabel& label : sample.labels) {
    key += ShortName(label.value, "");
    key += '\0';
  }
  if (values_.limits.size() == kTrafficRowsMax && !values_.limits.contains(key)) {
    return absl::InvalidArgumentError(fmt::format("more than {} concurrency limits", kTrafficRowsMax));
  }
  LimitUse& use = values_.limits[key];
  use.objective = ShortName(sample.label("objective"), "(none)");
  use.model = ShortName(sample.label("model"), "(no model)");
  (sample.name == kLimitFamily ? use.limit : use.in_flight) = sample.value;
  return absl::OkStatus();
}

absl::Status TrafficPage::AddTo(RowKey key, const FamilyUse& use, const MetricSample& sample, double value) {
  auto row = values_.rows.find(key);
  if (row == values_.rows.end()) {
    if (values_.rows.size() == kTrafficRowsMax) {
      return absl::InvalidArgumentError(
          fmt::format("more than {} Objectives, models, shadows and hosts", kTrafficRowsMax));
    }
    row = values_.rows.emplace(std::move(key), RowValues{}).first;
  }
  MergeInto(use.cell, row->second[use.cell], value);
  if (use.parts_by.empty()) return absl::OkStatus();
  const auto [part, is_new] =
      row->second.parts.try_emplace({use.cell, ShortName(sample.label(use.parts_by), "(none)")}, 0);
  part->second += value;
  if (is_new && ++parts_ > kTrafficPartsMax) {
    return absl::InvalidArgumentError(fmt::format("more than {} values of '{}'", kTrafficPartsMax, use.parts_by));
  }
  return absl::OkStatus();
}

TrafficValues Rates(const TrafficValues* before, TrafficValues now, double seconds) {
  const bool is_known = before != nullptr && seconds > 0;
  const bool was_started_again = is_known && WasStartedAgain(*before, now);
  for (auto& [key, row] : now.rows) {
    const RowValues* old = nullptr;
    if (is_known && !was_started_again) {
      if (const auto found = before->rows.find(key); found != before->rows.end()) old = &found->second;
    }
    ToRates(old, seconds, key.level, now.exposed, is_known, row);
  }
  return now;
}

void Join(const TrafficValues& one, TrafficValues& all) {
  for (const auto& [key, row] : one.rows) MergeInto(all.rows[key], row);
  for (const auto& [key, use] : one.limits) {
    LimitUse& sum = all.limits[key];
    sum.objective = use.objective;
    sum.model = use.model;
    sum.in_flight += use.in_flight;
    sum.limit += use.limit;
  }
  all.exposed |= one.exposed;
}

TrafficView ViewOf(const TrafficValues& rates, SortBy sort, std::string_view objective) {
  TrafficValues values = rates;
  for (const auto& [labels, use] : values.limits) {
    if (!(use.limit > 0)) continue;
    for (const RowKey& key :
         {RowKey{Level::kModel, use.objective, use.model}, {Level::kObjective, use.objective, ""}}) {
      if (const auto row = values.rows.find(key); row != values.rows.end()) {
        MergeInto(Cell::kSaturation, row->second[Cell::kSaturation], use.in_flight / use.limit);
      }
    }
  }
  TrafficView view;
  std::map<std::string, ObjectiveView> objectives;
  // Keys are in the order of their levels: Objectives come first.
  for (auto& [key, row] : values.rows) {
    WorkOut(row);
    ViewRow shown{key.name, row};
    switch (key.level) {
      case Level::kObjective:
        MergeInto(view.all, row);
        shown.name = key.objective;
        objectives[key.objective].total = std::move(shown);
        break;
      case Level::kModel:
        SetShare(objectives[key.objective].total.values, shown.values);
        objectives[key.objective].models.push_back(std::move(shown));
        break;
      case Level::kShadow:
        objectives[key.objective].shadows.push_back(std::move(shown));
        break;
      case Level::kHost:
        view.hosts.push_back(std::move(shown));
        break;
      case Level::kProxy:
        MergeInto(view.all, row);
        break;
    }
  }
  const auto by = [sort](const ViewRow& a, const ViewRow& b) { return GoesBefore(a, b, sort); };
  for (auto& [name, one] : objectives) {
    if (!objective.empty() && name != objective) continue;
    SetShare(view.all, one.total.values);
    std::sort(one.models.begin(), one.models.end(), by);
    std::sort(one.shadows.begin(), one.shadows.end(), by);
    view.objectives.push_back(std::move(one));
  }
  std::sort(view.objectives.begin(), view.objectives.end(),
            [&](const ObjectiveView& a, const ObjectiveView& b) { return by(a.total, b.total); });
  std::sort(view.hosts.begin(), view.hosts.end(),
            [sort](const ViewRow& a, const ViewRow& b) { return GoesBefore(a, b, sort, /*is_host=*/true); });
  return view;
}

std::vector<std::string> ObjectivesOf(const TrafficValues& rates) {
  std::vector<std::string> names;
  for (const auto& [key, row] : rates.rows) {
    if (key.level == Level::kObjective) names.push_back(key.objective);
  }
  return names;
}

}  // namespace signalbox::cli
