// Whether what goes with a request fits, whatever of an Objective's rules applies to it together.
#pragma once

#include <vector>

#include "rules/rule_draft.h"
#include "rules/rules.h"

namespace signalbox::rules {

// Reports answers that are too large by themselves, and Objectives whose rules are too large, or too many, together.
void CheckRequestSizes(const RuleSetDraft& draft, const std::vector<v1::Policy>& policies,
                       std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
