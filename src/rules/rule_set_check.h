// What can only be told when all rules of a namespace are there: whether what they name exists, and whether two of them
// contradict each other.
#pragma once

#include <string_view>
#include <vector>

#include "rules/rule_draft.h"
#include "rules/rules.h"

namespace signalbox::rules {

// Puts the rule set together and reports what is wrong between its rules; contradictions name both places. Pure.
v1::RuleSet CheckRuleSet(std::string_view namespace_name, RuleSetDraft draft, std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
