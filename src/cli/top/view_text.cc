#include "cli/top/view_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/duration_text.h"
#include "base/printable.h"
#include "base/rfc3339.h"
#include "telemetry/utf8.h"

namespace signalbox::cli {
namespace {

enum class Unit : uint8_t { kRate, kCount, kSeconds, kPart };

struct Column {
  Cell cell;
  std::string_view heading;
  Unit unit = Unit::kRate;
  size_t width = 0;
  int need = 0;  // what has a higher one is left out first
};

constexpr Column kTrafficColumns[] = {
    {Cell::kRate, "req/s", Unit::kRate, 8, 0},
    {Cell::kShare, "share", Unit::kPart, 8, 2},
    {Cell::kP50, "p50", Unit::kSeconds, 8, 5},
    {Cell::kP99, "p99", Unit::kSeconds, 8, 1},
    {Cell::kErrors, "err/s", Unit::kRate, 7, 3},
    {Cell::kInFlight, "open", Unit::kCount, 7, 7},
    {Cell::kSaturation, "limit", Unit::kPart, 8, 6},
    {Cell::kRefusals, "ref/s", Unit::kRate, 7, 4},
    {Cell::kFallbacks, "fallb/s", Unit::kRate, 8, 8},
    {Cell::kStaticAnswers, "static/s", Unit::kRate, 9, 13},
    {Cell::kRetries, "retry/s", Unit::kRate, 8, 9},
    {Cell::kHedges, "hedge/s", Unit::kRate, 8, 10},
    {Cell::kShadows, "shadow/s", Unit::kRate, 9, 11},
    {Cell::kShadowsLost, "lost/s", Unit::kRate, 7, 14},
    {Cell::kDisagreement, "disagree", Unit::kPart, 9, 12},
};

constexpr Column kHostColumns[] = {
    {Cell::kOutstanding, "open", Unit::kCount, 7, 1}, {Cell::kHostLatency, "latency", Unit::kSeconds, 8, 2},
    {Cell::kUtilisation, "load", Unit::kPart, 8, 4},  {Cell::kWeight, "weight", Unit::kPart, 8, 3},
    {Cell::kEjections, "eject/s", Unit::kRate, 8, 5},
};
constexpr size_t kStateWidth = 20;
constexpr size_t kNameWidthMax = 48;  // where the width has no end

// One column for each character: names of rules and hosts are hardly wide ones.
size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string Printable(std::string_view text) {
  std::string valid;
  telemetry::AppendValidUtf8(text, valid);
  return EscapeControlCharacters(valid);
}

// At most `width` columns; '~' says that something is missing. 0: all of it.
std::string Cut(std::string text, size_t width) {
  if (width == 0 || WidthOf(text) <= width) return text;
  size_t bytes = 0;
  for (size_t columns = 0; columns + 1 < width; ++columns) {
    bytes += telemetry::Utf8CharacterBytes(std::string_view(text).substr(bytes));
  }
  text.resize(bytes);
  return text + '~';
}

std::string Padded(std::string text, size_t width) {
  const size_t columns = WidthOf(text);
  return text.append(columns < width ? width - columns : 0, ' ');
}

std::string RateText(double value) {
  if (value == 0) return "0";
  if (value < 0.005) return "<.01";
  if (value < 10) return fmt::format("{:.2f}", value);
  if (value < 1000) return fmt::format("{:.1f}", value);
  if (value < 1e5) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.0f}k", value / 1e3);
  if (value < 1e9) return fmt::format("{:.1f}M", value / 1e6);
  return fmt::format("{:.0e}", value);
}

std::string CountText(double value) { return value < 1000 ? fmt::format("{:.0f}", value) : RateText(value); }

std::string SecondsText(double value) {
  if (value < 0.001) return fmt::format("{:.0f} us", value * 1e6);
  if (value < 0.0995) return fmt::format("{:.1f} ms", value * 1e3);
  if (value < 0.9995) return fmt::format("{:.0f} ms", value * 1e3);
  if (value < 1e4) return fmt::format("{:.1f} s", value);
  return fmt::format("{:.0e} s", value);
}

std::string PartText(double value) {
  const double percent = value * 100;
  if (percent > 0 && percent < 0.05) return "<0.1 %";
  return percent < 1e4 ? fmt::format("{:.1f} %", percent) : fmt::format("{:.0e} %", percent);
}

std::string CellText(const Column& column, const RowValues& row) {
  const std::optional<double>& value = row[column.cell];
  if (!value) return "-";
  switch (column.unit) {
    case Unit::kSeconds:
      return SecondsText(*value);
    case Unit::kPart:
      return PartText(*value);
    case Unit::kCount:
      return CountText(*value);
    case Unit::kRate:
      break;
  }
  return RateText(*value);
}

// What fits beside names of `name_width`, or less where that is needed.
std::vector<Column> Fitting(std::span<const Column> columns, size_t width, size_t taken) {
  std::vector<Column> fitting(columns.begin(), columns.end());
  const auto sum = [&] {
    size_t columns_width = taken;
    for (const Column& column : fitting) columns_width += column.width;
    return columns_width;
  };
  while (width > 0 && !fitting.empty() && sum() > width) {
    fitting.erase(std::max_element(fitting.begin(), fitting.end(),
                                   [](const Column& a, const Column& b) { return a.need < b.need; }));
  }
  return fitting;
}

size_t WidthOf(std::span<const Column> columns) {
  size_t width = 0;
  for (const Column& column : columns) width += column.width;
  return width;
}

// A table's columns: a name, figures, and perhaps a word behind.
class Table {
 public:
  Table(std::span<const Column> columns, size_t width, size_t longest_name, size_t behind)
      : width_(width), columns_(Fitting(columns, width, kNameWidthMin + behind)) {
    name_width_ = std::clamp(longest_name, kNameWidthMin, kNameWidthMax);
    const size_t figures = WidthOf(columns_) + behind;
    if (width > 0) name_width_ = std::min(name_width_, width > figures ? width - figures : width);
  }

  ViewLine Heading(std::string_view name, std::string_view behind) const {
    std::string text = Padded(Cut(std::string(name), name_width_), name_width_);
    for (const Column& column : columns_) text += fmt::format("{:>{}}", column.heading, column.width);
    if (!behind.empty()) text += fmt::format("  {}", behind);
    return {LineStyle::kHeading, Cut(std::move(text), width_)};
  }

  ViewLine Row(LineStyle style, std::string_view indent, const ViewRow& row, std::string_view behind = {}) const {
    std::string text = Padded(Cut(fmt::format("{}{}", indent, Printable(row.name)), name_width_), name_width_);
    for (const Column& column : columns_) text += fmt::format("{:>{}}", CellText(column, row.values), column.width);
    if (!behind.empty()) text += fmt::format("  {}", behind);
    return {style, Cut(std::move(text), width_)};
  }

 private:
  size_t width_;
  std::vector<Column> columns_;
  size_t name_width_ = 0;
};

size_t LongestName(const TrafficView& view) {
  size_t longest = 0;
  for (const ObjectiveView& objective : view.objectives) {
    longest = std::max(longest, WidthOf(Printable(objective.total.name)));
    for (const ViewRow& row : objective.models) longest = std::max(longest, 2 + WidthOf(Printable(row.name)));
    for (const ViewRow& row : objective.shadows) longest = std::max(longest, 9 + WidthOf(Printable(row.name)));
  }
  return longest;
}

// "  err/s UNAVAILABLE 3.00, INTERNAL 0.50; refused/s rate 2.00": nothing where there is nothing.
std::string PartsText(const RowValues& row) {
  std::vector<std::string> groups;
  for (const auto& [cell, name] : {std::pair(Cell::kErrors, "err/s"), std::pair(Cell::kRefusals, "ref/s by limit")}) {
    std::vector<std::pair<double, std::string>> parts;
    for (const auto& [part, value] : row.parts) {
      if (part.first == cell && value > 0) parts.emplace_back(value, Printable(part.second));
    }
    std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    constexpr size_t kPartsShownMax = 8;
    if (parts.size() > kPartsShownMax) parts.resize(kPartsShownMax);
    std::vector<std::string> texts;
    for (const auto& [value, text] : parts) texts.push_back(fmt::format("{} {}", text, RateText(value)));
    if (!texts.empty()) groups.push_back(fmt::format("{} {}", name, fmt::join(texts, ", ")));
  }
  return fmt::format("{}", fmt::join(groups, "; "));
}

// "ejected", where it is all proxies that say so; "ejected by 1 of 3".
std::string HostState(const RowValues& host, size_t proxies) {
  std::vector<std::string> states;
  for (const auto& [cell, word] : {std::pair(Cell::kUnhealthy, "unhealthy"), std::pair(Cell::kEjected, "ejected"),
                                   std::pair(Cell::kPanic, "panic")}) {
    const double by = host[cell].value_or(0);
    if (by <= 0) continue;
    states.push_back(proxies > 1 && by < static_cast<double>(proxies)
                         ? fmt::format("{} at {:.0f} of {}", word, by, proxies)
                         : std::string(word));
  }
  if (!states.empty()) return fmt::format("{}", fmt::join(states, ", "));
  if (host[Cell::kWeight].value_or(1) < 1) return "warming up";
  return host[Cell::kUnhealthy] || host[Cell::kEjected] ? "ok" : "-";
}

size_t Answering(const ViewFrame& frame) {
  return static_cast<size_t>(std::count_if(frame.proxies.begin(), frame.proxies.end(),
                                           [](const ProxyState& proxy) { return proxy.error.empty(); }));
}

void AddObjective(const Table& table, const ObjectiveView& objective, size_t width, std::vector<ViewLine>& lines) {
  lines.push_back(table.Row(LineStyle::kBold, "", objective.total));
  if (const std::string parts = PartsText(objective.total.values); !parts.empty()) {
    lines.push_back({LineStyle::kAlarm, Cut("  " + parts, width)});
  }
  for (const ViewRow& model : objective.models) lines.push_back(table.Row(LineStyle::kPlain, "  ", model));
  for (const ViewRow& shadow : objective.shadows) lines.push_back(table.Row(LineStyle::kFaint, "  shadow ", shadow));
}

nlohmann::ordered_json CellsJson(const RowValues& row, Cell first, Cell last) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (auto i = static_cast<size_t>(first); i <= static_cast<size_t>(last); ++i) {
    const std::string_view name = TraitsOf(static_cast<Cell>(i)).json_name;
    if (name.empty()) continue;
    json[std::string(name)] = row.cells[i] ? nlohmann::ordered_json(*row.cells[i]) : nlohmann::ordered_json();
  }
  return json;
}

nlohmann::ordered_json PartsJson(const RowValues& row, Cell cell) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [part, value] : row.parts) {
    if (part.first == cell) json[part.second] = value;
  }
  return json;
}

nlohmann::ordered_json RowsJson(const std::vector<ViewRow>& rows, const char* key, Cell first, Cell last) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const ViewRow& row : rows) {
    nlohmann::ordered_json one = {{key, row.name}};
    one.update(CellsJson(row.values, first, last));
    json.push_back(std::move(one));
  }
  return json;
}

}  // namespace

std::vector<ViewLine> HeadLines(const ViewFrame& frame, size_t width) {
  std::vector<ViewLine> lines;
  const RowValues& all = frame.view.all;
  const size_t answering = Answering(frame);
  std::string text = fmt::format("{}  {} of {} {}", Rfc3339(frame.unix_ms / 1000 * 1000), answering,
                                 frame.proxies.size(), frame.proxies.size() == 1 ? "proxy" : "proxies");
  text += fmt::format("  {} req/s  {} err/s", all[Cell::kRate] ? RateText(*all[Cell::kRate]) : "-",
                      all[Cell::kErrors] ? RateText(*all[Cell::kErrors]) : "-");
  if (const auto& delay = all[Cell::kWorkerDelay]) text += fmt::format("  worker delay {}", SecondsText(*delay));
  if (const auto& admitted = all[Cell::kAdmitted]; admitted && *admitted < 1) {
    text += fmt::format("  OVERLOADED, lowest class let in {}", PartText(*admitted));
  }
  lines.push_back({LineStyle::kBold, Cut(std::move(text), width)});
  for (const ProxyState& proxy : frame.proxies) {
    if (proxy.error.empty()) continue;
    lines.push_back(
        {LineStyle::kAlarm, Cut(fmt::format("proxy {} does not answer since {}: {}", Printable(proxy.address),
                                            DurationText(proxy.silent.count()), Printable(proxy.error)),
                                width)});
  }
  return lines;
}

std::vector<ViewLine> TableLines(const ViewFrame& frame, size_t width) {
  std::vector<ViewLine> lines;
  const Table traffic(kTrafficColumns, width, LongestName(frame.view), 0);
  lines.push_back(traffic.Heading("OBJECTIVE", ""));
  for (const ObjectiveView& objective : frame.view.objectives) AddObjective(traffic, objective, width, lines);
  if (frame.view.objectives.empty()) {
    lines.push_back({LineStyle::kFaint, Cut(frame.objective.empty() ? "no requests so far"
                                                                    : fmt::format("no requests so far of Objective {}",
                                                                                  Printable(frame.objective)),
                                            width)});
  }
  lines.push_back(
      {LineStyle::kFaint, Cut(fmt::format("p50 and p99: of the last one to two minutes, the worst of a row's "
                                          "cells{}",
                                          frame.proxies.size() > 1 ? " and of the proxies" : ""),
                              width)});
  if (frame.view.hosts.empty()) return lines;
  size_t longest = 0;
  for (const ViewRow& host : frame.view.hosts) longest = std::max(longest, WidthOf(Printable(host.name)));
  const Table hosts(kHostColumns, width, longest, kStateWidth);
  lines.push_back({});
  lines.push_back(hosts.Heading("HOST", "state"));
  const size_t answering = Answering(frame);
  for (const ViewRow& host : frame.view.hosts) {
    const std::string state = HostState(host.values, answering);
    const bool is_good = state == "ok" || state == "-" || state == "warming up";
    lines.push_back(hosts.Row(is_good ? LineStyle::kPlain : LineStyle::kAlarm, "", host, state));
  }
  return lines;
}

std::vector<ViewLine> ScreenLines(const ViewFrame& frame, size_t width, size_t rows, size_t& scroll) {
  std::vector<ViewLine> lines = HeadLines(frame, width);
  // However many proxies are silent, there is room for the others.
  lines.resize(std::min(lines.size(), std::max<size_t>(rows / 2, 1)));
  lines.push_back({LineStyle::kFaint, Cut(fmt::format("q quit  s sort: {}  o Objective: {}  arrows scroll",
                                                      kSortNames[static_cast<size_t>(frame.sort)],
                                                      frame.objective.empty() ? "all" : Printable(frame.objective)),
                                          width)});
  std::vector<ViewLine> table = TableLines(frame, width);
  // The table's heading stays.
  lines.push_back(std::move(table.front()));
  const size_t room = rows > lines.size() ? rows - lines.size() : 0;
  const size_t below = table.size() - 1;
  scroll = std::min(scroll, below > room ? below - room : 0);
  for (size_t i = 0; i < std::min(room, below); ++i) lines.push_back(std::move(table[1 + scroll + i]));
  return lines;
}

nlohmann::ordered_json ToJson(const ViewFrame& frame) {
  nlohmann::ordered_json json = {{"ok", Answering(frame) > 0}, {"unix_ms", frame.unix_ms}};
  nlohmann::ordered_json proxies = nlohmann::ordered_json::array();
  for (const ProxyState& proxy : frame.proxies) {
    nlohmann::ordered_json one = {{"address", proxy.address}, {"ok", proxy.error.empty()}};
    if (!proxy.error.empty()) {
      one["error"] = proxy.error;
      one["silent_ms"] = proxy.silent.count();
    }
    proxies.push_back(std::move(one));
  }
  json["proxies"] = std::move(proxies);
  const RowValues& all = frame.view.all;
  json["all"] = {
      {"requests_per_second", all[Cell::kRate] ? nlohmann::ordered_json(*all[Cell::kRate]) : nlohmann::ordered_json()},
      {"errors_per_second",
       all[Cell::kErrors] ? nlohmann::ordered_json(*all[Cell::kErrors]) : nlohmann::ordered_json()}};
  json["all"].update(CellsJson(all, Cell::kWorkerDelay, Cell::kAdmitted));
  nlohmann::ordered_json objectives = nlohmann::ordered_json::array();
  for (const ObjectiveView& objective : frame.view.objectives) {
    nlohmann::ordered_json one = {{"objective", objective.total.name}};
    one.update(CellsJson(objective.total.values, Cell::kRate, Cell::kDisagreement));
    one["errors_by_code"] = PartsJson(objective.total.values, Cell::kErrors);
    one["refusals_by_limit"] = PartsJson(objective.total.values, Cell::kRefusals);
    one["models"] = RowsJson(objective.models, "model", Cell::kRate, Cell::kStaticAnswers);
    for (size_t i = 0; i < objective.models.size(); ++i) {
      one["models"][i]["errors_by_code"] = PartsJson(objective.models[i].values, Cell::kErrors);
    }
    one["shadows"] = RowsJson(objective.shadows, "shadow", Cell::kShadows, Cell::kDisagreement);
    objectives.push_back(std::move(one));
  }
  json["objectives"] = std::move(objectives);
  json["hosts"] = RowsJson(frame.view.hosts, "host", Cell::kOutstanding, Cell::kEjections);
  return json;
}

}  // namespace signalbox::cli
