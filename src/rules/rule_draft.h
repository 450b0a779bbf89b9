// The rules of a namespace as they were read, each well-formed by itself, not yet checked against one another.
#pragma once

#include <optional>
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
  // Policies whose condition the rule's own is narrowed by.
  std::vector<std::string> narrowed_by;
};

// Fallback models in a rule of their own. In the rule set they become part of the Objective.
struct FallbackRule {
  std::vector<std::string> names;
  std::vector<v1::ModelRef> models;
  v1::SourceLocation location;

  const std::vector<std::string>& objectives() const { return names; }
  const v1::SourceLocation& source() const { return location; }
};

// A policy as it was written: what it does not say, those that it extends may.
struct PolicyDraft {
  std::string name;
  std::vector<std::string> extends;
  std::optional<double> requests_per_second;
  std::optional<uint32_t> burst;
  std::optional<uint32_t> concurrent_requests;
  std::optional<uint64_t> payload_bytes;
  std::optional<v1::Limits::Priority> priority;
  std::optional<std::vector<v1::ModelRef>> fallback_models;
  std::optional<v1::StaticAnswer> static_answer;
  // Deadlines, retries, hedging, affinity, bulkhead and adaptive concurrency, as far as they are said.
  v1::Policy handling;
  v1::Condition condition;  // unset: everywhere
  v1::SourceLocation source;
};

// What is left of a rule that was refused: the Objectives it names are checked all the same.
struct RefusedRule {
  std::string subject;  // "experiment 12345"
  std::vector<std::string> objectives;
  std::vector<Place> targets;
  v1::SourceLocation source;
};

// What rules name beside Objectives.
enum class NameKind { kPolicy, kEnsemble, kLayer };

struct DeclaredName {
  NameKind kind;
  std::string name;
};

struct NameUse {
  NameKind kind;
  std::string name;
  std::string subject;  // whose use it is
  v1::SourceLocation source;
};

struct RuleSetDraft {
  std::vector<v1::Objective> objectives;
  std::vector<Draft<v1::Experiment>> experiments;
  std::vector<Draft<v1::TrafficShift>> shifts;
  std::vector<Draft<FallbackRule>> fallbacks;
  std::vector<Draft<v1::ContextRule>> context_rules;
  std::vector<v1::Layer> layers;
  std::vector<v1::Holdout> holdouts;
  std::vector<Draft<v1::Shadow>> shadows;
  std::vector<v1::Ensemble> ensembles;
  std::vector<Draft<v1::Override>> overrides;
  std::vector<PolicyDraft> policies;
  std::vector<RefusedRule> refused;
  // Names of Objectives whose rule was refused: that they are not declared is no second error.
  std::vector<std::string> refused_objectives;
  // Also of those whose rule was refused.
  std::vector<DeclaredName> declared_names;
  std::vector<NameUse> uses;
  // Some file or function failed, and what it would have declared is unknown.
  bool is_incomplete = false;
};

}  // namespace signalbox::rules
