#include "cli/rule_set_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/rule_set.h"
#include "cli/rule_text.h"

namespace signalbox::cli {
namespace {

// The rules that are for each Objective, in their order. Found once: ten thousand Objectives have a hundred thousand.
template <typename Rule>
class ByObjective {
 public:
  explicit ByObjective(const google::protobuf::RepeatedPtrField<Rule>& rules) {
    for (const Rule& rule : rules) {
      for (const std::string& objective : rule.objectives()) {
        std::vector<const Rule*>& of_objective = rules_[objective];
        if (of_objective.empty() || of_objective.back() != &rule) of_objective.push_back(&rule);
      }
    }
  }

  const std::vector<const Rule*>& Of(const v1::Objective& objective) const {
    static const std::vector<const Rule*> kNone;
    const auto found = rules_.find(objective.name());
    return found == rules_.end() ? kNone : found->second;
  }

 private:
  std::unordered_map<std::string_view, std::vector<const Rule*>> rules_;
};

struct RulesByObjective {
  explicit RulesByObjective(const v1::RuleSet& rules)
      : overrides(rules.overrides()),
        context_rules(rules.context_rules()),
        experiments(rules.experiments()),
        shifts(rules.traffic_shifts()),
        shadows(rules.shadows()) {}

  ByObjective<v1::Override> overrides;
  ByObjective<v1::ContextRule> context_rules;
  ByObjective<v1::Experiment> experiments;
  ByObjective<v1::TrafficShift> shifts;
  ByObjective<v1::Shadow> shadows;
};

std::string ObjectiveText(const v1::Objective& objective, const RulesByObjective& rules) {
  std::string text = objective.name();
  const v1::SourceLocation& source = objective.source();
  if (!source.file().empty()) text += fmt::format("   {}:{}", source.file(), source.line());
  text += "\n";
  for (const v1::Override* rule : rules.overrides.Of(objective)) text += OverrideText(*rule);
  for (const v1::ContextRule* rule : rules.context_rules.Of(objective)) text += ContextRuleText(*rule);
  // As they are asked: by priority, then as declared.
  std::vector<const v1::Experiment*> experiments = rules.experiments.Of(objective);
  std::stable_sort(experiments.begin(), experiments.end(),
                   [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
  for (const v1::Experiment* experiment : experiments) text += ExperimentText(*experiment, objective);
  for (const v1::TrafficShift* shift : rules.shifts.Of(objective)) text += ShiftText(*shift);
  text += fmt::format("  default     {}\n", rule_set::ModelId(objective.default_model()));
  for (const v1::ModelRef& fallback : objective.fallback_models()) {
    text += fmt::format("  fallback    {}\n", rule_set::ModelId(fallback));
  }
  if (objective.has_static_answer()) {
    text += fmt::format("  at last     a static answer of {} bytes\n", objective.static_answer().message().size());
  }
  if (!objective.policy().empty()) text += fmt::format("  policy      {}\n", objective.policy());
  if (!objective.parameters().empty())
    text += fmt::format("  parameters  {}\n", ParametersText(objective.parameters()));
  for (const v1::Shadow* shadow : rules.shadows.Of(objective)) text += ShadowText(*shadow);
  return text;
}

}  // namespace

std::string CountsText(const v1::RuleSet& rules) {
  std::string text = fmt::format("{}, {}, {}", Plural(rules.objectives_size(), "Objective", "Objectives"),
                                 Plural(rules.experiments_size(), "experiment", "experiments"),
                                 Plural(rules.traffic_shifts_size(), "traffic shift", "traffic shifts"));
  const auto add = [&text](int count, std::string_view one, std::string_view many) {
    if (count > 0) text += ", " + Plural(count, one, many);
  };
  add(rules.context_rules_size(), "context rule", "context rules");
  add(rules.layers_size(), "layer", "layers");
  add(rules.holdouts_size(), "holdout", "holdouts");
  add(rules.shadows_size(), "shadow", "shadows");
  add(rules.ensembles_size(), "ensemble", "ensembles");
  add(rules.overrides_size(), "override", "overrides");
  add(rules.policies_size(), "policy", "policies");
  return text;
}

std::string DescribeRules(const v1::RuleSet& rules) {
  std::string text;
  const RulesByObjective by_objective(rules);
  for (const v1::Objective& objective : rules.objectives()) {
    if (!text.empty()) text += "\n";
    text += ObjectiveText(objective, by_objective);
  }
  std::string shared;
  for (const v1::Layer& layer : rules.layers()) shared += LayerText(layer);
  for (const v1::Holdout& holdout : rules.holdouts()) shared += HoldoutText(holdout);
  for (const v1::Ensemble& ensemble : rules.ensembles()) shared += EnsembleText(ensemble);
  for (const v1::Policy& policy : rules.policies()) shared += PolicyText(policy);
  if (!shared.empty()) text += (text.empty() ? "" : "\n") + shared;
  return text.empty() ? "no rules\n" : text;
}

}  // namespace signalbox::cli
