#include "cli/rule_set_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/rule_set.h"
#include "cli/rule_text.h"

namespace signalbox::cli {
namespace {

template <typename Rule>
bool Targets(const Rule& rule, const std::string& objective) {
  return std::find(rule.objectives().begin(), rule.objectives().end(), objective) != rule.objectives().end();
}

std::string ObjectiveText(const v1::Objective& objective, const v1::RuleSet& rules) {
  std::string text = objective.name();
  const v1::SourceLocation& source = objective.source();
  if (!source.file().empty()) text += fmt::format("   {}:{}", source.file(), source.line());
  text += "\n";
  for (const v1::Override& rule : rules.overrides()) {
    if (Targets(rule, objective.name())) text += OverrideText(rule);
  }
  for (const v1::ContextRule& rule : rules.context_rules()) {
    if (Targets(rule, objective.name())) text += ContextRuleText(rule);
  }
  // As they are asked: by priority, then as declared.
  std::vector<const v1::Experiment*> experiments;
  for (const v1::Experiment& experiment : rules.experiments()) {
    if (Targets(experiment, objective.name())) experiments.push_back(&experiment);
  }
  std::stable_sort(experiments.begin(), experiments.end(),
                   [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
  for (const v1::Experiment* experiment : experiments) text += ExperimentText(*experiment, objective);
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) {
    if (Targets(shift, objective.name())) text += ShiftText(shift);
  }
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
  for (const v1::Shadow& shadow : rules.shadows()) {
    if (Targets(shadow, objective.name())) text += ShadowText(shadow);
  }
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
  for (const v1::Objective& objective : rules.objectives()) {
    if (!text.empty()) text += "\n";
    text += ObjectiveText(objective, rules);
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
