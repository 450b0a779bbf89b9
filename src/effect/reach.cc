#include "effect/reach.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "effect/condition_tree.h"
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

class ObjectiveReach {
 public:
  ObjectiveReach(const decide::Objective& objective, int64_t now_unix_ms, Reach& reach)
      : objective_(objective), now_unix_ms_(now_unix_ms), reach_(reach) {
    AddQuestions(objective, space_);
    space_.Finish();
  }

  void Follow() {
    FindCellsWithoutBucket();
    FindDependentDraws();
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
  void FindCellsWithoutBucket() {
    for (const decide::CompiledExperiment& experiment : objective_.experiments) {
      if (experiment.cell.hash == decide::HashVersion::kSignalbox) continue;
      for (size_t i = 0; i < experiment.cells.size(); ++i) {
        const v1::Cell& cell = *experiment.cells[i].rule;
        const bool has_weight = cell.weight_ppm() > 0 || cell.weight() > 0;
        if (has_weight && experiment.ranges[i].begin >= experiment.ranges[i].end) reach_.without_bucket.insert(&cell);
      }
    }
  }

  // Only experiments of different layers can apply together, and those that are asked in both.
  void FindDependentDraws() {
    constexpr auto kDependent = decide::HashVersion::kGrowthBook1;
    std::map<uint8_t, std::vector<const decide::CompiledExperiment*>> of_unit;  // the first of each layer
    for (const decide::CompiledExperiment& each : objective_.experiments) {
      if (each.cell.hash != kDependent || each.remote != nullptr) continue;
      std::vector<const decide::CompiledExperiment*>& known = of_unit[each.unit];
      const auto is_here = [&](const auto* other) { return other->layer == each.layer; };
      const auto other = std::find_if_not(known.begin(), known.end(), is_here);
      if (other != known.end()) reach_.dependent_experiments.try_emplace(each.rule, (*other)->rule);
      if (std::none_of(known.begin(), known.end(), is_here)) known.push_back(&each);
    }
    std::map<uint8_t, const v1::Layer*> first_layer;
    for (const decide::CompiledLayer& layer : objective_.layers) {
      if (layer.rule == nullptr || layer.draw.hash != kDependent) continue;
      const auto [first, is_new] = first_layer.try_emplace(layer.draw.unit, layer.rule);
      if (!is_new) reach_.dependent_layers.try_emplace(layer.rule, first->second);
    }
  }

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

}  // namespace

void AddReach(const decide::Objective& objective, int64_t now_unix_ms, Reach& reach) {
  ObjectiveReach(objective, now_unix_ms, reach).Follow();
}

}  // namespace signalbox::effect
