// From what a rule file returned to the schema, one rule at a time.
#pragma once

#include <vector>

#include "rules/rule_draft.h"
#include "rules/rule_value.h"
#include "rules/rules.h"

namespace signalbox::rules {

// Adds the rule to `draft`, or what is wrong with it, all of it, to `diagnostics`. What a rule can say is in
// api/rules.d.ts. Pure.
void ReadRule(const DeclaredRule& declared, RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
