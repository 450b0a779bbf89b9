// A view of traffic as lines of a certain width, and as JSON.
#pragma once

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/top/traffic_view.h"

namespace signalbox::cli {

// How a proxy answered last.
struct ProxyState {
  std::string address;
  std::string error;                    // empty: it answered
  std::chrono::milliseconds silent{0};  // since its last good answer, or the start
};

struct ViewFrame {
  TrafficView view;
  std::vector<ProxyState> proxies;
  int64_t unix_ms = 0;
  SortBy sort = SortBy::kRate;
  std::string objective;  // that is shown alone; empty: all
};

enum class LineStyle : uint8_t { kPlain, kHeading, kBold, kFaint, kAlarm };
struct ViewLine {
  LineStyle style = LineStyle::kPlain;
  std::string text;  // printable: no control characters, valid UTF-8, at most as wide as asked for
};

// `width` in columns; 0: as wide as it takes. Columns that do not fit are left out, the least needed first; what is not
// known is "-". Names keep at least kNameWidthMin columns.
inline constexpr size_t kNameWidthMin = 12;
std::vector<ViewLine> HeadLines(const ViewFrame& frame, size_t width);
std::vector<ViewLine> TableLines(const ViewFrame& frame, size_t width);

// Both on a screen of `rows` lines, the table from its line `scroll` on, which is brought within bounds.
std::vector<ViewLine> ScreenLines(const ViewFrame& frame, size_t width, size_t rows, size_t& scroll);

// What is not known is null.
nlohmann::ordered_json ToJson(const ViewFrame& frame);

}  // namespace signalbox::cli
