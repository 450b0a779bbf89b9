#include "api/answer_count.h"

#include <algorithm>

#include "api/rule_set.h"

namespace signalbox::rule_set {

size_t AnswerCount::Total() const {
  size_t total = 0;
  // Ends early: a thousand cells for a thousand Objectives are quickly written.
  for (auto rules = objectives_.begin(); rules != objectives_.end() && total <= kAnswersMax; ++rules) {
    if (rules->second.rule != nullptr) total += Chosen(rules->second);
  }
  for (auto rules = objectives_.begin(); rules != objectives_.end() && total <= kAnswersMax; ++rules) {
    if (rules->second.rule != nullptr) total += Fallbacks(rules->second) + Overrides(rules->second);
  }
  return total;
}

size_t AnswerCount::Of(const v1::ModelRef& ref) const {
  if (ref.ensemble().empty()) return 1;
  const auto ensemble = ensembles_.find(ref.ensemble());
  return 1 + (ensemble == ensembles_.end() ? 0 : static_cast<size_t>(ensemble->second->members_size()));
}

size_t AnswerCount::Chosen(const Rules& rules) const {
  size_t count = Of(rules.rule->default_model());
  for (const v1::ContextRule* rule : rules.context_rules)
    count += (rule->has_model() ? Of(rule->model()) : 0) + (rule->parameters().empty() ? 0 : 1);
  for (const v1::Experiment* rule : rules.experiments) {
    for (const v1::Cell& cell : rule->cells()) count += cell.has_model() ? Of(cell.model()) : 1;
  }
  for (const v1::TrafficShift* rule : rules.shifts) count += Of(rule->to());
  for (const v1::Shadow* rule : rules.shadows) count += Of(rule->model());
  return count;
}

size_t AnswerCount::Fallbacks(const Rules& rules) const {
  std::unordered_set<std::string> models;
  std::unordered_set<std::string> policies;
  const auto add = [&](const auto& refs) {
    for (const v1::ModelRef& ref : refs) models.insert(ModelId(ref));
  };
  const auto add_policy = [&](const std::string& name) {
    const auto policy = policies_.find(name);
    if (policy != policies_.end() && policies.insert(name).second) add(policy->second->fallback_models());
  };
  add(rules.rule->fallback_models());
  if (rules.rule->fallback_models().empty()) add_policy(rules.rule->policy());
  for (const v1::ContextRule* rule : rules.context_rules) add_policy(rule->policy());
  return models.size();
}

size_t AnswerCount::Overrides(const Rules& rules) const {
  size_t count = 0;
  std::unordered_set<std::string> models;
  const auto add = [&](const v1::ModelRef& ref) {
    if (models.insert(ModelId(ref)).second) count += Of(ref);
  };
  bool allows_all = false;
  for (const v1::Override* rule : rules.overrides) {
    allows_all = allows_all || rule->models().empty();
    for (const v1::ModelRef& ref : rule->models()) add(ref);
  }
  if (allows_all) ForEachModel(*rules.rule, rules.context_rules, rules.experiments, rules.shifts, rules.shadows, add);
  return count;
}

std::string TooManyAnswers(size_t total) {
  return "the rules lead to at least " + std::to_string(total) + " answers, expected at most " +
         std::to_string(kAnswersMax) +
         ": each model of a rule or cell counts for every Objective that is targeted, an ensemble with its members, "
         "and "
         "once more where an override allows it; target fewer Objectives, or name `models` in overrides";
}

}  // namespace signalbox::rule_set
