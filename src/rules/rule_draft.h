// The rules of a namespace as they were read, each well-formed by itself, not yet checked against one another.
#pragma once

#include <string>
#include <vector>

#include "rules/rule_value.h"
#include "rules/rules.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rules {

// A rule, and where each of its `objectives` was named.
template <typename Rule>
struct Draft {
  Rule rule;
  std::vector<Place> targets;
};

// Fallback models in a rule of their own. In the rule set they become part of the Objective.
struct FallbackRule {
  std::vector<std::string> names;
  std::vector<v1::ModelRef> models;
  v1::SourceLocation location;

  const std::vector<std::string>& objectives() const { return names; }
  const v1::SourceLocation& source() const { return location; }
};

// What is left of a rule that was refused: the Objectives it names are checked all the same.
struct RefusedRule {
  std::string subject;  // "experiment 12345"
  std::vector<std::string> objectives;
  std::vector<Place> targets;
  v1::SourceLocation source;
};

struct RuleSetDraft {
  std::vector<v1::Objective> objectives;
  std::vector<Draft<v1::Experiment>> experiments;
  std::vector<Draft<v1::TrafficShift>> shifts;
  std::vector<Draft<FallbackRule>> fallbacks;
  std::vector<RefusedRule> refused;
  // Names of Objectives whose rule was refused: that they are not declared is no second error.
  std::vector<std::string> refused_objectives;
  // Some file or function failed, and what it would have declared is unknown.
  bool is_incomplete = false;
};

}  // namespace signalbox::rules
