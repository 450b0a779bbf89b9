// How much is worked out in advance for a rule set: an answer for each model that a rule can choose for each Objective,
// and what is laid over answers. Whoever checks rules and whoever runs them agree on it and on its limit.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::rule_set {

// Of one rule set. So many take about 100 MB in every data plane.
inline constexpr size_t kAnswersMax = 200'000;

// Add every rule in any order, then ask. Rules are referred to and have to stay where they are. References that lead
// nowhere count nothing.
class AnswerCount {
 public:
  void Add(const v1::Ensemble& rule) { ensembles_.try_emplace(rule.name(), &rule); }
  void Add(const v1::Policy& rule) { policies_.try_emplace(rule.name(), &rule); }
  void Add(const v1::Objective& rule) { objectives_[rule.name()].rule = &rule; }
  void Add(const v1::ContextRule& rule) { AddTo(rule, &Rules::context_rules); }
  void Add(const v1::Experiment& rule) { AddTo(rule, &Rules::experiments); }
  void Add(const v1::TrafficShift& rule) { AddTo(rule, &Rules::shifts); }
  void Add(const v1::Shadow& rule) { AddTo(rule, &Rules::shadows); }
  void Add(const v1::Override& rule) { AddTo(rule, &Rules::overrides); }

  // Exact up to kAnswersMax; where there are more, at least so many as it says.
  size_t Total() const;

 private:
  struct Rules {
    const v1::Objective* rule = nullptr;
    std::vector<const v1::ContextRule*> context_rules;
    std::vector<const v1::Experiment*> experiments;
    std::vector<const v1::TrafficShift*> shifts;
    std::vector<const v1::Shadow*> shadows;
    std::vector<const v1::Override*> overrides;
  };

  template <typename Rule>
  void AddTo(const Rule& rule, std::vector<const Rule*> Rules::*list) {
    for (const std::string& objective : rule.objectives()) (objectives_[objective].*list).push_back(&rule);
  }
  // Of one model: itself, and the members where it is an ensemble.
  size_t Of(const v1::ModelRef& ref) const;
  size_t Chosen(const Rules& rules) const;
  size_t Fallbacks(const Rules& rules) const;
  size_t Overrides(const Rules& rules) const;

  std::unordered_map<std::string, const v1::Ensemble*> ensembles_;
  std::unordered_map<std::string, const v1::Policy*> policies_;
  std::unordered_map<std::string, Rules> objectives_;
};

// The message.
std::string TooManyAnswers(size_t total);

// Calls `take` with each model that a rule of an Objective names, which an override that names none allows. The lists
// hold pointers to rules that target the Objective.
template <typename Take, typename ContextRules, typename Experiments, typename Shifts, typename Shadows>
void ForEachModel(const v1::Objective& objective, const ContextRules& context_rules, const Experiments& experiments,
                  const Shifts& shifts, const Shadows& shadows, const Take& take) {
  take(objective.default_model());
  for (const v1::ModelRef& ref : objective.fallback_models()) take(ref);
  for (const v1::ContextRule* rule : context_rules) {
    if (rule->has_model()) take(rule->model());
  }
  for (const v1::Experiment* rule : experiments) {
    for (const v1::Cell& cell : rule->cells()) {
      if (cell.has_model()) take(cell.model());
    }
  }
  for (const v1::TrafficShift* rule : shifts) take(rule->to());
  for (const v1::Shadow* rule : shadows) take(rule->model());
}

}  // namespace signalbox::rule_set
