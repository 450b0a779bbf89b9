#include "decide/condition_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/rfc3339.h"

namespace signalbox::decide {
namespace {

constexpr int kTextsShownMax = 10;
constexpr int kConditionsShownMax = 20;

std::string List(const v1::Texts& texts) {
  std::string list;
  for (int i = 0; i < std::min(texts.texts_size(), kTextsShownMax); ++i)
    list += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", texts.texts(i));
  if (texts.texts_size() > kTextsShownMax) list += fmt::format(", ... {} more", texts.texts_size() - kTextsShownMax);
  return list;
}

// "4 <= app_version < 5"
std::string RangeText(const std::string& field, const std::string& min, bool excludes_min, const std::string& max,
                      bool excludes_max) {
  if (min.empty()) return fmt::format("{} {} {}", field, excludes_max ? "<" : "<=", max);
  if (max.empty()) return fmt::format("{} {} {}", field, excludes_min ? ">" : ">=", min);
  if (min == max && !excludes_min && !excludes_max) return fmt::format("{} = {}", field, min);
  return fmt::format("{} {} {} {} {}", min, excludes_min ? "<" : "<=", field, excludes_max ? "<" : "<=", max);
}

std::string FieldTestText(const v1::FieldTest& test) {
  const std::string& field = test.field();
  switch (test.test_case()) {
    case v1::FieldTest::kIn:
      if (test.in().texts_size() == 1) return fmt::format("{} is \"{}\"", field, test.in().texts(0));
      return fmt::format("{} in ({})", field, List(test.in()));
    case v1::FieldTest::kPrefix:
      return fmt::format("{} begins with {}", field, List(test.prefix()));
    case v1::FieldTest::kRegex:
      return fmt::format("{} matches /{}/", field, test.regex());
    case v1::FieldTest::kNumber: {
      const v1::NumberRange& range = test.number();
      return RangeText(field, range.has_min() ? fmt::format("{}", range.min()) : "", range.excludes_min(),
                       range.has_max() ? fmt::format("{}", range.max()) : "", range.excludes_max());
    }
    case v1::FieldTest::kVersion: {
      const v1::VersionRange& range = test.version();
      return RangeText(field, range.min(), range.excludes_min(), range.max(), range.excludes_max());
    }
    case v1::FieldTest::kPresent:
      return fmt::format("{} exists", field);
    case v1::FieldTest::TEST_NOT_SET:
      break;
  }
  return "nothing";
}

std::string TimeWindowText(const v1::TimeWindow& window) {
  std::string text = "time";
  if (window.from_unix_ms() != 0) text += " from " + Rfc3339(window.from_unix_ms());
  if (window.to_unix_ms() != 0) text += " until " + Rfc3339(window.to_unix_ms());
  return text;
}

std::string WeeklyText(const v1::WeeklyWindow& window) {
  static constexpr std::array<std::string_view, 8> kDays = {"", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  std::string days = window.days().empty() ? "every day" : "";
  for (const int32_t day : window.days()) {
    if (day >= 1 && day <= 7) days += fmt::format("{}{}", days.empty() ? "" : ", ", kDays[static_cast<size_t>(day)]);
  }
  const int offset = window.utc_offset_minutes();
  return fmt::format("{} {:02}:{:02} to {:02}:{:02} UTC{}{:02}:{:02}", days, window.from_minute() / 60,
                     window.from_minute() % 60, window.to_minute() / 60, window.to_minute() % 60,
                     offset < 0 ? '-' : '+', std::abs(offset) / 60, std::abs(offset) % 60);
}

// `within` is whether it stands beside others and needs brackets.
std::string Text(const v1::Condition& condition, bool within);

std::string Joined(const v1::Conditions& conditions, const char* word, const char* when_empty, bool within) {
  if (conditions.conditions().empty()) return when_empty;
  if (conditions.conditions_size() == 1) return Text(conditions.conditions(0), within);
  std::vector<std::string> texts;
  for (int i = 0; i < std::min(conditions.conditions_size(), kConditionsShownMax); ++i)
    texts.push_back(Text(conditions.conditions(i), true));
  if (conditions.conditions_size() > kConditionsShownMax) texts.emplace_back("...");
  std::string text = fmt::format("{}", fmt::join(texts, word));
  return within ? fmt::format("({})", text) : text;
}

std::string Text(const v1::Condition& condition, bool within) {
  switch (condition.test_case()) {
    case v1::Condition::kAll:
      return Joined(condition.all(), " and ", "always", within);
    case v1::Condition::kAny:
      return Joined(condition.any(), " or ", "never", within);
    case v1::Condition::kNot:
      return "not " + Text(condition.not_(), true);
    case v1::Condition::kField:
      return FieldTestText(condition.field());
    case v1::Condition::kTime:
      return TimeWindowText(condition.time());
    case v1::Condition::kWeekly:
      return WeeklyText(condition.weekly());
    case v1::Condition::TEST_NOT_SET:
      break;
  }
  return "nothing";
}

void AddFields(const v1::Condition& condition, std::vector<std::string_view>& fields) {
  for (const v1::Condition& each : condition.all().conditions()) AddFields(each, fields);
  for (const v1::Condition& each : condition.any().conditions()) AddFields(each, fields);
  if (condition.has_not_()) AddFields(condition.not_(), fields);
  if (condition.has_field() && std::find(fields.begin(), fields.end(), condition.field().field()) == fields.end())
    fields.push_back(condition.field().field());
}

}  // namespace

std::string ConditionText(const v1::Condition& condition) { return Text(condition, false); }

std::vector<std::string_view> FieldsOf(const v1::Condition& condition) {
  std::vector<std::string_view> fields;
  AddFields(condition, fields);
  return fields;
}

}  // namespace signalbox::decide
