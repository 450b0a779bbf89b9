#include "effect/effect.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include "decide/objective.h"
#include "effect/class_words.h"
#include "effect/context_space.h"
#include "effect/example_context.h"
#include "effect/objective_parts.h"
#include "effect/possible_walk.h"
#include "effect/rule_identity.h"

namespace signalbox::effect {
namespace {

// Results as they come up, each once, so that paths can be told apart by where their results lie.
class Results {
 public:
  const PathResult* Of(const decide::Decision& decision, const std::vector<const decide::CompiledShadow*>& shadows) {
    std::vector<const void*> key = {decision.answer, decision.fallbacks.data(), decision.static_answer,
                                    decision.policy};
    for (const decide::Enrolment& each : decision.enrolments) {
      key.push_back(each.experiment.data());
      key.push_back(each.cell.data());
    }
    key.push_back(nullptr);
    for (const decide::Overlay* overlay : decision.overlays) key.push_back(overlay);
    key.push_back(nullptr);
    for (const decide::CompiledShadow* shadow : shadows) key.push_back(shadow);
    std::unique_ptr<const PathResult>& result = by_key_[key];
    if (result == nullptr) result = std::make_unique<const PathResult>(ResultOf(decision, shadows));
    return result.get();
  }

 private:
  std::map<std::vector<const void*>, std::unique_ptr<const PathResult>> by_key_;
};

using Shares = std::map<Change, Share>;

template <typename Rules, typename Text>
void NoteDifferences(std::string_view what, const Rules& before, const Rules& after, Text text_of,
                     std::vector<std::string>& notes) {
  std::map<std::string, std::pair<std::string, std::string>> texts;
  for (const auto& each : before) texts[each.rule->id()].first = text_of(*each.rule);
  for (const auto& each : after) texts[each.rule->id()].second = text_of(*each.rule);
  for (const auto& [id, text] : texts) {
    const auto& [from, to] = text;
    if (from == to) continue;
    notes.push_back(fmt::format("{} {} {}", what, id,
                                from.empty() ? "was added"
                                : to.empty() ? "was removed"
                                             : "was changed"));
  }
}

// What is found of one part of an Objective's rules.
struct PartEffect {
  size_t classes = 0;
  size_t paths = 0;
  std::map<Aspect, std::vector<Movement>> movements;
  std::vector<std::string> notes;
  bool may_be_incomplete = false;
  // Set: it was too much, and nothing above counts but the paths.
  std::string why_not;
};

class PartComparison {
 public:
  using Parts = std::vector<std::unique_ptr<ObjectivePart>>;

  PartComparison(const Parts& parts, const ObjectivePart& part, int64_t now_unix_ms, const Limits& limits,
                 size_t named_units_max)
      : parts_(parts), part_(part), now_unix_ms_(now_unix_ms), limits_(limits) {
    AddQuestions(part.before, space_);
    AddQuestions(part.after, space_);
    space_.Finish(named_units_max);
    dependent_draws_ = DependentDraws({&part.before, &part.after});
  }

  // Whether there are so many named units that it could be done in less detail.
  bool HasManyNamedUnits() const {
    return std::any_of(space_.fields().begin(), space_.fields().end(), [](const SpaceField& field) {
      return field.is_unit && field.values.kinds.size() > kNamedUnitsMax;
    });
  }

  PartEffect Compare() {
    PartEffect effect;
    effect.why_not = space_.WhyTooLarge();
    if (!effect.why_not.empty()) return effect;
    if (!Explore(effect)) {
      effect.why_not = fmt::format("more than {} classes of requests, or {} ways that they can go", limits_.classes_max,
                                   limits_.paths_max);
      return effect;
    }
    std::set<Aspect> aspects;
    for (const Shares& shares : changes_) {
      for (const auto& [change, share] : shares) aspects.insert(change.aspect);
    }
    for (const Aspect& aspect : aspects) AddMovements(aspect, effect.movements[aspect]);
    if (const std::string why = space_.WhyApproximate(); !why.empty()) {
      effect.notes.push_back(why);
      effect.may_be_incomplete = true;
    }
    AddNotes(effect);
    return effect;
  }

 private:
  void AddNotes(PartEffect& effect) const {
    const auto has = [&](bool Movement::*what) {
      return std::any_of(effect.movements.begin(), effect.movements.end(), [&](const auto& of_aspect) {
        return std::any_of(of_aspect.second.begin(), of_aspect.second.end(),
                           [&](const Movement& movement) { return movement.*what; });
      });
    };
    if (has(&Movement::is_counted))
      effect.notes.push_back(fmt::format(
          "draws with hashVersion 1 depend on one another: shares are counted over {} generated units", kCountedUnits));
    if (has(&Movement::may_be_empty))
      effect.notes.push_back(
          "regular expressions are not solved: where no value is known that fulfils all of them, "
          "there may be none");
    for (const SpaceField& field : space_.fields()) {
      if (field.values.has_units_together && !effect.movements.empty())
        effect.notes.push_back(
            fmt::format("the rules name so many values of {} that they are told together: where a line names them, its "
                        "share is that "
                        "of many units, not worked out for each of them",
                        field.name));
      if (field.is_remote && !effect.movements.empty())
        effect.notes.push_back(
            fmt::format("experiment {} is allocated by a platform: what is said of it is said for each "
                        "cell that the platform may give; how many get which, only it knows",
                        field.name));
    }
  }

  bool Explore(PartEffect& effect) {
    Exploration exploration(space_, limits_.classes_max, limits_.paths_max);
    exploration.CountDraws(dependent_draws_);
    PossibleWalk old_walk(part_.before, now_unix_ms_, exploration);
    PossibleWalk new_walk(part_.after, now_unix_ms_, exploration);
    Results results;
    std::map<std::pair<const PathResult*, const PathResult*>, Share> of_class;
    const PathResult* from = nullptr;
    const PathResult* to = nullptr;
    return exploration.Follow({.run =
                                   [&] {
                                     const decide::Decision old_decision = old_walk.Walk();
                                     if (exploration.must_divide()) return;
                                     const decide::Decision new_decision = new_walk.Walk();
                                     if (exploration.must_divide()) return;
                                     from = results.Of(old_decision, old_walk.shadows());
                                     to = results.Of(new_decision, new_walk.shadows());
                                   },
                               .on_path =
                                   [&](const PathState& path) {
                                     ++effect.paths;
                                     of_class[{from, to}] += path.share;
                                   },
                               .on_class =
                                   [&](const ContextClass& contexts) {
                                     ++effect.classes;
                                     Shares shares;
                                     for (const auto& [results_of_path, share] : of_class) {
                                       for (const Change& change :
                                            ChangesOf(*results_of_path.first, *results_of_path.second)) {
                                         if (Decides(parts_, part_, change.aspect)) shares[change] += share;
                                       }
                                     }
                                     of_class.clear();
                                     if (shares.empty()) return;
                                     classes_.push_back(contexts);
                                     changes_.push_back(std::move(shares));
                                   },
                               .on_restart = [&] { of_class.clear(); }});
  }

  // Of one aspect: classes in which the same happens are told as one.
  void AddMovements(const Aspect& aspect, std::vector<Movement>& movements) const {
    std::vector<ContextClass> classes;
    std::vector<size_t> groups;
    std::map<std::vector<std::pair<Change, Share>>, size_t> group_of;
    std::vector<const std::vector<std::pair<Change, Share>>*> shares_of;
    for (size_t i = 0; i < classes_.size(); ++i) {
      std::vector<std::pair<Change, Share>> shares;
      for (const auto& [change, share] : changes_[i]) {
        if (change.aspect == aspect) shares.emplace_back(change, share);
      }
      if (shares.empty()) continue;
      const auto [entry, is_new] = group_of.try_emplace(std::move(shares), shares_of.size());
      if (is_new) shares_of.push_back(&entry->first);
      groups.push_back(entry->second);
      classes.push_back(classes_[i]);
    }
    groups = Unite(classes, groups);
    std::vector<Movement> found;
    for (size_t i = 0; i < classes.size(); ++i) {
      for (const auto& [change, share] : *shares_of[groups[i]]) {
        found.push_back({.change = change,
                         .where = DescribeClass(space_, classes[i]),
                         .share = share,
                         .is_counted = !dependent_draws_.empty() && share != Share::Whole(),
                         .may_be_empty = !space_.HasExample(classes[i]),
                         .example = ExampleOf(space_, classes[i], "u1").values()});
      }
    }
    std::stable_sort(found.begin(), found.end(), [](const Movement& a, const Movement& b) {
      return std::tie(b.share, a.where, a.change) < std::tie(a.share, b.where, b.change);
    });
    for (Movement& movement : found) movements.push_back(std::move(movement));
  }

  const Parts& parts_;
  const ObjectivePart& part_;
  const int64_t now_unix_ms_;
  const Limits limits_;
  ContextSpace space_;
  std::set<std::string> dependent_draws_;
  // Classes in which something changes, and what.
  std::vector<ContextClass> classes_;
  std::vector<Shares> changes_;
};

class ObjectiveComparison {
 public:
  ObjectiveComparison(const decide::Snapshot& before, const decide::Snapshot& after, const decide::Objective& old_rules,
                      const decide::Objective& new_rules, int64_t now_unix_ms, const Limits& limits)
      : before_(before),
        after_(after),
        old_rules_(old_rules),
        new_rules_(new_rules),
        now_unix_ms_(now_unix_ms),
        limits_(limits) {}

  // Returns how many paths were followed.
  size_t Compare(ObjectiveEffect& effect) {
    const std::vector<std::unique_ptr<ObjectivePart>> parts = PartsOf(old_rules_, new_rules_);
    std::map<Aspect, std::vector<Movement>> movements;
    std::string why_not;
    for (const auto& part : parts) {
      PartEffect found = ComparePart(parts, *part);
      paths_ += found.paths;
      effect.paths += found.paths;
      effect.classes += found.classes;
      effect.may_be_incomplete = effect.may_be_incomplete || found.may_be_incomplete;
      for (std::string& note : found.notes) {
        if (std::find(effect.notes.begin(), effect.notes.end(), note) == effect.notes.end())
          effect.notes.push_back(std::move(note));
      }
      movements.merge(found.movements);
      if (!found.why_not.empty()) why_not = std::move(found.why_not);
      if (!why_not.empty()) break;
    }
    if (!why_not.empty()) {
      Sample(why_not, effect);
      return paths_;
    }
    for (auto& [aspect, of_aspect] : movements) {
      for (Movement& movement : of_aspect) effect.movements.push_back(std::move(movement));
    }
    return paths_;
  }

 private:
  // Each unit that rules name by itself; where that is too much, those that they do not tell apart together.
  PartEffect ComparePart(const std::vector<std::unique_ptr<ObjectivePart>>& parts, const ObjectivePart& part) {
    PartComparison in_detail(parts, part, now_unix_ms_, Left(), kNamedUnitsApartMax);
    PartEffect effect = in_detail.Compare();
    if (effect.why_not.empty() || !in_detail.HasManyNamedUnits()) return effect;
    paths_ += effect.paths;
    return PartComparison(parts, part, now_unix_ms_, Left(), kNamedUnitsMax).Compare();
  }

  Limits Left() const {
    Limits left = limits_;
    left.paths_max -= std::min(left.paths_max, paths_);
    return left;
  }

  void Sample(const std::string& why, ObjectiveEffect& effect) const {
    effect.why_sampled = why;
    effect.may_be_incomplete = true;
    NoteDifferences(
        "shadow", old_rules_.shadows, new_rules_.shadows, [](const v1::Shadow& rule) { return TextOf(rule); },
        effect.notes);
    effect.classes = 0;
    effect.paths = 0;
    // The same requests every time.
    std::mt19937_64 random(1);
    ContextSpace space;
    AddQuestions(old_rules_, space);
    AddQuestions(new_rules_, space);
    space.Finish();
    std::map<Change, size_t> counts;
    std::map<Change, std::map<std::string, std::string>> examples;
    for (size_t i = 0; i < kSampledRequests; ++i) {
      ExampleContext example = RandomExample(space, random);
      const decide::RequestContext context = example.Context(new_rules_.name, now_unix_ms_);
      const PathResult from = ResultOf(decide::Decide(before_, context), {});
      const PathResult to = ResultOf(decide::Decide(after_, context), {});
      for (Change& change : ChangesOf(from, to)) {
        examples.try_emplace(change, example.values());
        ++counts[std::move(change)];
      }
    }
    for (const auto& [change, count] : counts) {
      effect.movements.push_back({.change = change,
                                  .where = "",
                                  .share = Share::Ppm(static_cast<uint32_t>(count * 1'000'000 / kSampledRequests)),
                                  .example = examples[change]});
    }
  }

  const decide::Snapshot& before_;
  const decide::Snapshot& after_;
  const decide::Objective& old_rules_;
  const decide::Objective& new_rules_;
  const int64_t now_unix_ms_;
  const Limits limits_;
  size_t paths_ = 0;
};

std::vector<std::string> NotesOf(const decide::Objective& before, const decide::Objective& after) {
  std::vector<std::string> notes;
  NoteDifferences(
      "override", before.overrides, after.overrides, [](const v1::Override& rule) { return TextOf(rule); }, notes);
  NoteDifferences(
      "remote allocation of experiment", before.experiments, after.experiments,
      [](const v1::Experiment& rule) { return rule.has_remote() ? "remote " + rule.remote().SerializeAsString() : ""; },
      notes);
  return notes;
}

}  // namespace

Effect EffectOf(const decide::Snapshot& before, const decide::Snapshot& after, int64_t now_unix_ms,
                const Limits& limits) {
  std::map<std::string, std::pair<const decide::Objective*, const decide::Objective*>> objectives;
  for (const decide::Objective* objective : before.objectives())
    objectives[std::string(objective->name)].first = objective;
  for (const decide::Objective* objective : after.objectives())
    objectives[std::string(objective->name)].second = objective;
  Effect effect;
  RuleIdentity identity;
  // Objectives with the same rules before, and the same after, change alike: where in the effect the first of them is.
  std::map<std::pair<std::vector<size_t>, std::vector<size_t>>, size_t> known;
  size_t paths_left = limits.paths_of_all_max;
  for (const auto& [name, both] : objectives) {
    const auto& [old_rules, new_rules] = both;
    const auto numbers_of = [&](const decide::Objective* rules) {
      return rules == nullptr ? std::vector<size_t>() : identity.Of(*rules);
    };
    std::pair numbers(numbers_of(old_rules), numbers_of(new_rules));
    if (numbers.first == numbers.second) {
      ++effect.unchanged;
      continue;
    }
    const auto [same, is_new] = known.try_emplace(std::move(numbers), effect.objectives.size());
    ObjectiveEffect& of_objective = effect.objectives.emplace_back();
    of_objective.objective = name;
    of_objective.namespace_name = (new_rules != nullptr ? new_rules : old_rules)->rule_set->rule_set().namespace_();
    if (old_rules == nullptr || new_rules == nullptr) {
      of_objective.kind = old_rules == nullptr ? ObjectiveEffect::Kind::kAdded : ObjectiveEffect::Kind::kRemoved;
      continue;
    }
    if (!is_new) {
      const std::string namespace_name = of_objective.namespace_name;
      of_objective = effect.objectives[same->second];
      of_objective.objective = name;
      of_objective.namespace_name = namespace_name;
      continue;
    }
    of_objective.notes = NotesOf(*old_rules, *new_rules);
    const Limits left = {.classes_max = limits.classes_max, .paths_max = std::min(limits.paths_max, paths_left)};
    const size_t followed =
        ObjectiveComparison(before, after, *old_rules, *new_rules, now_unix_ms, left).Compare(of_objective);
    paths_left -= std::min(paths_left, followed);
  }
  return effect;
}

}  // namespace signalbox::effect
