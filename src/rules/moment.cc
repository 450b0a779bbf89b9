#include "rules/moment.h"

#include <charconv>

#include "base/rfc3339.h"

namespace signalbox::rules {
namespace {

constexpr int64_t kDurationMsMax = 3650LL * 86'400'000;

std::optional<int32_t> TwoDigits(std::string_view text) {
  if (text.size() != 2) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  return (text[0] - '0') * 10 + (text[1] - '0');
}

// "18:30"
std::optional<int32_t> Minutes(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const std::optional<int32_t> hours = TwoDigits(text.substr(0, 2));
  const std::optional<int32_t> minutes = TwoDigits(text.substr(3));
  if (!hours || !minutes || *minutes > 59) return std::nullopt;
  return *hours * 60 + *minutes;
}

}  // namespace

std::optional<int64_t> ParseMoment(std::string_view text) {
  const std::optional<int64_t> unix_ms = ParseRfc3339(text);
  // 0 stands for "open" in a rule set.
  return unix_ms == 0 ? std::nullopt : unix_ms;
}

std::optional<int64_t> ParseDuration(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  int64_t unit_ms = 0;
  switch (text.back()) {
    case 's':
      unit_ms = 1000;
      break;
    case 'm':
      unit_ms = 60'000;
      break;
    case 'h':
      unit_ms = 3'600'000;
      break;
    case 'd':
      unit_ms = 86'400'000;
      break;
    default:
      return std::nullopt;
  }
  const std::string_view digits = text.substr(0, text.size() - 1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (number <= 0 || number > kDurationMsMax / unit_ms) return std::nullopt;
  return number * unit_ms;
}

std::optional<int32_t> ParseMinuteOfDay(std::string_view text) {
  const std::optional<int32_t> minutes = Minutes(text);
  if (!minutes || *minutes > 24 * 60) return std::nullopt;
  return minutes;
}

std::optional<int32_t> ParseUtcOffset(std::string_view text) {
  if (text == "Z") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const std::optional<int32_t> minutes = Minutes(text.substr(1));
  if (!minutes) return std::nullopt;
  const int32_t offset = text[0] == '-' ? -*minutes : *minutes;
  if (offset < -12 * 60 || offset > 14 * 60) return std::nullopt;
  return offset;
}

}  // namespace signalbox::rules
