#include "rules/when.h"

#include <fmt/format.h>
#include <js/RegExp.h>
#include <js/RegExpFlags.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "rules/condition_reader.h"
#include "rules/condition_value.h"
#include "rules/field_reader.h"
#include "rules/moment.h"
#include "rules/suggestion.h"
#include "rules/value_copy.h"
#include "rules/when_script.h"

namespace signalbox::rules {
namespace {

// What one condition may hold, in values and texts: far above its own limits, which say better what is wrong.
constexpr CopyBudget kConditionBudget{.values = 400'000, .text_bytes = 8U << 20};

bool Throw(JSContext* context, std::string_view message) {
  JS_ReportErrorUTF8(context, "%s", std::string(message).c_str());
  return false;
}

std::optional<RuleValue> Copied(JSContext* context, JS::HandleValue value) {
  CopyBudget budget = kConditionBudget;
  return CopyValue(context, value, budget);
}

// Of an argument that the script itself gives, or of a property's name.
std::string TextOf(JSContext* context, JS::HandleValue value) {
  JS::RootedString text(context, JS::ToString(context, value));
  JS::UniqueChars utf8 = text ? JS_EncodeStringToUTF8(context, text) : nullptr;
  return utf8 ? utf8.get() : "";
}

bool ReturnText(JSContext* context, JS::CallArgs& arguments, std::string_view text) {
  JSString* result = JS_NewStringCopyUTF8N(context, JS::UTF8Chars(text.data(), text.size()));
  if (result == nullptr) return false;
  arguments.rval().setString(result);
  return true;
}

// made(what, methods, data) -> a condition. Throws what is wrong with it.
bool Made(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const std::optional<RuleValue> copy = Copied(context, arguments.get(2));
  if (!copy) return false;
  v1::Condition condition;
  ConditionSize size;
  const std::optional<std::string> wrong = ReadCondition(*copy, condition, &size);
  if (wrong) return Throw(context, fmt::format("{}: {}", TextOf(context, arguments.get(0)), *wrong));
  JS::RootedObject methods(context, &arguments[1].toObject());
  JS::RootedObject data(context, &arguments[2].toObject());
  JSObject* made = NewConditionValue(context, methods, data, size);
  if (made == nullptr) return false;
  arguments.rval().setObject(*made);
  return true;
}

// The list in a condition that is {[kind]: {conditions: [...]}}; nullptr in others, and when something threw.
JSObject* ListIn(JSContext* context, JSObject* condition, const char* kind) {
  JS::RootedObject object(context, ConditionData(condition));
  JS::RootedValue value(context);
  for (const char* key : {kind, "conditions"}) {
    bool is_there = false;
    if (!JS_HasOwnProperty(context, object, key, &is_there) || !is_there ||
        !JS_GetProperty(context, object, key, &value) || !value.isObject()) {
      return nullptr;
    }
    object = &value.toObject();
  }
  return object;
}

// Of an array that when.js made.
bool AppendItems(JSContext* context, JS::HandleObject array, JS::MutableHandleValueVector items) {
  uint32_t length = 0;
  if (!JS::GetArrayLength(context, array, &length)) return false;
  JS::RootedValue item(context);
  for (uint32_t i = 0; i < length; ++i) {
    if (!JS_GetElement(context, array, i, &item) || !items.append(item)) return false;
  }
  return true;
}

// combined(what, methods, "all" | "any", operands) -> a condition. `a.and(b).and(c)` is one list of three: nesting is
// limited, length is not. Operands that are conditions have been checked when they were made.
bool Combined(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const std::string what = TextOf(context, arguments.get(0));
  const std::string kind = TextOf(context, arguments.get(2));
  JS::RootedObject methods(context, &arguments[1].toObject());
  JS::RootedObject given(context, &arguments[3].toObject());
  JS::RootedValueVector operands(context);
  JS::RootedValueVector conditions(context);
  if (!AppendItems(context, given, &operands)) return false;
  if (operands.empty()) return Throw(context, what + ": expected at least one condition");
  ConditionSize size;
  JS::RootedObject list(context);
  for (size_t i = 0; i < operands.length(); ++i) {
    JSObject* operand = operands[i].isObject() ? &operands[i].toObject() : nullptr;
    const bool is_made = operand != nullptr && ConditionData(operand) != nullptr;
    ConditionSize one;
    std::optional<std::string> wrong;
    if (is_made) {
      one = SizeOfCondition(operand);
    } else {
      const std::optional<RuleValue> copy = Copied(context, operands[i]);
      if (!copy) return false;
      v1::Condition condition;
      wrong = ReadCondition(*copy, condition, &one);
    }
    list = is_made ? ListIn(context, operand, kind.c_str()) : nullptr;
    const bool is_taken = list != nullptr ? AppendItems(context, list, &conditions) : conditions.append(operands[i]);
    if (!is_taken) return false;
    size.tests += one.tests;
    size.texts += one.texts;
    size.levels = std::max(size.levels, one.levels + (list != nullptr ? 0 : 1));
    if (!wrong) wrong = WrongSize(size);
    if (wrong) return Throw(context, fmt::format("{}: {}", what, *wrong));
  }
  JS::RootedObject body(context, JS_NewPlainObject(context));
  JS::RootedObject data(context, JS_NewPlainObject(context));
  list = JS::NewArrayObject(context, conditions);
  if (body == nullptr || data == nullptr || list == nullptr ||
      !JS_DefineProperty(context, body, "conditions", list, JSPROP_ENUMERATE) ||
      !JS_DefineProperty(context, data, kind.c_str(), body, JSPROP_ENUMERATE)) {
    return false;
  }
  JSObject* made = NewConditionValue(context, methods, data, size);
  if (made == nullptr) return false;
  arguments.rval().setObject(*made);
  return true;
}

// dataOf(condition) -> its data; undefined of everything else.
bool DataOf(JSContext*, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  JSObject* data = arguments.get(0).isObject() ? ConditionData(&arguments.get(0).toObject()) : nullptr;
  arguments.rval().set(data != nullptr ? JS::ObjectValue(*data) : JS::UndefinedValue());
  return true;
}

// unknown(what, name, names): throws.
bool Unknown(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const std::string what = TextOf(context, arguments.get(0));
  const std::string name = TextOf(context, arguments.get(1)).substr(0, 100);
  const std::optional<RuleValue> names = Copied(context, arguments.get(2));
  if (!names) return false;
  std::vector<std::string> known;
  if (const auto* items = std::get_if<RuleValue::Array>(&names->data)) {
    for (const RuleValue& item : *items) {
      if (const auto* text = std::get_if<std::string>(&item.data)) known.push_back(*text);
    }
  }
  std::string hint = DidYouMean(name, known);
  if (hint.empty()) hint = fmt::format("; it has {}", fmt::join(known, ", "));
  return Throw(context, fmt::format("{} has no {}{}", what, name, hint));
}

bool RefuseChange(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  return Throw(context, fmt::format("{} cannot be changed, it can only be read", TextOf(context, arguments.get(0))));
}

// given(what, "number" | "version", value) -> value
bool Given(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const bool is_number = TextOf(context, arguments.get(1)) == "number";
  arguments.rval().set(arguments.get(2));
  if (is_number ? arguments.get(2).isNumber() : arguments.get(2).isString()) return true;
  const std::optional<RuleValue> copy = Copied(context, arguments.get(2));
  if (!copy) return false;
  return Throw(context, fmt::format("{}: expected {}, got {}", TextOf(context, arguments.get(0)),
                                    is_number ? "a number" : "a version as text, such as '4.2.1'", InWords(*copy)));
}

// pattern(what, /source/flags | 'source') -> RE2's way to write it
bool Pattern(JSContext* context, unsigned count, JS::Value* values) {
  JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  JS::RootedValue given(context, arguments.get(1));
  JS::RootedObject object(context, given.isObject() ? &given.toObject() : nullptr);
  bool is_regexp = false;
  if (object != nullptr && !JS::ObjectIsRegExp(context, object, &is_regexp)) return false;
  const std::string what = TextOf(context, arguments.get(0));
  if (given.isString()) return ReturnText(context, arguments, TextOf(context, given));
  if (!is_regexp) {
    const std::optional<RuleValue> copy = Copied(context, given);
    if (!copy) return false;
    return Throw(context,
                 fmt::format("{}: expected a regular expression such as /^beta-/i, got {}", what, InWords(*copy)));
  }
  const JS::RegExpFlags flags = JS::GetRegExpFlags(context, object);
  JS::RootedString source(context, JS::GetRegExpSource(context, object));
  if (source == nullptr) return false;
  if (flags.global() || flags.sticky() || flags.unicode() || flags.hasIndices()) {
    return Throw(context, fmt::format("{}: of a regular expression's flags only i, m and s have a meaning here; "
                                      "remove the others",
                                      what));
  }
  const std::string letters =
      fmt::format("{}{}{}", flags.ignoreCase() ? "i" : "", flags.multiline() ? "m" : "", flags.dotAll() ? "s" : "");
  given.setString(source);
  const std::string text = TextOf(context, given);
  return ReturnText(context, arguments, letters.empty() ? text : fmt::format("(?{}){}", letters, text));
}

// attribute(what, name): throws what is wrong with the name.
bool AttributeName(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  arguments.rval().setUndefined();
  const std::optional<RuleValue> copy = Copied(context, arguments.get(1));
  if (!copy) return false;
  const std::optional<std::string> wrong = WrongAttributeName(*copy);
  return !wrong || Throw(context, fmt::format("{}: {}", TextOf(context, arguments.get(0)), *wrong));
}

// millis(what, '2026-01-01T00:00:00Z') -> milliseconds since 1970
bool Millis(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const std::optional<RuleValue> copy = Copied(context, arguments.get(1));
  if (!copy) return false;
  const auto* text = std::get_if<std::string>(&copy->data);
  const std::optional<int64_t> unix_ms = text == nullptr ? std::nullopt : ParseMoment(*text);
  if (!unix_ms) {
    return Throw(context, fmt::format("{}: expected {}, got {}", TextOf(context, arguments.get(0)), kMomentExpected,
                                      InWords(*copy)));
  }
  arguments.rval().setNumber(static_cast<double>(*unix_ms));
  return true;
}

// weekly(what, {days, from, to, utcOffset}) -> {days, from_minute, to_minute, utc_offset_minutes}
bool Weekly(JSContext* context, unsigned count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(count, values);
  const std::optional<RuleValue> copy = Copied(context, arguments.get(1));
  if (!copy) return false;
  v1::WeeklyWindow window;
  const std::optional<std::string> wrong = ReadWeeklyWindow(*copy, window);
  if (wrong) return Throw(context, fmt::format("{}: {}", TextOf(context, arguments.get(0)), *wrong));
  JS::RootedObject result(context, JS_NewPlainObject(context));
  JS::RootedObject days(context, JS::NewArrayObject(context, static_cast<size_t>(window.days_size())));
  if (result == nullptr || days == nullptr) return false;
  for (uint32_t i = 0; i < static_cast<uint32_t>(window.days_size()); ++i) {
    JS::RootedValue day(context, JS::Int32Value(window.days(static_cast<int>(i))));
    if (!JS_DefineElement(context, days, i, day, JSPROP_ENUMERATE)) return false;
  }
  arguments.rval().setObject(*result);
  return JS_DefineProperty(context, result, "days", days, JSPROP_ENUMERATE) &&
         JS_DefineProperty(context, result, "from_minute", window.from_minute(), JSPROP_ENUMERATE) &&
         JS_DefineProperty(context, result, "to_minute", window.to_minute(), JSPROP_ENUMERATE) &&
         JS_DefineProperty(context, result, "utc_offset_minutes", window.utc_offset_minutes(), JSPROP_ENUMERATE);
}

struct Native {
  const char* name;
  JSNative function;
  unsigned arguments;
};
constexpr Native kNatives[] = {
    {"made", Made, 3},       {"combined", Combined, 4},         {"dataOf", DataOf, 1},
    {"unknown", Unknown, 3}, {"refuseChange", RefuseChange, 1}, {"given", Given, 3},
    {"pattern", Pattern, 2}, {"attribute", AttributeName, 2},   {"millis", Millis, 2},
    {"weekly", Weekly, 2},
};

}  // namespace

bool DefineWhen(JSContext* context, JS::HandleObject global) {
  JS::RootedObject natives(context, JS_NewObjectWithGivenProto(context, nullptr, nullptr));
  if (natives == nullptr) return false;
  for (const Native& native : kNatives) {
    if (!JS_DefineFunction(context, natives, native.name, native.function, native.arguments, 0)) return false;
  }
  JS::CompileOptions options(context);
  options.setFileAndLine(kWhenScriptName, 1);
  JS::SourceText<mozilla::Utf8Unit> script;
  JS::RootedValue make(context);
  JS::RootedValue when(context);
  JS::RootedValueArray<1> arguments(context);
  arguments[0].setObject(*natives);
  return script.init(context, kWhenScript, sizeof(kWhenScript) - 1, JS::SourceOwnership::Borrowed) &&
         JS::Evaluate(context, options, script, &make) &&
         JS::Call(context, JS::UndefinedHandleValue, make, arguments, &when) &&
         JS_DefineProperty(context, global, "when", when, JSPROP_READONLY | JSPROP_PERMANENT);
}

}  // namespace signalbox::rules
