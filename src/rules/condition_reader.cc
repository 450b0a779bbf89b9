#include "rules/condition_reader.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "api/rule_set.h"
#include "base/printable.h"
#include "base/rfc3339.h"
#include "rules/field_reader.h"
#include "rules/moment.h"
#include "rules/suggestion.h"
#include "rules/version_text.h"

namespace signalbox::rules {
namespace {

using rule_set::kConditionDepthMax;
using rule_set::kConditionTestsMax;
using rule_set::kConditionTextBytesMax;
using rule_set::kConditionTextsMax;
using rule_set::kPatternBytesMax;
using rule_set::kPatternMemoryBytesMax;

struct ContextField {
  std::string_view name;
  std::string_view in_rules;
};
constexpr std::array<ContextField, 9> kContextFields = {{{"user", "when.user"},
                                                         {"country", "when.country"},
                                                         {"locale", "when.locale"},
                                                         {"device", "when.device"},
                                                         {"surface", "when.surface"},
                                                         {"tenant", "when.tenant"},
                                                         {"traffic_type", "when.trafficType"},
                                                         {"app_version", "when.appVersion"},
                                                         {"segments", "when.segments"}}};

constexpr char kConditionExpected[] = "a condition, such as when.country.is('US')";
// 9999-12-31, and what JavaScript's numbers hold exactly.
constexpr double kUnixMsMax = 253'402'300'799'999;
constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

// Each function returns false after it has said what is wrong.
class ConditionReader {
 public:
  bool Read(const RuleValue& value, v1::Condition& condition, int depth = 0) {
    const auto* object = std::get_if<RuleValue::Object>(&value.data);
    if (std::holds_alternative<Unusable>(value.data) && InWords(value) == "a function")
      return Wrong(fmt::format("expected {}, got a function; are the () behind it missing?", kConditionExpected));
    if (object == nullptr || object->empty()) return Expected(kConditionExpected, value);
    if (const RuleValue* field = Find(value, "field");
        field != nullptr && std::holds_alternative<std::string>(field->data))
      return Wrong(fmt::format("expected {}, got a field without a test", kConditionExpected));
    const auto& [kind, body] = object->front();
    if (object->size() != 1)
      return Wrong(fmt::format("expected {}, got an object of {} keys", kConditionExpected, object->size()));
    size_.levels = std::max(size_.levels, static_cast<size_t>(depth) + 1);
    if (std::optional<std::string> wrong = WrongSize(size_)) return Wrong(*std::move(wrong));
    if (kind == "all") return ReadAll(body, *condition.mutable_all(), depth);
    if (kind == "any") return ReadAll(body, *condition.mutable_any(), depth);
    if (kind == "not") return Read(body, *condition.mutable_not_(), depth + 1);
    ++size_.tests;
    if (std::optional<std::string> wrong = WrongSize(size_)) return Wrong(*std::move(wrong));
    if (kind == "field") return ReadField(body, *condition.mutable_field());
    if (kind == "time") return ReadTime(body, *condition.mutable_time());
    if (kind == "weekly") return ReadWeekly(body, *condition.mutable_weekly());
    return Wrong(fmt::format("expected {}, got an object with the key \"{}\"{}", kConditionExpected, Shown(kind),
                             DidYouMean(kind, {"all", "any", "not", "field", "time", "weekly"})));
  }

  std::string take_wrong() { return std::move(wrong_); }
  const ConditionSize& size() const { return size_; }

 private:
  static std::string Shown(std::string_view text) { return EscapeControlCharacters(text.substr(0, 80)); }

  bool Wrong(std::string what) {
    wrong_ = std::move(what);
    return false;
  }
  bool Expected(std::string_view expected, const RuleValue& value) {
    return Wrong(fmt::format("expected {}, got {}", expected, EscapeControlCharacters(InWords(value))));
  }

  const RuleValue* Find(const RuleValue& object, std::string_view key) {
    const auto* properties = std::get_if<RuleValue::Object>(&object.data);
    if (properties == nullptr) return nullptr;
    for (const auto& [name, value] : *properties) {
      if (name == key && !std::holds_alternative<RuleValue::Nothing>(value.data)) return &value;
    }
    return nullptr;
  }

  bool CheckKeys(const RuleValue& object, std::string_view what, std::initializer_list<const char*> known) {
    const auto* properties = std::get_if<RuleValue::Object>(&object.data);
    if (properties == nullptr) return Expected(what, object);
    const std::vector<std::string> names(known.begin(), known.end());
    for (const auto& [name, value] : *properties) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string hint = DidYouMean(name, names);
      return Wrong(fmt::format("unknown key \"{}\"{}", Shown(name),
                               hint.empty() ? fmt::format(", expected {}", fmt::join(names, ", ")) : hint));
    }
    return true;
  }

  bool ReadAll(const RuleValue& body, v1::Conditions& conditions, int depth) {
    if (!CheckKeys(body, "{conditions: [...]}", {"conditions"})) return false;
    const RuleValue* list = Find(body, "conditions");
    const auto* items = list == nullptr ? nullptr : std::get_if<RuleValue::Array>(&list->data);
    if (items == nullptr || items->empty()) return Wrong("expected at least one condition");
    return std::all_of(items->begin(), items->end(),
                       [&](const RuleValue& item) { return Read(item, *conditions.add_conditions(), depth + 1); });
  }

  bool ReadField(const RuleValue& body, v1::FieldTest& test) {
    if (!CheckKeys(body, "{field: '...', in: {texts: [...]}}",
                   {"field", "in", "prefix", "regex", "number", "version", "present"})) {
      return false;
    }
    const RuleValue* field = Find(body, "field");
    const auto* name = field == nullptr ? nullptr : std::get_if<std::string>(&field->data);
    if (name == nullptr) return Wrong("expected the name of a field, as text");
    if (!IsContextField(*name)) {
      if (std::optional<std::string> wrong = WrongAttributeName(*field)) return Wrong(*std::move(wrong));
    }
    test.set_field(*name);
    const auto& properties = std::get<RuleValue::Object>(body.data);
    if (properties.size() != 2)
      return Wrong(fmt::format("expected one test of {}, got {}", *name, properties.size() - 1));
    if (const RuleValue* in = Find(body, "in")) return ReadTexts(*in, *name, *test.mutable_in());
    if (const RuleValue* prefix = Find(body, "prefix")) return ReadTexts(*prefix, *name, *test.mutable_prefix());
    if (const RuleValue* regex = Find(body, "regex")) return ReadPattern(*regex, test);
    if (const RuleValue* number = Find(body, "number")) return ReadNumbers(*number, *name, *test.mutable_number());
    if (const RuleValue* version = Find(body, "version")) return ReadVersions(*version, *test.mutable_version());
    if (const RuleValue* present = Find(body, "present")) {
      test.mutable_present();
      return CheckKeys(*present, "{}", {});
    }
    return Wrong(fmt::format("expected a test of {}", *name));
  }

  bool ReadTexts(const RuleValue& body, const std::string& field, v1::Texts& texts) {
    if (!CheckKeys(body, "{texts: [...]}", {"texts"})) return false;
    const RuleValue* list = Find(body, "texts");
    const auto* items = list == nullptr ? nullptr : std::get_if<RuleValue::Array>(&list->data);
    if (items == nullptr || items->empty()) return Wrong("expected at least one value, such as 'US'");
    size_.texts += items->size();
    if (std::optional<std::string> wrong = WrongSize(size_)) return Wrong(*std::move(wrong));
    for (const RuleValue& item : *items) {
      const auto* text = std::get_if<std::string>(&item.data);
      if (text == nullptr) return Expected("a text, such as 'US'", item);
      if (!CheckText(*text, field)) return false;
      texts.add_texts(*text);
    }
    return true;
  }

  bool CheckText(const std::string& text, const std::string& field) {
    if (text.empty()) return Wrong("expected a text that is not empty; whether there is a value tells .exists()");
    if (text.size() > kConditionTextBytesMax)
      return Wrong(fmt::format("a text of {} bytes, expected at most {}", text.size(), kConditionTextBytesMax));
    if (HoldsControlCharacters(text)) {
      return Wrong(fmt::format("the text \"{}\" holds control characters, expected none", Shown(text)));
    }
    if (field == "segments" && text.find(' ') != std::string::npos)
      return Wrong(fmt::format("the segment \"{}\" holds a space, expected none", Shown(text)));
    static const std::vector<std::string> kTypes = {"live", "synthetic", "replay", "shadow"};
    if (field == "traffic_type" && std::find(kTypes.begin(), kTypes.end(), text) == kTypes.end()) {
      return Wrong(fmt::format("there is no traffic type \"{}\"{}; expected {}", Shown(text), DidYouMean(text, kTypes),
                               fmt::join(kTypes, ", ")));
    }
    return true;
  }

  bool ReadPattern(const RuleValue& value, v1::FieldTest& test) {
    const auto* pattern = std::get_if<std::string>(&value.data);
    if (pattern == nullptr) return Expected("a regular expression as text", value);
    if (std::optional<std::string> wrong = WrongPattern(*pattern)) return Wrong(*std::move(wrong));
    test.set_regex(*pattern);
    return true;
  }

  bool ReadFlag(const RuleValue& body, std::string_view key, bool& flag) {
    const RuleValue* value = Find(body, key);
    if (value == nullptr) return true;
    const auto* boolean = std::get_if<bool>(&value->data);
    if (boolean == nullptr) return Expected("true or false", *value);
    flag = *boolean;
    return true;
  }

  bool ReadNumber(const RuleValue& value, double& number) {
    const auto* read = std::get_if<double>(&value.data);
    if (read == nullptr || !std::isfinite(*read)) return Expected("a finite number", value);
    number = *read == 0 ? 0 : *read;  // -0 is 0
    return true;
  }

  bool ReadNumbers(const RuleValue& body, const std::string& field, v1::NumberRange& range) {
    if (!CheckKeys(body, "{min: 1, max: 2}", {"min", "max", "excludes_min", "excludes_max"})) return false;
    if (IsContextField(field))
      return Wrong(fmt::format("{} is no number; only attributes are compared as numbers", field));
    const RuleValue* min = Find(body, "min");
    const RuleValue* max = Find(body, "max");
    if (min == nullptr && max == nullptr) return Wrong("expected a number");
    double number = 0;
    if (min != nullptr) {
      if (!ReadNumber(*min, number)) return false;
      range.set_min(number);
    }
    if (max != nullptr) {
      if (!ReadNumber(*max, number)) return false;
      range.set_max(number);
    }
    bool excludes_min = false;
    bool excludes_max = false;
    if (!ReadFlag(body, "excludes_min", excludes_min) || !ReadFlag(body, "excludes_max", excludes_max)) return false;
    range.set_excludes_min(excludes_min && min != nullptr);
    range.set_excludes_max(excludes_max && max != nullptr);
    if (min != nullptr && max != nullptr && range.min() > range.max())
      return Wrong(
          fmt::format("nothing is between {} and {}; the smaller number comes first", range.min(), range.max()));
    return true;
  }

  bool ReadVersion(const RuleValue& value, std::string& version) {
    const auto* text = std::get_if<std::string>(&value.data);
    const std::optional<std::string> canonical = text == nullptr ? std::nullopt : CanonicalVersion(*text);
    if (!canonical) return Expected("a version as text, such as '4.2.1'", value);
    version = *canonical;
    return true;
  }

  bool ReadVersions(const RuleValue& body, v1::VersionRange& range) {
    if (!CheckKeys(body, "{min: '1.0', max: '2.0'}", {"min", "max", "excludes_min", "excludes_max"})) return false;
    const RuleValue* min = Find(body, "min");
    const RuleValue* max = Find(body, "max");
    if (min == nullptr && max == nullptr) return Wrong("expected a version as text, such as '4.2.1'");
    if (min != nullptr && !ReadVersion(*min, *range.mutable_min())) return false;
    if (max != nullptr && !ReadVersion(*max, *range.mutable_max())) return false;
    bool excludes_min = false;
    bool excludes_max = false;
    if (!ReadFlag(body, "excludes_min", excludes_min) || !ReadFlag(body, "excludes_max", excludes_max)) return false;
    range.set_excludes_min(excludes_min && min != nullptr);
    range.set_excludes_max(excludes_max && max != nullptr);
    if (min != nullptr && max != nullptr && CompareVersions(range.min(), range.max()) > 0)
      return Wrong(
          fmt::format("nothing is between {} and {}; the lower version comes first", range.min(), range.max()));
    return true;
  }

  bool ReadWhole(const RuleValue& body, std::string_view key, double low, double high, double& number) {
    const RuleValue* value = Find(body, key);
    if (value == nullptr) return true;
    const auto* read = std::get_if<double>(&value->data);
    if (read == nullptr || !(*read >= low && *read <= high) || *read != std::floor(*read))
      return Expected(fmt::format("{}: a whole number from {:.0f} to {:.0f}", key, low, high), *value);
    number = *read;
    return true;
  }

  bool ReadTime(const RuleValue& body, v1::TimeWindow& window) {
    double from = 0;
    double to = 0;
    if (!CheckKeys(body, "{from_unix_ms: ..., to_unix_ms: ...}", {"from_unix_ms", "to_unix_ms"}) ||
        !ReadWhole(body, "from_unix_ms", 0, kUnixMsMax, from) || !ReadWhole(body, "to_unix_ms", 0, kUnixMsMax, to)) {
      return false;
    }
    if (from == 0 && to == 0) return Wrong("expected a time");
    window.set_from_unix_ms(static_cast<int64_t>(from));
    window.set_to_unix_ms(static_cast<int64_t>(to));
    if (to != 0 && from >= to) {
      return Wrong(fmt::format("no time is from {} and before {}; the earlier one comes first",
                               Rfc3339(window.from_unix_ms()), Rfc3339(window.to_unix_ms())));
    }
    return true;
  }

  bool ReadWeekly(const RuleValue& body, v1::WeeklyWindow& window) {
    double from = 0;
    double to = 0;
    double offset = 0;
    if (!CheckKeys(body, "{days: [...], from_minute: ..., to_minute: ...}",
                   {"days", "from_minute", "to_minute", "utc_offset_minutes"}) ||
        !ReadWhole(body, "from_minute", 0, 1439, from) || !ReadWhole(body, "to_minute", 0, 1440, to) ||
        !ReadWhole(body, "utc_offset_minutes", -720, 840, offset)) {
      return false;
    }
    window.set_from_minute(static_cast<int32_t>(from));
    window.set_to_minute(static_cast<int32_t>(to));
    window.set_utc_offset_minutes(static_cast<int32_t>(offset));
    const RuleValue* days = Find(body, "days");
    if (days == nullptr) return true;
    const auto* items = std::get_if<RuleValue::Array>(&days->data);
    if (items == nullptr) return Expected("days: an array of 1 (Monday) to 7 (Sunday)", *days);
    std::set<int32_t> sorted;
    for (const RuleValue& item : *items) {
      const auto* day = std::get_if<double>(&item.data);
      if (day == nullptr || !(*day >= 1 && *day <= 7) || *day != std::floor(*day))
        return Expected("days: an array of 1 (Monday) to 7 (Sunday)", item);
      sorted.insert(static_cast<int32_t>(*day));
    }
    // Every day is written as none.
    if (sorted.size() < kDays.size()) window.mutable_days()->Assign(sorted.begin(), sorted.end());
    return true;
  }

  std::string wrong_;
  ConditionSize size_;
};

const std::string* TextAt(const RuleValue& value) { return std::get_if<std::string>(&value.data); }

}  // namespace

std::optional<std::string> ReadCondition(const RuleValue& value, v1::Condition& condition, ConditionSize* size) {
  ConditionReader reader;
  if (!reader.Read(value, condition)) return reader.take_wrong();
  if (size != nullptr) *size = reader.size();
  return std::nullopt;
}

std::optional<std::string> WrongSize(const ConditionSize& size) {
  if (size.levels > kConditionDepthMax)
    return fmt::format("conditions are nested more than {} deep, the limit of one condition", kConditionDepthMax);
  if (size.tests > kConditionTestsMax)
    return fmt::format("more than {} tests in one condition, the limit", kConditionTestsMax);
  if (size.texts <= kConditionTextsMax) return std::nullopt;
  return fmt::format("has {} values, expected at most {} in one condition; lists of users belong into a segment",
                     size.texts, kConditionTextsMax);
}

std::optional<std::string> ReadWeeklyWindow(const RuleValue& value, v1::WeeklyWindow& window) {
  constexpr char kExpected[] = "{days: ['sat', 'sun'], from: '18:00', to: '23:00', utcOffset: '+01:00'}";
  const auto* object = std::get_if<RuleValue::Object>(&value.data);
  if (object == nullptr) return fmt::format("expected {}, got {}", kExpected, InWords(value));
  bool has_from = false;
  bool has_to = false;
  for (const auto& [key, item] : *object) {
    const std::string* text = TextAt(item);
    if (key == "from" || key == "to") {
      const std::optional<int32_t> minute = text == nullptr ? std::nullopt : ParseMinuteOfDay(*text);
      if (!minute || (key == "from" && *minute == 1440))
        return fmt::format("{}: expected a time of day, such as '18:00', got {}", key, InWords(item));
      (key == "from" ? has_from : has_to) = true;
      if (key == "from") window.set_from_minute(*minute);
      if (key == "to") window.set_to_minute(*minute);
    } else if (key == "utcOffset") {
      const std::optional<int32_t> offset = text == nullptr ? std::nullopt : ParseUtcOffset(*text);
      if (!offset) return fmt::format("utcOffset: expected an offset such as '+01:00' or 'Z', got {}", InWords(item));
      window.set_utc_offset_minutes(*offset);
    } else if (key == "days") {
      const auto* days = std::get_if<RuleValue::Array>(&item.data);
      if (days == nullptr || days->empty())
        return fmt::format("days: expected an array of {}, got {}", fmt::join(kDays, ", "),
                           days == nullptr ? InWords(item) : "an empty one");
      for (const RuleValue& day : *days) {
        const std::string* name = TextAt(day);
        const auto* found = name == nullptr ? kDays.end() : std::find(kDays.begin(), kDays.end(), *name);
        if (found == kDays.end()) return fmt::format("days: expected {}, got {}", fmt::join(kDays, ", "), InWords(day));
        window.add_days(static_cast<int32_t>(found - kDays.begin()) + 1);
      }
    } else {
      const std::vector<std::string> known = {"days", "from", "to", "utcOffset"};
      const std::string hint = DidYouMean(key, known);
      return fmt::format("unknown key \"{}\"{}", EscapeControlCharacters(key.substr(0, 80)),
                         hint.empty() ? ", expected days, from, to, utcOffset" : hint);
    }
  }
  if (!has_from || !has_to) return fmt::format("{} is missing, expected {}", has_from ? "to" : "from", kExpected);
  return std::nullopt;
}

std::optional<std::string> WrongAttributeName(const RuleValue& value) {
  const std::string* name = TextAt(value);
  if (name == nullptr || !rule_set::IsName(*name)) {
    return fmt::format("expected the name of an attribute, of 1 to {} letters, digits, '.', '_' and '-', got {}",
                       rule_set::kNameBytesMax, EscapeControlCharacters(InWords(value)));
  }
  for (const ContextField& field : kContextFields) {
    if (field.name == *name || field.in_rules.substr(5) == *name)
      return fmt::format("{} is a field of its own: write {}", *name, field.in_rules);
  }
  return std::nullopt;
}

bool IsContextField(std::string_view name) {
  return std::any_of(kContextFields.begin(), kContextFields.end(),
                     [&](const ContextField& field) { return field.name == name; });
}

std::optional<std::string> WrongPattern(const std::string& pattern) {
  if (pattern.empty()) return "expected a regular expression that is not empty";
  if (pattern.size() > kPatternBytesMax)
    return fmt::format("a regular expression of {} bytes, expected at most {}", pattern.size(), kPatternBytesMax);
  RE2::Options options;
  options.set_max_mem(kPatternMemoryBytesMax);
  options.set_log_errors(false);
  const RE2 compiled(pattern, options);
  if (compiled.ok()) return std::nullopt;
  std::string why = compiled.error();
  switch (compiled.error_code()) {
    case RE2::ErrorBadPerlOp:
      why += "; look-ahead, look-behind and named groups are not possible";
      break;
    case RE2::ErrorBadEscape:
      why += "; there are no back references and no \\u: write the character itself, or \\x{...}";
      break;
    case RE2::ErrorPatternTooLarge:
      why += "; write smaller counts in {}";
      break;
    default:
      break;
  }
  return fmt::format("RE2 cannot run the regular expression {}: {}", EscapeControlCharacters(pattern.substr(0, 80)),
                     EscapeControlCharacters(why));
}

}  // namespace signalbox::rules
