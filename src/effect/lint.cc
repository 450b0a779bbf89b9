#include "effect/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "api/rule_set.h"
#include "base/nearest_name.h"
#include "base/percent.h"
#include "base/rfc3339.h"
#include "decide/bucket.h"
#include "effect/condition_tree.h"
#include "effect/reach.h"

namespace signalbox::effect {
namespace {

// To look for a name that is near means to compare with all.
constexpr int kSuggestionsMax = 100;

// What rules refer to, found once: there may be a hundred thousand of them.
struct UsedNames {
  explicit UsedNames(const v1::RuleSet& rules) {
    for (const v1::Objective& each : rules.objectives()) {
      policies.insert(each.policy());
      AddModel(each.default_model());
      for (const v1::ModelRef& model : each.fallback_models()) AddModel(model);
    }
    for (const v1::ContextRule& each : rules.context_rules()) {
      policies.insert(each.policy());
      AddModel(each.model());
    }
    for (const v1::Experiment& each : rules.experiments()) {
      layers.insert(each.layer());
      for (const v1::Cell& cell : each.cells()) AddModel(cell.model());
    }
    for (const v1::TrafficShift& each : rules.traffic_shifts()) {
      AddModel(each.to());
      AddModel(each.from());
    }
    for (const v1::Shadow& each : rules.shadows()) AddModel(each.model());
    for (const v1::Policy& each : rules.policies()) {
      for (const v1::ModelRef& model : each.fallback_models()) AddModel(model);
    }
    for (const v1::Ensemble& each : rules.ensembles()) {
      for (const v1::EnsembleMember& member : each.members()) AddModel(member.model());
    }
    for (const v1::Override& each : rules.overrides()) {
      overridden_objectives.insert(each.objectives().begin(), each.objectives().end());
      for (const v1::ModelRef& model : each.models()) ensembles.insert(model.ensemble());
    }
  }

  std::set<std::string_view> layers;
  std::set<std::string_view> policies;
  std::set<std::string_view> ensembles;
  // But for those that only overrides name.
  std::set<std::string_view> models;
  std::set<std::string_view> overridden_objectives;

 private:
  void AddModel(const v1::ModelRef& model) {
    if (!model.name().empty()) models.insert(model.name());
    if (!model.ensemble().empty()) ensembles.insert(model.ensemble());
  }
};

class Linter {
 public:
  Linter(const v1::RuleSet& rules, int64_t now_unix_ms, const Reach& reach, std::vector<Warning>& warnings)
      : rules_(rules), now_unix_ms_(now_unix_ms), reach_(reach), warnings_(warnings), used_(rules) {}

  void Lint() {
    FindRatesBeside();
    for (const v1::Policy& each : rules_.policies()) {
      if (each.fallback_models_size() > 0 || each.has_static_answer()) policies_with_fallback_.insert(each.name());
    }
    for (const v1::Objective& each : rules_.objectives()) LintObjective(each);
    for (const v1::ContextRule& each : rules_.context_rules()) {
      LintWindows("context rule", each.id(), each);
      LintReach("context rule", each.id(), each);
    }
    for (const v1::Experiment& each : rules_.experiments()) LintExperiment(each);
    for (const v1::TrafficShift& each : rules_.traffic_shifts()) {
      LintWindows("traffic shift", each.id(), each);
      LintSchedule(each);
      if (HasShare(each)) LintReach("traffic shift", each.id(), each);
    }
    for (const v1::Shadow& each : rules_.shadows()) {
      LintWindows("shadow", each.id(), each);
      if (each.share_ppm() > 0) {
        LintReach("shadow", each.id(), each);
      } else {
        Warn(each.source(), "shadow {}: its sampleRate is 0: {} gets no request", each.id(),
             rule_set::ModelId(each.model()));
      }
    }
    LintOverrides();
    for (const v1::Holdout& each : rules_.holdouts()) LintHoldout(each);
    for (const v1::Layer& each : rules_.layers()) LintLayer(each);
    for (const v1::Ensemble& each : rules_.ensembles()) LintEnsemble(each);
    for (const v1::Policy& each : rules_.policies()) LintPolicy(each);
    LintCompeting();
    LintHashes();
  }

 private:
  template <typename... Arguments>
  void Warn(const v1::SourceLocation& place, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    warnings_.push_back({place, fmt::format(format, std::forward<Arguments>(arguments)...)});
  }
  template <typename... Arguments>
  void Note(const v1::SourceLocation& place, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    warnings_.push_back({place, fmt::format(format, std::forward<Arguments>(arguments)...), /*is_note=*/true});
  }

  void LintCompeting() {
    std::set<const v1::Experiment*> of_this;
    for (const v1::Experiment& each : rules_.experiments()) of_this.insert(&each);
    for (const auto& [later, first] : reach_.competing) {
      if (later->layer() == first->layer() || !of_this.contains(later)) continue;
      Warn(later->source(),
           "experiment {}: competes with experiment {} for the model: both have models, so that this one "
           "gets only users whom that one leaves, in whichever layers they are",
           later->id(), first->id());
    }
  }

  // Who comes from GrowthBook with users in cells keeps them, so that this is only worth a note.
  void LintHashes() {
    for (const v1::Experiment& each : rules_.experiments()) {
      const auto other = reach_.dependent_experiments.find(&each);
      if (other == reach_.dependent_experiments.end()) continue;
      Note(each.source(),
           "experiment {}: its cells depend on those of experiment {}, in another layer, because both have hashVersion "
           "1; those with hashVersion 2 are independent",
           each.id(), other->second->id());
    }
    for (const v1::Layer& each : rules_.layers()) {
      const auto other = reach_.dependent_layers.find(&each);
      if (other == reach_.dependent_layers.end()) continue;
      Note(each.source(),
           "layer {}: who is in which part of it depends on layer {}, because both have hashVersion 1; those with "
           "hashVersion 2 are independent",
           each.id(), other->second->id());
    }
  }

  void LintObjective(const v1::Objective& objective) {
    const bool has_fallback = objective.fallback_models_size() > 0 || objective.has_static_answer() ||
                              policies_with_fallback_.contains(objective.policy());
    if (!has_fallback) {
      Warn(objective.source(),
           "Objective {}: has no fallback: requests fail when their model cannot be reached; add "
           "fallbackModels or staticAnswer",
           objective.name());
    }
    if (const auto why = reach_.not_followed.find(&objective); why != reach_.not_followed.end()) {
      Note(objective.source(), "Objective {}: too much to follow, not checked for rules that nobody reaches: {}",
           objective.name(), why->second);
    }
    const std::string default_model = rule_set::ModelId(objective.default_model());
    const bool only_itself =
        objective.fallback_models_size() > 0 && !objective.has_static_answer() &&
        std::all_of(objective.fallback_models().begin(), objective.fallback_models().end(),
                    [&](const v1::ModelRef& model) { return rule_set::ModelId(model) == default_model; });
    if (only_itself) {
      Warn(objective.source(),
           "Objective {}: its only fallback is its default model {}: requests fail when that cannot be reached",
           objective.name(), default_model);
    }
    if (!reach_.rules.contains(&objective)) {
      Warn(objective.source(), "Objective {}: nobody gets its default model {}: other rules take every request",
           objective.name(), default_model);
    }
  }

  template <typename Rule>
  void LintReach(std::string_view kind, const std::string& id, const Rule& rule) {
    if (reach_.rules.contains(&rule) || warned_past_.contains(&rule)) return;
    if (!reach_.can_hold.contains(&rule)) {
      Warn(rule.source(), "{} {}: can never apply: no request fulfils its condition", kind, id);
    } else {
      Warn(rule.source(), "{} {}: nobody reaches it: the rules before it take every request that it is for", kind, id);
    }
  }

  template <typename Rule>
  void LintWindows(std::string_view kind, const std::string& id, const Rule& rule) {
    int64_t ended = 0;
    ForEachCondition(rule.condition(), [&](const v1::Condition& each) {
      const int64_t to = each.time().to_unix_ms();
      if (to != 0 && to <= now_unix_ms_) ended = std::max(ended, to);
    });
    if (ended == 0) return;
    warned_past_.insert(&rule);
    Warn(rule.source(), "{} {}: has a time window that ended at {}", kind, id, Rfc3339(ended));
  }

  void LintExperiment(const v1::Experiment& experiment) {
    LintWindows("experiment", experiment.id(), experiment);
    if (experiment.end_unix_ms() != 0 && experiment.end_unix_ms() <= now_unix_ms_) {
      Warn(experiment.source(), "experiment {}: ended at {}: nobody takes part any more", experiment.id(),
           Rfc3339(experiment.end_unix_ms()));
      return;
    }
    LintReach("experiment", experiment.id(), experiment);
    LintCells(experiment);
  }

  // Whether testers may choose a cell of it with `sb-override`.
  bool CanBeOverridden(const v1::Experiment& experiment) const {
    return std::any_of(experiment.objectives().begin(), experiment.objectives().end(),
                       [&](const std::string& each) { return used_.overridden_objectives.contains(each); });
  }

  void LintCells(const v1::Experiment& experiment) {
    if (experiment.has_remote() || CanBeOverridden(experiment)) return;
    std::set<std::string_view> forced;
    for (const auto& [unit, cell] : experiment.forced_cells()) forced.insert(cell);
    for (const v1::Cell& cell : experiment.cells()) {
      if (forced.contains(cell.name())) continue;
      const std::string what = cell.has_model() ? "its model " + rule_set::ModelId(cell.model()) : "it";
      if (reach_.without_bucket.contains(&cell)) {
        Warn(experiment.source(),
             "experiment {}: no bucket of its hash falls into cell {}, so that nobody gets {}: hashVersion {} tells "
             "apart no less than {}",
             experiment.id(), cell.name(), what, experiment.hash_version(),
             Percent(rule_set::kEverybodyPpm /
                     decide::BucketCount(static_cast<decide::HashVersion>(experiment.hash_version()))));
      } else if (cell.weight_ppm() == 0 && cell.weight() == 0) {
        Warn(experiment.source(), "experiment {}: the weight of cell {} is 0: nobody gets {}", experiment.id(),
             cell.name(), what);
      }
    }
  }

  void LintSchedule(const v1::TrafficShift& shift) {
    for (int i = 1; i < shift.schedule().steps_size(); ++i) {
      const uint32_t before = shift.schedule().steps(i - 1).share_ppm();
      const uint32_t after = shift.schedule().steps(i).share_ppm();
      if (after >= before) continue;
      Warn(shift.source(), "traffic shift {}: its schedule falls from {} to {} in step {}: users move back from {}",
           shift.id(), Percent(before), Percent(after), i + 1, rule_set::ModelId(shift.to()));
    }
  }

  // By name: a version that testers alone get is what overrides are for.
  void LintOverrides() {
    for (const v1::Override& rule : rules_.overrides()) {
      for (const v1::ModelRef& model : rule.models()) {
        if (model.name().empty() || used_.models.contains(model.name())) continue;
        std::string_view near;
        if (--suggestions_left_ >= 0)
          near = NearestName(model.name(), std::vector<std::string_view>(used_.models.begin(), used_.models.end()));
        Warn(rule.source(), "override {}: no other rule names any version of {}{}", rule.id(), rule_set::ModelId(model),
             near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near));
      }
    }
  }

  static bool HasShare(const v1::TrafficShift& shift) {
    if (!shift.has_schedule()) return shift.share_ppm() > 0;
    return std::any_of(shift.schedule().steps().begin(), shift.schedule().steps().end(),
                       [](const v1::RampStep& step) { return step.share_ppm() > 0; });
  }

  bool HasExperimentIn(const std::string& layer) const { return used_.layers.contains(layer); }

  void LintHoldout(const v1::Holdout& holdout) {
    LintWindows("holdout", holdout.id(), holdout);
    const bool holds_out = holdout.layers().empty()
                               ? !rules_.experiments().empty()
                               : std::any_of(holdout.layers().begin(), holdout.layers().end(),
                                             [&](const std::string& layer) { return HasExperimentIn(layer); });
    if (!holds_out) Warn(holdout.source(), "holdout {}: there is no experiment to hold anybody out of", holdout.id());
  }

  void LintLayer(const v1::Layer& layer) {
    if (!HasExperimentIn(layer.id())) Warn(layer.source(), "layer {}: no experiment is in it", layer.id());
  }

  void LintEnsemble(const v1::Ensemble& ensemble) {
    if (used_.ensembles.contains(ensemble.name())) return;
    std::string members;
    for (const v1::EnsembleMember& member : ensemble.members())
      members += fmt::format("{}{}", members.empty() ? "" : ", ", rule_set::ModelId(member.model()));
    Warn(ensemble.source(), "ensemble {}: no rule refers to it, so that nobody uses its models {}", ensemble.name(),
         members);
  }

  static bool SaysHandling(const v1::Policy& policy) {
    return policy.has_deadlines() || policy.has_retries() || policy.has_hedging() || policy.has_affinity() ||
           policy.has_bulkhead();
  }

  static bool KeepsHandling(const v1::Policy& policy, const v1::Policy& base) {
    v1::Policy both = base;
    both.MergeFrom(policy);
    return !SaysHandling(base) || (both.deadlines().SerializeAsString() == policy.deadlines().SerializeAsString() &&
                                   both.retries().SerializeAsString() == policy.retries().SerializeAsString() &&
                                   both.hedging().SerializeAsString() == policy.hedging().SerializeAsString() &&
                                   both.bulkhead().SerializeAsString() == policy.bulkhead().SerializeAsString());
  }

  // Whether `policy` says all that `base` says: then it may extend it.
  static bool MayExtend(const v1::Policy& policy, const v1::Policy& base) {
    const v1::Limits& limits = base.limits();
    const auto keeps = [](auto of_base, auto of_policy) {
      return of_base == decltype(of_base){} || of_base == of_policy;
    };
    return keeps(limits.requests_per_second(), policy.limits().requests_per_second()) &&
           keeps(limits.burst(), policy.limits().burst()) &&
           keeps(limits.concurrent_requests(), policy.limits().concurrent_requests()) &&
           keeps(limits.payload_bytes(), policy.limits().payload_bytes()) &&
           keeps(base.fallback_models_size(), policy.fallback_models_size()) &&
           keeps(base.static_answer().message(), policy.static_answer().message()) && KeepsHandling(policy, base);
  }

  // Policies whose limits come together with the rate of another one: a context rule's and the Objective's.
  void FindRatesBeside() {
    std::set<std::string_view> with_rate;
    for (const v1::Policy& each : rules_.policies()) {
      if (each.limits().requests_per_second() > 0) with_rate.insert(each.name());
    }
    std::unordered_map<std::string_view, std::string_view> policy_of;
    for (const v1::Objective& each : rules_.objectives()) policy_of[each.name()] = each.policy();
    for (const v1::ContextRule& rule : rules_.context_rules()) {
      for (const std::string& objective : rule.objectives()) {
        const std::string_view of_objective = policy_of[objective];
        if (with_rate.contains(rule.policy())) has_rate_beside_.insert(of_objective);
        if (with_rate.contains(of_objective)) has_rate_beside_.insert(rule.policy());
      }
    }
  }

  void LintPolicy(const v1::Policy& policy) {
    const bool is_named = used_.policies.contains(policy.name());
    // One that only targets is none any more when the rules have been read.
    if (!policy.has_limits() && policy.fallback_models().empty() && !policy.has_static_answer() &&
        !SaysHandling(policy)) {
      Warn(policy.source(),
           "policy {}: says nothing: no limits, deadlines, retries, fallbacks, static answer or `when`{}",
           policy.name(), is_named ? "; rules that refer to it get nothing" : "");
      return;
    }
    const bool is_rateless = policy.limits().burst() > 0 && policy.limits().requests_per_second() == 0;
    if (is_named && is_rateless && !has_rate_beside_.contains(policy.name()))
      Warn(policy.source(), "policy {}: limits.burst without limits.requestsPerSecond limits nothing", policy.name());
    if (policy.has_hedging() && !policy.retries().idempotent())
      Warn(policy.source(),
           "policy {}: hedging without retries.idempotent: a second host is only asked where another policy says that "
           "the "
           "model may be asked twice",
           policy.name());
    const bool is_used =
        is_named || std::any_of(rules_.policies().begin(), rules_.policies().end(),
                                [&](const v1::Policy& each) { return &each != &policy && MayExtend(each, policy); });
    if (!is_used) Warn(policy.source(), "policy {}: no rule refers to it", policy.name());
  }

  const v1::RuleSet& rules_;
  const int64_t now_unix_ms_;
  const Reach& reach_;
  std::vector<Warning>& warnings_;
  const UsedNames used_;
  std::set<std::string_view> policies_with_fallback_;
  std::set<std::string_view> has_rate_beside_;
  std::set<const void*> warned_past_;
  int suggestions_left_ = kSuggestionsMax;
};

}  // namespace

std::vector<Warning> Lint(const decide::Snapshot& snapshot, int64_t now_unix_ms) {
  Reach reach;
  for (const decide::Objective* objective : snapshot.objectives()) AddReach(*objective, now_unix_ms, reach);
  std::vector<Warning> warnings;
  for (const v1::PublishedRuleSet& published : snapshot.proto().rule_sets())
    Linter(published.rule_set(), now_unix_ms, reach, warnings).Lint();
  Sort(warnings);
  return warnings;
}

void Sort(std::vector<Warning>& warnings) {
  const auto key = [](const Warning& warning) {
    return std::tuple(std::string_view(warning.place.file()), warning.place.line(), warning.place.column(),
                      std::string_view(warning.message));
  };
  std::sort(warnings.begin(), warnings.end(), [&](const Warning& a, const Warning& b) { return key(a) < key(b); });
}

}  // namespace signalbox::effect
