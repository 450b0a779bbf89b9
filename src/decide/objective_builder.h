// From the checked rules of a namespace to the compiled rules of its Objectives. Private to src/decide; part of
// compiling a snapshot.
#pragma once

#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/string_map.h"
#include "decide/answer_factory.h"
#include "decide/objective.h"
#include "decide/problems.h"
#include "decide/rule_checks.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

// One for each rule set.
class ObjectiveBuilder {
 public:
  ObjectiveBuilder(const v1::PublishedRuleSet& published, const NamedRules& named, AnswerFactory& answers,
                   ConditionCompiler& conditions, std::pmr::memory_resource& rules_memory,
                   std::pmr::memory_resource& cells_memory, std::pmr::memory_resource& texts_memory,
                   Problems& problems);

  // In order of declaration.
  std::vector<const Objective*> Build();

 private:
  // The rules that target one Objective, in order of declaration.
  struct Targeting {
    std::vector<const v1::ContextRule*> context_rules;
    std::vector<const v1::Experiment*> experiments;
    std::vector<const v1::TrafficShift*> shifts;
    std::vector<const v1::Shadow*> shadows;
    std::vector<const v1::Override*> overrides;
  };
  // What an override lets callers choose.
  struct AllowedModels {
    const TextTable* models = nullptr;
    std::span<const Choice> choices;
  };
  // What is known of the Objective that is being built.
  struct Draft {
    Draft(const v1::Objective& of, const Targeting& by, Objective& into) : rule(of), targeting(by), objective(into) {}

    const v1::Objective& rule;
    const Targeting& targeting;
    Objective& objective;
    std::vector<Unit> units;
    std::vector<std::string> unit_texts;  // of `units`, to find them again
    std::vector<CompiledLayer> layers;
    std::vector<std::string> layer_ids;  // of `layers`
    std::vector<CompiledHoldout> holdouts;
    // Those of context rules; nullptr: where none of them has one.
    absl::flat_hash_map<const v1::Policy*, const CompiledPolicy*> policies;
    // By model id: answers that do not depend on the rule that leads to them.
    StringMap<Choice> override_choices;
    StringMap<Choice> fallback_choices;
    AllowedModels all_models;  // for overrides that name none; made when the first one comes
    // Names of parameters that overlays set: context rules', and of experiments with the number of those that set them.
    absl::flat_hash_set<std::string> context_parameters;
    absl::flat_hash_map<std::string, size_t> experiment_parameters;
  };

  template <typename Rule>
  void Group(const google::protobuf::RepeatedPtrField<Rule>& rules, std::vector<const Rule*> Targeting::*of_kind);

  const Objective* BuildOne(const v1::Objective& rule);
  CompiledOverride BuildOverride(Draft& draft, const v1::Override& rule);
  const AllowedModels& AllModels(Draft& draft);
  template <typename Refs>
  AllowedModels MakeAllowed(Draft& draft, const Refs& refs);
  // Made where `known` does not have it.
  Choice SharedChoice(const Draft& draft, StringMap<Choice>& known, const v1::ModelRef& ref, Reason reason);
  CompiledContextRule BuildContextRule(Draft& draft, const v1::ContextRule& rule);
  CompiledExperiment BuildExperiment(Draft& draft, const v1::Experiment& rule);
  void BuildCells(Draft& draft, const v1::Experiment& rule, CompiledExperiment& experiment);
  CompiledCell BuildCell(Draft& draft, const v1::Experiment& rule, const v1::Cell& cell);
  const CompiledRemote* BuildRemote(const v1::Experiment& rule);
  CompiledShift BuildShift(Draft& draft, const v1::TrafficShift& rule);
  CompiledShadow BuildShadow(Draft& draft, const v1::Shadow& rule);

  const Condition* ConditionOf(bool is_set, const v1::Condition& condition);
  uint8_t UnitIndex(Draft& draft, const google::protobuf::RepeatedPtrField<std::string>& unit);
  uint8_t LayerIndex(Draft& draft, const std::string& id);
  void AddHoldouts(Draft& draft);
  uint32_t HoldoutsOf(const Draft& draft, const v1::Experiment& rule) const;
  // `narrower`, of a context rule, goes before what the Objective says, and that before the Objective's policy.
  const CompiledPolicy* PolicyOf(Draft& draft, const v1::Policy* narrower);
  const Policy* MergedPolicy(const v1::Policy* policy, const v1::Policy* base);
  const StaticAnswer* StaticAnswerOf(const v1::StaticAnswer& proto);
  Choice Choose(const Answer* answer) const { return {.answer = answer, .model = answer->model}; }
  void CheckSizes(Draft& draft);
  void CheckLimit(const Draft& draft, size_t count, size_t max, const char* what);

  template <typename... Arguments>
  void Problem(const Draft& draft, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    problems_.Add(fmt::format("{}: Objective {}: {}", PlaceOf(draft.rule.source(), rules_.namespace_()),
                              draft.rule.name(), fmt::format(format, std::forward<Arguments>(arguments)...)));
  }

  const v1::PublishedRuleSet& published_;
  const v1::RuleSet& rules_;
  const NamedRules& named_;
  AnswerFactory& answers_;
  ConditionCompiler& conditions_;
  std::pmr::memory_resource& rules_memory_;
  std::pmr::memory_resource& cells_memory_;
  std::pmr::memory_resource& texts_memory_;
  Problems& problems_;
  StringMap<Targeting> targeting_;
  StringMap<const v1::ShiftSetting*> settings_;
  absl::flat_hash_map<std::pair<const v1::Policy*, const v1::Policy*>, const Policy*> policies_;
  absl::flat_hash_map<const v1::StaticAnswer*, const StaticAnswer*> static_answers_;
  absl::flat_hash_map<const v1::Experiment*, const TextTable*> forced_;
};

}  // namespace signalbox::decide
