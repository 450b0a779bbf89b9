#include "base/duration_text.h"

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>

namespace signalbox {

std::string DurationText(int64_t ms) {
  constexpr int64_t kSecond = 1000;
  constexpr int64_t kMinute = 60 * kSecond;
  constexpr int64_t kHour = 60 * kMinute;
  constexpr std::pair<int64_t, std::string_view> kUnits[] = {
      {24 * kHour, "d"}, {kHour, "h"}, {kMinute, "min"}, {kSecond, "s"}};
  for (size_t i = 0; i < std::size(kUnits); ++i) {
    const int64_t count = ms / kUnits[i].first;
    if (count == 0) continue;
    const std::string text = fmt::format("{} {}", count, kUnits[i].second);
    if (i + 1 == std::size(kUnits)) return text;
    const int64_t rest = ms % kUnits[i].first / kUnits[i + 1].first;
    return rest == 0 ? text : fmt::format("{} {} {}", text, rest, kUnits[i + 1].second);
  }
  return fmt::format("{} ms", ms);
}

}  // namespace signalbox
