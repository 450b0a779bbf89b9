// Whether the experiments of a rule set, and what else may apply to one request, can run side by side
// (docs/decisions/0007-decision-order.md).
#pragma once

#include <vector>

#include "rules/rule_draft.h"
#include "rules/rules.h"

namespace signalbox::rules {

// Gives experiments the unit of their layers, and reports: another unit than the layer's, ranges that overlap.
void CheckLayers(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics);

// Whether both may apply to one request for an Objective that both target.
bool MayMeet(const v1::Experiment& a, const v1::Experiment& b);

// Reports experiments that may meet and set the same parameter.
void CheckParameters(const RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics);

// Reports experiments and traffic shifts that certainly nobody can get to.
void CheckReach(const RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
