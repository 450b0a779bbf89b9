#include "rules/rule_set_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "api/answer_count.h"
#include "api/rule_set.h"
#include "base/string_map.h"
#include "rules/experiment_check.h"
#include "rules/policy_resolution.h"
#include "rules/request_size_check.h"
#include "rules/source_place.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

using rule_set::ModelId;

// More are not worth the search.
constexpr int kSuggestionsMax = 100;

class RuleSetCheck {
 public:
  RuleSetCheck(RuleSetDraft& draft, std::vector<Diagnostic>& diagnostics) : draft_(draft), diagnostics_(diagnostics) {}

  // The policies of the rule set.
  std::vector<v1::Policy> Run() {
    IndexObjectives();
    AddFallbacks();
    CheckIds();
    CheckNames();
    std::vector<v1::Policy> policies = ResolvePolicies(draft_, diagnostics_);
    CheckLayers(draft_, diagnostics_);
    CheckExperiments();
    CheckParameters(draft_, diagnostics_);
    CheckShifts();
    for (const auto& rule : draft_.context_rules) CheckTargets(rule, fmt::format("context rule {}", rule.rule.id()));
    for (const auto& rule : draft_.shadows) CheckTargets(rule, fmt::format("shadow {}", rule.rule.id()));
    for (const auto& rule : draft_.overrides) CheckTargets(rule, fmt::format("override {}", rule.rule.id()));
    CheckRefused();
    if (!CheckAnswers(policies)) return policies;
    CheckRequestSizes(draft_, policies, diagnostics_);
    CheckReach(draft_, diagnostics_);
    return policies;
  }

 private:
  void Error(const v1::SourceLocation& source, std::string message) {
    Report(diagnostics_, source, std::move(message));
  }

  // Remembers `source` under `key`; where there is one already, returns that.
  static const v1::SourceLocation* Remember(StringMap<const v1::SourceLocation*>& places, const std::string& key,
                                            const v1::SourceLocation& source) {
    const auto [entry, is_new] = places.try_emplace(key, &source);
    return is_new ? nullptr : entry->second;
  }

  void IndexObjectives() {
    for (v1::Objective& objective : draft_.objectives) {
      const auto [first, is_new] = objectives_.try_emplace(objective.name(), &objective);
      if (is_new) {
        names_.push_back(objective.name());
        continue;
      }
      Error(objective.source(),
            fmt::format("Objective {} has two default models, {} here and {} at {}; remove one of the two rules",
                        objective.name(), ModelId(objective.default_model()), ModelId(first->second->default_model()),
                        Where(first->second->source())));
    }
    for (const std::string& name : draft_.refused_objectives) {
      names_.push_back(name);
      refused_.insert(name);
    }
  }

  // nullptr, after a diagnostic, when the Objective is not declared.
  v1::Objective* Find(const std::string& name, const std::string& subject, const v1::SourceLocation& source,
                      Place place) {
    if (const auto found = objectives_.find(name); found != objectives_.end()) return found->second;
    if (refused_.contains(name)) return nullptr;
    v1::SourceLocation at = source;
    if (place.line != 0) {
      at.set_line(place.line);
      at.set_column(place.column);
    }
    std::string hint = ++suggestions_ > kSuggestionsMax ? "" : DidYouMean(name, names_);
    if (hint.empty()) {
      if (draft_.is_incomplete) return nullptr;
      hint = names_.empty() ? "; no Objective is declared" : fmt::format("; declared are {}", First(names_));
      hint += fmt::format(". Declare it with a rule {{objective: Objectives.{}, defaultModel: {{name: '...'}}}}", name);
    }
    Error(at, fmt::format("{}: Objective {} does not exist{}", subject, name, hint));
    return nullptr;
  }

  static std::string First(const std::vector<std::string>& names) {
    constexpr size_t kShownMax = 10;
    const size_t shown = std::min(names.size(), kShownMax);
    std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "));
    if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
    return text;
  }

  void AddFallbacks() {
    StringMap<const v1::SourceLocation*> places;
    for (const v1::Objective& objective : draft_.objectives) {
      if (objective.fallback_models_size() > 0) Remember(places, objective.name(), objective.source());
    }
    for (const Draft<FallbackRule>& draft : draft_.fallbacks) {
      for (size_t i = 0; i < draft.rule.names.size(); ++i) {
        const std::string& name = draft.rule.names[i];
        v1::Objective* objective = Find(name, "fallbacks", draft.rule.location, draft.targets[i]);
        if (objective == nullptr) continue;
        if (const v1::SourceLocation* first = Remember(places, name, draft.rule.location)) {
          Error(draft.rule.location, fmt::format("Objective {} has two lists of fallback models, here and at {}; write "
                                                 "one list",
                                                 name, Where(*first)));
          continue;
        }
        objective->mutable_fallback_models()->Assign(draft.rule.models.begin(), draft.rule.models.end());
      }
    }
  }

  // Every kind has ids of its own.
  void CheckIds() {
    CheckIdsOf(
        draft_.experiments, "experiment", "abTestId", [](const auto& one) -> auto& { return one.rule.id(); });
    CheckIdsOf(
        draft_.shifts, "traffic shift", "trafficShiftId", [](const auto& one) -> auto& { return one.rule.id(); });
    CheckIdsOf(
        draft_.context_rules, "context rule", "contextRuleId", [](const auto& one) -> auto& { return one.rule.id(); });
    CheckIdsOf(
        draft_.shadows, "shadow", "shadowId", [](const auto& one) -> auto& { return one.rule.id(); });
    CheckIdsOf(
        draft_.overrides, "override", "overrideId", [](const auto& one) -> auto& { return one.rule.id(); });
    CheckIdsOf(
        draft_.layers, "layer", "layerId", [](const auto& one) -> auto& { return one.id(); });
    CheckIdsOf(
        draft_.holdouts, "holdout", "holdoutId", [](const auto& one) -> auto& { return one.id(); });
    CheckIdsOf(
        draft_.ensembles, "ensemble", "ensembleId", [](const auto& one) -> auto& { return one.name(); });
    CheckIdsOf(
        draft_.policies, "policy", "policyId", [](const auto& one) -> auto& { return one.name; });
  }

  template <typename Rule>
  static const v1::SourceLocation& SourceOf(const Draft<Rule>& draft) {
    return draft.rule.source();
  }
  template <typename Rule>
  static const v1::SourceLocation& SourceOf(const Rule& rule) {
    return rule.source();
  }
  static const v1::SourceLocation& SourceOf(const PolicyDraft& policy) { return policy.source; }

  template <typename Rules, typename IdOf>
  void CheckIdsOf(const Rules& rules, const char* kind, const char* key, IdOf id_of) {
    StringMap<const v1::SourceLocation*> ids;
    for (const auto& rule : rules) {
      if (const v1::SourceLocation* first = Remember(ids, id_of(rule), SourceOf(rule))) {
        Error(SourceOf(rule), fmt::format("{} {} is declared twice, first at {}; give one of them another {}", kind,
                                          id_of(rule), Where(*first), key));
      }
    }
  }

  // Whether the policies, ensembles and layers that rules name are there.
  void CheckNames() {
    struct Kind {
      const char* word;
      const char* key;
      std::vector<std::string> names;
      std::set<std::string> known;
    };
    std::map<NameKind, Kind> kinds;
    kinds[NameKind::kPolicy] = {"policy", "policyId", {}, {}};
    kinds[NameKind::kEnsemble] = {"ensemble", "ensembleId", {}, {}};
    kinds[NameKind::kLayer] = {"layer", "layerId", {}, {}};
    for (const DeclaredName& declared : draft_.declared_names) {
      Kind& kind = kinds[declared.kind];
      if (kind.known.insert(declared.name).second) kind.names.push_back(declared.name);
    }
    for (const NameUse& use : draft_.uses) {
      const Kind& kind = kinds[use.kind];
      if (kind.known.contains(use.name)) continue;
      std::string hint = ++suggestions_ > kSuggestionsMax ? "" : DidYouMean(use.name, kind.names);
      if (hint.empty()) {
        if (draft_.is_incomplete) continue;
        hint = kind.names.empty() ? fmt::format("; none is declared")
                                  : fmt::format("; declared are {}", First(kind.names));
        hint += fmt::format(". Declare it with a rule {{{}: '{}', ...}}", kind.key, use.name);
      }
      Error(use.source, fmt::format("{}: {} {} does not exist{}", use.subject, kind.word, use.name, hint));
    }
  }

  template <typename Rule>
  void CheckTargets(const Draft<Rule>& draft, const std::string& subject) {
    for (size_t i = 0; i < draft.targets.size(); ++i)
      Find(draft.rule.objectives(static_cast<int>(i)), subject, draft.rule.source(), draft.targets[i]);
  }

  void CheckExperiments() {
    for (const Draft<v1::Experiment>& draft : draft_.experiments) {
      const v1::Experiment& experiment = draft.rule;
      const std::string subject = fmt::format("experiment {}", experiment.id());
      for (size_t i = 0; i < draft.targets.size(); ++i) {
        const std::string& name = experiment.objectives(static_cast<int>(i));
        const v1::Objective* objective = Find(name, subject, experiment.source(), draft.targets[i]);
        if (objective == nullptr) continue;
        CheckSame(experiment, *objective, "modelInputType", experiment.model_input_type(),
                  objective->model_input_type());
      }
    }
  }

  void CheckSame(const v1::Experiment& experiment, const v1::Objective& objective, const char* key,
                 const std::string& mine, const std::string& theirs) {
    if (mine.empty() || theirs.empty() || mine == theirs) return;
    Error(experiment.source(),
          fmt::format("experiment {}: {} is {}, but Objective {} at {} has {}; both must be the same", experiment.id(),
                      key, mine, objective.name(), Where(objective.source()), theirs));
  }

  void CheckShifts() {
    for (const Draft<v1::TrafficShift>& draft : draft_.shifts) {
      const v1::TrafficShift& shift = draft.rule;
      const std::string subject = fmt::format("traffic shift {}", shift.id());
      for (size_t i = 0; i < draft.targets.size(); ++i) {
        const std::string& name = shift.objectives(static_cast<int>(i));
        const v1::Objective* objective = Find(name, subject, shift.source(), draft.targets[i]);
        if (objective == nullptr) continue;
        CheckModels(shift, *objective);
        if (shift.has_condition()) continue;
        const auto [first, is_new] = shift_for_all_.try_emplace(name, &shift);
        if (is_new) continue;
        Error(shift.source(),
              fmt::format("Objective {} has two traffic shifts, {} here and {} at {}; one is allowed, or "
                          "a `when` for one of the two",
                          name, shift.id(), first->second->id(), Where(first->second->source())));
      }
    }
  }

  void CheckModels(const v1::TrafficShift& shift, const v1::Objective& objective) {
    const std::string default_model = ModelId(objective.default_model());
    if (shift.has_from() && ModelId(shift.from()) != default_model) {
      Error(shift.source(),
            fmt::format("traffic shift {} would move nobody: it shifts from {}, but the default model of "
                        "Objective {} at {} is {}",
                        shift.id(), ModelId(shift.from()), objective.name(), Where(objective.source()), default_model));
    } else if (ModelId(shift.to()) == default_model) {
      Error(shift.source(), fmt::format("traffic shift {} would move nobody: {} is the default model of Objective {} "
                                        "already, at {}",
                                        shift.id(), default_model, objective.name(), Where(objective.source())));
    }
  }

  void CheckRefused() {
    for (const RefusedRule& rule : draft_.refused) {
      for (size_t i = 0; i < rule.targets.size(); ++i)
        Find(rule.objectives[i], rule.subject, rule.source, rule.targets[i]);
    }
  }

  bool CheckAnswers(const std::vector<v1::Policy>& policies) {
    rule_set::AnswerCount count;
    for (const v1::Ensemble& rule : draft_.ensembles) count.Add(rule);
    for (const v1::Policy& rule : policies) count.Add(rule);
    for (const v1::Objective& rule : draft_.objectives) count.Add(rule);
    for (const auto& draft : draft_.context_rules) count.Add(draft.rule);
    for (const auto& draft : draft_.experiments) count.Add(draft.rule);
    for (const auto& draft : draft_.shifts) count.Add(draft.rule);
    for (const auto& draft : draft_.shadows) count.Add(draft.rule);
    for (const auto& draft : draft_.overrides) count.Add(draft.rule);
    const size_t total = count.Total();
    if (total <= rule_set::kAnswersMax) return true;
    diagnostics_.push_back({"", 0, 0, rule_set::TooManyAnswers(total)});
    return false;
  }

  RuleSetDraft& draft_;
  std::vector<Diagnostic>& diagnostics_;
  StringMap<v1::Objective*> objectives_;
  std::vector<std::string> names_;  // in order of declaration, for messages
  std::set<std::string> refused_;
  int suggestions_ = 0;
  StringMap<const v1::TrafficShift*> shift_for_all_;  // of an Objective, the one without a condition
};

}  // namespace

v1::RuleSet CheckRuleSet(std::string_view namespace_name, RuleSetDraft draft, std::vector<Diagnostic>& diagnostics) {
  std::vector<v1::Policy> policies = RuleSetCheck(draft, diagnostics).Run();
  v1::RuleSet rule_set;
  rule_set.set_namespace_(std::string(namespace_name));
  for (v1::Objective& objective : draft.objectives) *rule_set.add_objectives() = std::move(objective);
  for (auto& experiment : draft.experiments) *rule_set.add_experiments() = std::move(experiment.rule);
  for (auto& shift : draft.shifts) *rule_set.add_traffic_shifts() = std::move(shift.rule);
  for (auto& rule : draft.context_rules) *rule_set.add_context_rules() = std::move(rule.rule);
  for (auto& layer : draft.layers) *rule_set.add_layers() = std::move(layer);
  for (auto& holdout : draft.holdouts) *rule_set.add_holdouts() = std::move(holdout);
  for (auto& shadow : draft.shadows) *rule_set.add_shadows() = std::move(shadow.rule);
  for (auto& ensemble : draft.ensembles) *rule_set.add_ensembles() = std::move(ensemble);
  for (auto& rule : draft.overrides) *rule_set.add_overrides() = std::move(rule.rule);
  for (v1::Policy& policy : policies) *rule_set.add_policies() = std::move(policy);
  return rule_set;
}

}  // namespace signalbox::rules
