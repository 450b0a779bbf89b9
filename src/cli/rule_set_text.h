// Rule sets in words: what they say, and what has changed.
#pragma once

#include <string>
#include <vector>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::cli {

// "2 Objectives, 1 experiment, no traffic shifts", and of the other kinds those that there are.
std::string CountsText(const v1::RuleSet& rules);

// Every Objective with what decides about it, in the order in which it is asked. Ends with a line end.
std::string DescribeRules(const v1::RuleSet& rules);

// One line for each rule that was added ("+ "), removed ("- ") or changed ("~ "), with what changed where that can be
// said in a few words. Empty: both say the same (source locations are not looked at).
std::vector<std::string> DescribeChanges(const v1::RuleSet& before, const v1::RuleSet& after);

}  // namespace signalbox::cli
