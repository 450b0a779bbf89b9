// Times and durations as rule authors write them: '2026-01-31T18:00:00Z', '30m', '18:00'.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace signalbox::rules {

inline constexpr char kMomentExpected[] =
    "a time as text, such as '2026-01-31T18:00:00Z' or '2026-01-31T18:00:00+01:00'";
inline constexpr char kDurationExpected[] =
    "a duration as text: a whole number and s, m, h or d, such as '30m' or '2h'";

// As ParseRfc3339 (base/rfc3339.h), but after the first moment of 1970, which means none in a rule set.
std::optional<int64_t> ParseMoment(std::string_view text);

// More than 0, at most 3650 days, in milliseconds.
std::optional<int64_t> ParseDuration(std::string_view text);

// '18:00' -> 1080; '24:00' is the end of the day.
std::optional<int32_t> ParseMinuteOfDay(std::string_view text);
// '+01:00' -> 60, 'Z' -> 0; from -12:00 to +14:00.
std::optional<int32_t> ParseUtcOffset(std::string_view text);

}  // namespace signalbox::rules
