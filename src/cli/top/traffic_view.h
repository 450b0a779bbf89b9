// What proxies' pages say, brought to rows: read, as increases in a second, summed over proxies, and sorted.
#pragma once

#include <bitset>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/top/metrics_text.h"
#include "cli/top/traffic_cells.h"

namespace signalbox::cli {

// Of one page; a proxy counts 2048 label combinations one by one unless it is told to count more.
inline constexpr size_t kTrafficRowsMax = 8192;
inline constexpr size_t kTrafficPartsMax = 8192;
// Longer names are cut.
inline constexpr size_t kTrafficNameBytesMax = 200;

struct RowKey {
  Level level = Level::kObjective;
  std::string objective;
  std::string name;  // of the model, shadow or host

  auto operator<=>(const RowKey&) const = default;
};

struct RowValues {
  std::array<std::optional<double>, kCellCount> cells = {};
  std::map<std::pair<Cell, std::string>, double> parts;  // of a cell, by code or by limit

  std::optional<double>& operator[](Cell cell) { return cells[static_cast<size_t>(cell)]; }
  const std::optional<double>& operator[](Cell cell) const { return cells[static_cast<size_t>(cell)]; }
};

// Requests under way against one concurrency limit.
struct LimitUse {
  std::string objective;
  std::string model;
  double in_flight = 0;
  double limit = 0;  // 0: not known
};

struct TrafficValues {
  std::map<RowKey, RowValues> rows;
  std::map<std::string, LimitUse> limits;  // by their labels
  std::bitset<kCellCount> exposed;         // cells of which there is a family, though perhaps without a value yet
};

// One page as it comes. Counters stand as they are.
class TrafficPage {
 public:
  TrafficPage();
  TrafficPage(const TrafficPage&) = delete;
  TrafficPage& operator=(const TrafficPage&) = delete;

  // As MetricsTextReader::Add.
  absl::Status Add(std::string_view bytes) { return reader_.Add(bytes); }
  // INVALID_ARGUMENT also when it is no proxy's.
  absl::StatusOr<TrafficValues> Finish();

 private:
  absl::Status Take(const MetricSample& sample);
  absl::Status TakeLimit(const MetricSample& sample);
  absl::Status AddTo(RowKey key, const FamilyUse& use, const MetricSample& sample, double value);
  void Expose(std::string_view family);

  MetricsTextReader reader_;
  TrafficValues values_;
  size_t parts_ = 0;
  bool is_proxy_ = false;
};

// `now` with its counters as increases in a second since `before`, `seconds` ago. A counter that went back began anew;
// where requests did, the proxy was started again, and all counters did. Without `before` what is counted is not known.
TrafficValues Rates(const TrafficValues* before, TrafficValues now, double seconds);

// Adds what another proxy says.
void Join(const TrafficValues& one, TrafficValues& all);

enum class SortBy : uint8_t { kRate, kP99, kErrors, kRefusals, kSaturation, kName };
inline constexpr std::array<std::string_view, 6> kSortNames = {"rate",    "p99",        "errors",
                                                               "refused", "saturation", "name"};

struct ViewRow {
  std::string name;
  RowValues values;
};
struct ObjectiveView {
  ViewRow total;
  std::vector<ViewRow> models;
  std::vector<ViewRow> shadows;
};
struct TrafficView {
  RowValues all;  // over all Objectives, and of the proxies themselves
  std::vector<ObjectiveView> objectives;
  std::vector<ViewRow> hosts;
};
// `objective`: only this one; empty: all. Shares are of all requests all the same. The most stands first, but names in
// their order; equal rows by name.
TrafficView ViewOf(const TrafficValues& rates, SortBy sort, std::string_view objective);
std::vector<std::string> ObjectivesOf(const TrafficValues& rates);

}  // namespace signalbox::cli
