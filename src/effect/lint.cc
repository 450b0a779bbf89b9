#include "effect/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "api/rule_set.h"
#include "base/rfc3339.h"
#include "decide/objective.h"
#include "effect/context_space.h"
#include "effect/exploration.h"
#include "effect/possible_walk.h"

namespace signalbox::effect {
namespace {

// Later times at which rules are looked at again: more than these do not change what can be reached in practice.
constexpr size_t kTimesMax = 64;
// Less than a diff may take: a check is run at every save.
constexpr size_t kLintClassesMax = 1U << 10;
constexpr size_t kLintPathsMax = 1U << 14;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kWeekMs = 7 * 24 * 60 * kMinuteMs;

template <typename Callback>
void ForEachCondition(const v1::Condition& condition, const Callback& callback) {
  callback(condition);
  for (const v1::Condition& each : condition.all().conditions()) ForEachCondition(each, callback);
  for (const v1::Condition& each : condition.any().conditions()) ForEachCondition(each, callback);
  if (condition.has_not_()) ForEachCondition(condition.not_(), callback);
}

// The times after `now` at which the rules may do something else than just before.
class Times {
 public:
  explicit Times(int64_t now_unix_ms) : now_(now_unix_ms) {}

  void Add(int64_t time) {
    if (time > now_) times_.insert(time);
  }

  void Add(const v1::Condition& condition) {
    ForEachCondition(condition, [&](const v1::Condition& each) {
      Add(each.time().from_unix_ms());
      Add(each.time().to_unix_ms());
      if (each.has_weekly()) AddWeek(each.weekly());
    });
  }

  std::vector<int64_t> All() const {
    std::vector<int64_t> all = {now_};
    for (const int64_t time : times_) {
      if (all.size() < kTimesMax) all.push_back(time);
    }
    return all;
  }

 private:
  // 1970 began on a Thursday; which day a minute is on does not matter where all seven are added.
  void AddWeek(const v1::WeeklyWindow& window) {
    constexpr int64_t kDayMs = kWeekMs / 7;
    for (const int64_t minute : {window.from_minute(), window.to_minute()}) {
      const int64_t first = (now_ / kDayMs) * kDayMs + (minute - window.utc_offset_minutes()) * kMinuteMs;
      for (int64_t day = 0; day <= 8; ++day) Add(first + day * kDayMs);
    }
  }

  const int64_t now_;
  std::set<int64_t> times_;
};

std::vector<int64_t> TimesOf(const decide::Objective& objective, int64_t now_unix_ms) {
  Times times(now_unix_ms);
  const auto add_conditions = [&](const auto& rules) {
    for (const auto& each : rules) {
      if (each.condition != nullptr) times.Add(*each.condition->proto);
    }
  };
  add_conditions(objective.context_rules);
  add_conditions(objective.experiments);
  add_conditions(objective.holdouts);
  add_conditions(objective.shifts);
  add_conditions(objective.shadows);
  for (const decide::CompiledExperiment& experiment : objective.experiments) {
    times.Add(experiment.start_unix_ms);
    times.Add(experiment.end_unix_ms);
  }
  for (const decide::CompiledShift& shift : objective.shifts) {
    for (const auto& step : shift.ramp.steps) times.Add(step.from_unix_ms);
  }
  return times.All();
}

// What is found out of all Objectives together: a rule may be for several.
struct Reach {
  // Rules that give something to somebody, and rules of Objectives that were too much to follow.
  std::set<const void*> rules;
  // Conditions of rules that can hold at all.
  std::set<const void*> can_hold;
  // An experiment with models that was passed by for another one.
  std::set<std::pair<const v1::Experiment*, const v1::Experiment*>> competing;
  // Of Objectives whose rules were not followed, why.
  std::map<const v1::Objective*, std::string> not_followed;
};

class ObjectiveReach {
 public:
  ObjectiveReach(const decide::Objective& objective, int64_t now_unix_ms, Reach& reach)
      : objective_(objective), now_unix_ms_(now_unix_ms), reach_(reach) {
    AddQuestions(objective, space_);
    space_.Finish();
  }

  void Follow() {
    if (const std::string why = space_.WhyTooLarge(); !why.empty()) return GiveUp(why);
    // "Can never apply" is to be true.
    if (const std::string why = space_.WhyApproximate(); !why.empty()) return GiveUp(why);
    Exploration exploration(space_, kLintClassesMax, kLintPathsMax);
    PossibleWalk walk(objective_, now_unix_ms_, exploration);
    const std::string too_many =
        fmt::format("more than {} classes of requests, or {} ways that they can go", kLintClassesMax, kLintPathsMax);
    for (const int64_t time : TimesOf(objective_, now_unix_ms_)) {
      walk.SetTime(time);
      if (!FollowAll(exploration, walk) || !FollowConditions(exploration, walk)) return GiveUp(too_many);
      if (AllAreReached()) return;
    }
  }

 private:
  bool FollowAll(Exploration& exploration, PossibleWalk& walk) {
    return exploration.Follow({.run = [&] { walk.Walk(); },
                               .on_path =
                                   [&](const PathState&) {
                                     reach_.rules.insert(walk.hits().begin(), walk.hits().end());
                                     reach_.competing.insert(walk.competing().begin(), walk.competing().end());
                                   },
                               .on_class = [](const ContextClass&) {},
                               .on_restart = [] {}});
  }

  // Each by itself, whatever comes before it.
  bool FollowConditions(Exploration& exploration, PossibleWalk& walk) {
    return FollowConditionsOf(objective_.context_rules, exploration, walk) &&
           FollowConditionsOf(objective_.experiments, exploration, walk) &&
           FollowConditionsOf(objective_.shifts, exploration, walk) &&
           FollowConditionsOf(objective_.shadows, exploration, walk);
  }

  template <typename Rules>
  bool FollowConditionsOf(const Rules& rules, Exploration& exploration, PossibleWalk& walk) {
    for (const auto& rule : rules) {
      if (reach_.can_hold.contains(rule.rule) || reach_.rules.contains(rule.rule)) continue;
      if (cannot_hold_.contains(rule.rule)) continue;
      bool holds = false;
      const bool is_done = exploration.Follow({.run = [&] { holds = walk.Holds(rule.condition); },
                                               .on_path =
                                                   [&](const PathState&) {
                                                     if (holds) reach_.can_hold.insert(rule.rule);
                                                   },
                                               .on_class = [](const ContextClass&) {},
                                               .on_restart = [] {}});
      if (!is_done) return false;
      if (!reach_.can_hold.contains(rule.rule) && !DependsOnTime(*rule.condition)) cannot_hold_.insert(rule.rule);
    }
    return true;
  }

  static bool DependsOnTime(const decide::Condition& condition) {
    bool depends = false;
    ForEachCondition(*condition.proto,
                     [&](const v1::Condition& each) { depends = depends || each.has_time() || each.has_weekly(); });
    return depends;
  }

  // But for those that no time changes.
  bool AllAreReached() const {
    const auto are_reached = [&](const auto& rules) {
      return std::all_of(rules.begin(), rules.end(), [&](const auto& each) {
        return reach_.rules.contains(each.rule) || cannot_hold_.contains(each.rule);
      });
    };
    return reach_.rules.contains(objective_.rule) && are_reached(objective_.context_rules) &&
           are_reached(objective_.experiments) && are_reached(objective_.shifts) && are_reached(objective_.shadows);
  }

  // Nothing can be said of its rules.
  void GiveUp(const std::string& why) {
    reach_.not_followed[objective_.rule] = why;
    const auto add = [&](const auto& rules) {
      for (const auto& each : rules) reach_.rules.insert(each.rule);
    };
    reach_.rules.insert(objective_.rule);
    add(objective_.context_rules);
    add(objective_.experiments);
    add(objective_.shifts);
    add(objective_.shadows);
  }

  const decide::Objective& objective_;
  const int64_t now_unix_ms_;
  Reach& reach_;
  ContextSpace space_;
  // Rules whose conditions hold at no time.
  std::set<const void*> cannot_hold_;
};

class Linter {
 public:
  Linter(const v1::RuleSet& rules, int64_t now_unix_ms, const Reach& reach, std::vector<Warning>& warnings)
      : rules_(rules), now_unix_ms_(now_unix_ms), reach_(reach), warnings_(warnings) {}

  void Lint() {
    for (const v1::Objective& each : rules_.objectives()) LintObjective(each);
    for (const v1::ContextRule& each : rules_.context_rules()) {
      LintWindows("context rule", each.id(), each);
      LintReach("context rule", each.id(), each);
    }
    for (const v1::Experiment& each : rules_.experiments()) LintExperiment(each);
    for (const v1::TrafficShift& each : rules_.traffic_shifts()) {
      LintWindows("traffic shift", each.id(), each);
      if (HasShare(each)) LintReach("traffic shift", each.id(), each);
    }
    for (const v1::Shadow& each : rules_.shadows()) {
      LintWindows("shadow", each.id(), each);
      if (each.share_ppm() > 0) LintReach("shadow", each.id(), each);
    }
    for (const v1::Holdout& each : rules_.holdouts()) LintHoldout(each);
    for (const v1::Layer& each : rules_.layers()) LintLayer(each);
    for (const v1::Ensemble& each : rules_.ensembles()) LintEnsemble(each);
    for (const v1::Policy& each : rules_.policies()) LintPolicy(each);
    for (const auto& [later, first] : reach_.competing) {
      if (later->layer() == first->layer() || !IsOfThis(*later)) continue;
      Warn(later->source(),
           "experiment {}: competes with experiment {} for the model: both have models, so that this one "
           "gets only users whom that one leaves, in whichever layers they are",
           later->id(), first->id());
    }
  }

 private:
  template <typename... Arguments>
  void Warn(const v1::SourceLocation& place, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    warnings_.push_back({place, fmt::format(format, std::forward<Arguments>(arguments)...)});
  }

  bool IsOfThis(const v1::Experiment& experiment) const {
    return std::any_of(rules_.experiments().begin(), rules_.experiments().end(),
                       [&](const v1::Experiment& each) { return &each == &experiment; });
  }

  void LintObjective(const v1::Objective& objective) {
    const auto policy = std::find_if(rules_.policies().begin(), rules_.policies().end(),
                                     [&](const v1::Policy& each) { return each.name() == objective.policy(); });
    const bool has_policy = policy != rules_.policies().end();
    const bool has_fallback = objective.fallback_models_size() > 0 || objective.has_static_answer() ||
                              (has_policy && (policy->fallback_models_size() > 0 || policy->has_static_answer()));
    if (!has_fallback) {
      Warn(objective.source(),
           "Objective {}: has no fallback: requests fail when their model cannot be reached; add "
           "fallbackModels or staticAnswer",
           objective.name());
    }
    if (const auto why = reach_.not_followed.find(&objective); why != reach_.not_followed.end()) {
      warnings_.push_back(
          {objective.source(),
           fmt::format("Objective {}: too much to follow, not checked for rules that nobody reaches: {}",
                       objective.name(), why->second),
           /*is_note=*/true});
    }
    if (!reach_.rules.contains(&objective)) {
      Warn(objective.source(), "Objective {}: nobody gets its default model {}: other rules take every request",
           objective.name(), rule_set::ModelId(objective.default_model()));
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
  }

  static bool HasShare(const v1::TrafficShift& shift) {
    if (!shift.has_schedule()) return shift.share_ppm() > 0;
    return std::any_of(shift.schedule().steps().begin(), shift.schedule().steps().end(),
                       [](const v1::RampStep& step) { return step.share_ppm() > 0; });
  }

  bool HasExperimentIn(const std::string& layer) const {
    return std::any_of(rules_.experiments().begin(), rules_.experiments().end(),
                       [&](const v1::Experiment& each) { return each.layer() == layer; });
  }

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
    bool is_used = false;
    const auto use = [&](const v1::ModelRef& model) { is_used = is_used || model.ensemble() == ensemble.name(); };
    for (const v1::Objective& each : rules_.objectives()) use(each.default_model());
    for (const v1::ContextRule& each : rules_.context_rules()) use(each.model());
    for (const v1::TrafficShift& each : rules_.traffic_shifts()) use(each.to());
    for (const v1::Experiment& each : rules_.experiments()) {
      for (const v1::Cell& cell : each.cells()) use(cell.model());
    }
    for (const v1::Override& each : rules_.overrides()) {
      for (const v1::ModelRef& model : each.models()) use(model);
    }
    if (is_used) return;
    std::string members;
    for (const v1::EnsembleMember& member : ensemble.members())
      members += fmt::format("{}{}", members.empty() ? "" : ", ", rule_set::ModelId(member.model()));
    Warn(ensemble.source(), "ensemble {}: no rule refers to it, so that nobody uses its models {}", ensemble.name(),
         members);
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
           keeps(base.static_answer().message(), policy.static_answer().message());
  }

  void LintPolicy(const v1::Policy& policy) {
    // One that only targets has done so when the rules were read.
    if (!policy.has_limits() && policy.fallback_models().empty() && !policy.has_static_answer()) return;
    const auto refers = [&](const auto& rule) { return rule.policy() == policy.name(); };
    const bool is_used = std::any_of(rules_.objectives().begin(), rules_.objectives().end(), refers) ||
                         std::any_of(rules_.context_rules().begin(), rules_.context_rules().end(), refers) ||
                         std::any_of(rules_.policies().begin(), rules_.policies().end(), [&](const v1::Policy& each) {
                           return &each != &policy && MayExtend(each, policy);
                         });
    if (!is_used) Warn(policy.source(), "policy {}: no rule refers to it", policy.name());
  }

  const v1::RuleSet& rules_;
  const int64_t now_unix_ms_;
  const Reach& reach_;
  std::vector<Warning>& warnings_;
  std::set<const void*> warned_past_;
};

}  // namespace

std::vector<Warning> Lint(const decide::Snapshot& snapshot, int64_t now_unix_ms) {
  Reach reach;
  for (const decide::Objective* objective : snapshot.objectives())
    ObjectiveReach(*objective, now_unix_ms, reach).Follow();
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
