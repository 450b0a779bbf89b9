#include "decide/condition.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/same_text.h"
#include "decide/decide.h"

namespace signalbox::decide {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kDayMinutes = 24 * 60;

bool IsOneOf(std::span<const uint64_t> packed, std::string_view value) {
  if (value.size() > kShortTextBytesMax) return false;
  const uint64_t number = PackShortText(value);
  bool found = false;
  for (const uint64_t each : packed) found |= each == number;
  // A value that ends in zero bytes is not the text without them.
  return found && value.back() != '\0';
}

// Whole numbers of so many digits are exact as a double.
constexpr size_t kExactDigits = 15;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A decimal number, all of `text`. Neither "inf" nor "nan" nor ".5".
std::optional<double> ParseNumber(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || !IsDigit(digits.front())) return std::nullopt;
  // Most of them are short whole numbers, for which the general way does more than is needed.
  if (digits.size() <= kExactDigits && std::all_of(digits.begin(), digits.end(), IsDigit)) {
    int64_t whole = 0;
    for (const char digit : digits) whole = 10 * whole + (digit - '0');
    return digits.size() < text.size() ? -static_cast<double>(whole) : static_cast<double>(whole);
  }
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IsInRange(const Test& test, double number) {
  const bool above = test.excludes_min ? number > test.number.min : number >= test.number.min;
  return above && (test.excludes_max ? number < test.number.max : number <= test.number.max);
}

bool IsInRange(const Test& test, const SemanticVersion& version) {
  const VersionTest& range = test.version;
  if (range.min != nullptr && (test.excludes_min ? version <= *range.min : version < *range.min)) return false;
  return range.max == nullptr || (test.excludes_max ? version < *range.max : version <= *range.max);
}

// `prefixes` is sorted and none begins with another, so only the last one that is not behind `text` can be its prefix.
bool HasPrefix(std::span<const std::string_view> prefixes, std::string_view text) {
  const auto behind = std::upper_bound(prefixes.begin(), prefixes.end(), text);
  return behind != prefixes.begin() && text.starts_with(*(behind - 1));
}

[[gnu::noinline]] bool HoldsFor(const Test& test, std::string_view value, uint32_t& notes) {
  switch (test.kind) {
    case TestKind::kIsOneOfShort:
      return IsOneOf(test.short_texts, value);
    case TestKind::kIsOneOf:
      return std::any_of(test.texts.begin(), test.texts.end(),
                         [&](std::string_view text) { return SameText(text, value); });
    case TestKind::kIsInTable:
      return test.table->Contains(value);
    case TestKind::kHasPrefix:
      return HasPrefix(test.texts, value);
    case TestKind::kRegex:
      return test.regex->Match(re2::StringPiece(value.data(), value.size()), 0, value.size(), re2::RE2::UNANCHORED,
                               nullptr, 0);
    case TestKind::kNumber:
      if (const auto number = ParseNumber(value)) return IsInRange(test, *number);
      notes |= kWrongType;
      return false;
    case TestKind::kVersion:
      if (const auto version = ParseSemanticVersion(value)) return IsInRange(test, *version);
      notes |= kWrongType;
      return false;
    case TestKind::kPresent:
      return true;
    case TestKind::kTime:
    case TestKind::kWeekly:
      break;
  }
  return false;
}

bool HoldsForOneOf(const Test& test, std::string_view list, uint32_t& notes) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (end > 0 && HoldsFor(test, list.substr(0, end), notes)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool IsIn(const TimeTest& window, int64_t now_unix_ms) {
  if (now_unix_ms == 0) return false;
  return now_unix_ms >= window.from_unix_ms && (window.to_unix_ms == 0 || now_unix_ms < window.to_unix_ms);
}

bool IsIn(const WeeklyTest& window, int64_t now_unix_ms) {
  if (now_unix_ms == 0) return false;
  const auto floor_of = [](int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); };
  const int64_t local_minute = floor_of(now_unix_ms, kMinuteMs) + window.utc_offset_minutes;
  const int64_t local_day = floor_of(local_minute, kDayMinutes);
  const int64_t minute = local_minute - local_day * kDayMinutes;
  // Day 0 was a Thursday, which is bit 3.
  const auto has_day = [&](int64_t day) { return (window.days >> (((day + 3) % 7 + 7) % 7) & 1) != 0; };
  if (window.to_minute > window.from_minute)
    return has_day(local_day) && minute >= window.from_minute && minute < window.to_minute;
  return (has_day(local_day) && minute >= window.from_minute) || (has_day(local_day - 1) && minute < window.to_minute);
}

bool HoldsFor(const Test& test, const RequestContext& context, uint32_t& notes) {
  if (test.kind == TestKind::kTime) return IsIn(test.time, context.now_unix_ms);
  if (test.kind == TestKind::kWeekly) return IsIn(test.weekly, context.now_unix_ms);
  const std::string_view value = ValueOf(context, test.field, test.attribute);
  if (value.empty()) return false;
  if (test.field == FieldId::kSegments) return HoldsForOneOf(test, value, notes);
  // Most tests are of this kind: it is worth its own way, without a call.
  return test.kind == TestKind::kIsOneOfShort ? IsOneOf(test.short_texts, value) : HoldsFor(test, value, notes);
}

}  // namespace

bool Holds(const Condition& condition, const RequestContext& context, uint32_t& notes) {
  uint16_t at = condition.first;
  while (at < Condition::kFails) {
    const Test& test = condition.tests[at];
    at = HoldsFor(test, context, notes) ? test.if_true : test.if_false;
  }
  return at == Condition::kHolds;
}

}  // namespace signalbox::decide
