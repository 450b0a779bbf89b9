// Why a request goes where it goes: the decision with every step on the way to it, for people and for their programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decide/decide.h"
#include "decide/request_context.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

enum class StepOutcome : uint8_t {
  kTaken,     // applies: gave the model, or whatever else the rule gives
  kPassed,    // was asked, and does not apply
  kNotAsked,  // was decided before, or the rule cannot be asked
};
// "taken", "passed", "not_asked".
std::string_view Name(StepOutcome outcome);

enum class StepKind : uint8_t { kOverride, kContextRule, kExperiment, kTrafficShift, kDefault, kShadow };
// "override", "context_rule", "experiment", "traffic_shift", "default", "shadow".
std::string_view Name(StepKind kind);

struct Step {
  StepKind kind = StepKind::kDefault;
  std::string rule;   // "experiment 12345"
  std::string place;  // "rules/home.js:14:9", or empty where the rules' source is not known
  StepOutcome outcome = StepOutcome::kNotAsked;
  std::string why;  // a clause without a full stop
};

struct Explanation {
  // The same as Decide gives.
  Decision decision;
  // In the order in which the rules are asked. Empty when there is no such Objective.
  std::vector<Step> steps;
  // Where the Objective's own rule stands, and in which rule set. Empty and 0 as in the snapshot.
  std::string place;
  std::string namespace_name;
  int64_t rule_set_version = 0;
};

// Follows Decide step by step. Allocates; for questions, not for the request path. What it points to lives as long as
// the snapshot.
Explanation ExplainSteps(const Snapshot& snapshot, const RequestContext& context);

// For a request whose Objective the snapshot does not have: a clause that says so, and whether it is a model's name
// instead.
std::string WhyNoAnswer(const Snapshot& snapshot, std::string_view objective);

}  // namespace signalbox::decide
