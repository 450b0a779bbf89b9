// Conditions, from plain data to the schema. `when` makes that data; whoever writes it by hand gets the same checks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "rules/rule_value.h"
#include "signalbox/v1/condition.pb.h"

namespace signalbox::rules {

// What the limits of one condition count.
struct ConditionSize {
  size_t tests = 0;
  size_t texts = 0;
  size_t levels = 0;
};

// Fills `condition` from data of the shape of condition.proto, or returns what is wrong with it, in a sentence. Pure.
std::optional<std::string> ReadCondition(const RuleValue& value, v1::Condition& condition,
                                         ConditionSize* size = nullptr);

// Which limit a condition of this size exceeds.
std::optional<std::string> WrongSize(const ConditionSize& size);

// {days: ['sat'], from: '18:00', to: '23:00', utcOffset: '+01:00'}, as authors write it.
std::optional<std::string> ReadWeeklyWindow(const RuleValue& value, v1::WeeklyWindow& window);

// What is wrong with `value` as the name of a free attribute.
std::optional<std::string> WrongAttributeName(const RuleValue& value);

// Whether requests have a field of this name, in the schema's spelling, that is no free attribute: "app_version".
bool IsContextField(std::string_view name);

// Why RE2 cannot run `pattern`, in a sentence.
std::optional<std::string> WrongPattern(const std::string& pattern);

}  // namespace signalbox::rules
