// The request that a test speaks of, from what its author wrote.
#pragma once

#include <string>
#include <vector>

#include "rules/rule_tests.h"
#include "rules/rule_value.h"

namespace signalbox::rules {

// Fills `context` and returns what is wrong with `value`, in words, each once.
std::vector<std::string> ReadTestedContext(const RuleValue& value, TestedContext& context);

// A text, or a number as it is written. Nothing for anything else.
bool ReadName(const RuleValue& value, std::string& text);

// The same, and also true and false: of an attribute, of a parameter.
bool ReadTextOf(const RuleValue& value, std::string& text);

}  // namespace signalbox::rules
