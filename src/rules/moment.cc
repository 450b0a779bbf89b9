#include "rules/moment.h"

#include <charconv>
#include <string>

#include "absl/time/time.h"

namespace signalbox::rules {
namespace {

constexpr int64_t kYear9999EndMs = 253'402'300'799'999;
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
  // 'T' and a year of four digits: the parser takes more than the standard does.
  if (text.size() < sizeof("2026-01-31T18:00:00Z") - 1 || text.size() > 40 || text[4] != '-' || text[10] != 'T')
    return std::nullopt;
  for (const char c : text.substr(0, 4)) {
    if (c < '0' || c > '9') return std::nullopt;
  }
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) return std::nullopt;
  const int64_t unix_ms = absl::ToUnixMillis(time);
  if (unix_ms <= 0 || unix_ms > kYear9999EndMs) return std::nullopt;
  return unix_ms;
}

std::string MomentText(int64_t unix_ms) {
  const bool is_whole = unix_ms % 1000 == 0;
  return absl::FormatTime(is_whole ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(unix_ms),
                          absl::UTCTimeZone());
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
