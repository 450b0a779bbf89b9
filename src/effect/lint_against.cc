// What moves users who have been somewhere already.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "api/rule_set.h"
#include "base/percent.h"
#include "decide/traffic_share.h"
#include "effect/lint.h"
#include "effect/possible_condition.h"

namespace signalbox::effect {
namespace {

// Rules by id: there may be a hundred thousand.
template <typename Rule>
class ById {
 public:
  explicit ById(const google::protobuf::RepeatedPtrField<Rule>& rules) {
    for (const Rule& rule : rules) rules_.try_emplace(rule.id(), &rule);
  }
  // nullptr: there is none.
  const Rule* Find(const std::string& id) const {
    const auto found = rules_.find(id);
    return found == rules_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<std::string_view, const Rule*> rules_;
};

template <typename Names>
std::string Joined(const Names& names) {
  return names.empty() ? "user" : fmt::format("{}", fmt::join(names.begin(), names.end(), ", "));
}

const std::string& SeedOf(const auto& rule) { return rule.seed().empty() ? rule.id() : rule.seed(); }

class MoveFinder {
 public:
  MoveFinder(const v1::PublishedRuleSet& before, const v1::PublishedRuleSet& after, int64_t now_unix_ms)
      : before_(before), after_(after), now_unix_ms_(now_unix_ms) {}

  std::vector<Warning> Find() {
    for (const v1::Objective& each : after_.rule_set().objectives()) objectives_.emplace(each.name(), &each);
    const ById experiments(before_.rule_set().experiments());
    for (const v1::Experiment& now : after_.rule_set().experiments()) {
      if (const v1::Experiment* was = experiments.Find(now.id()); was != nullptr && Runs(*was))
        CompareExperiment(*was, now);
    }
    const ById layers(before_.rule_set().layers());
    for (const v1::Layer& now : after_.rule_set().layers()) {
      const v1::Layer* was = layers.Find(now.id());
      if (was == nullptr) continue;
      CompareDraws("layer", "everybody is drawn anew in it", *was, now);
      CompareHash("layer", *was, now);
    }
    const ById shifts(after_.rule_set().traffic_shifts());
    for (const v1::TrafficShift& was : before_.rule_set().traffic_shifts()) {
      const v1::TrafficShift* now = shifts.Find(was.id());
      if (now == nullptr)
        CompareWithNone(was);
      else
        CompareShift(was, *now);
    }
    return std::move(warnings_);
  }

 private:
  template <typename... Arguments>
  void Warn(const v1::SourceLocation& place, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    warnings_.push_back({place, fmt::format(format, std::forward<Arguments>(arguments)...)});
  }

  bool Runs(const v1::Experiment& experiment) const {
    return now_unix_ms_ >= experiment.start_unix_ms() &&
           (experiment.end_unix_ms() == 0 || now_unix_ms_ < experiment.end_unix_ms());
  }

  template <typename Rule>
  bool CompareDraws(const char* kind, const char* consequence, const Rule& was, const Rule& now) {
    if (SeedOf(was) != SeedOf(now)) {
      Warn(now.source(), "{} {}: its seed was {} and is {}: {}", kind, now.id(), SeedOf(was), SeedOf(now), consequence);
      return true;
    }
    if (Joined(was.unit()) == Joined(now.unit())) return false;
    Warn(now.source(), "{} {}: its unit was {} and is {}: {}", kind, now.id(), Joined(was.unit()), Joined(now.unit()),
         consequence);
    return true;
  }

  template <typename Rule>
  bool CompareHash(const char* kind, const Rule& was, const Rule& now) {
    if (was.hash_version() == now.hash_version()) return false;
    Warn(now.source(), "{} {}: its hash version was {} and is {}: everybody is drawn anew in it", kind, now.id(),
         was.hash_version(), now.hash_version());
    return true;
  }

  // Objectives that `was` is for and `now` is not, and that are still there.
  template <typename Rule>
  std::vector<const v1::Objective*> ObjectivesLeft(const Rule& was, const Rule& now) const {
    const std::set<std::string_view> kept(now.objectives().begin(), now.objectives().end());
    std::vector<const v1::Objective*> left;
    for (const std::string& name : was.objectives()) {
      const auto objective = objectives_.find(name);
      if (!kept.contains(name) && objective != objectives_.end()) left.push_back(objective->second);
    }
    return left;
  }

  template <typename Rule>
  void CompareConditions(const char* kind, std::string_view consequence, const Rule& was, const Rule& now) {
    if (!now.has_condition() || was.condition().SerializeAsString() == now.condition().SerializeAsString()) return;
    const std::string who = WhoIsLeftOut(was.condition(), now.condition(), now_unix_ms_);
    if (!who.empty()) Warn(now.source(), "{} {}: {}: {}", kind, now.id(), who, consequence);
  }

  void CompareExperiment(const v1::Experiment& was, const v1::Experiment& now) {
    for (const v1::Objective* objective : ObjectivesLeft(was, now))
      Warn(now.source(), "experiment {}: is not for Objective {} any more: its users there leave it", now.id(),
           objective->name());
    CompareConditions("experiment", "its users there leave it", was, now);
    if (CompareDraws("experiment", "everybody in it gets a cell anew", was, now) || CompareHash("experiment", was, now))
      return;
    if (const uint32_t moved_ppm = MovedPpm(was, now); moved_ppm > 0)
      Warn(now.source(), "experiment {}: its cells' weights move {} of its users from one cell to another", now.id(),
           Percent(moved_ppm));
    if (now.allocation_ppm() < was.allocation_ppm())
      Warn(now.source(), "experiment {}: its percentage is lowered from {} to {}: users leave it", now.id(),
           Percent(was.allocation_ppm()), Percent(now.allocation_ppm()));
    const bool same_range = was.layer() == now.layer() && now.layer_begin_ppm() <= was.layer_begin_ppm() &&
                            now.layer_end_ppm() >= was.layer_end_ppm();
    if (!same_range)
      Warn(now.source(), "experiment {}: its place in its layer is another one: users leave it", now.id());
  }

  // By the cells' ranges in [0, 1,000,000), of those who are in the experiment before and after.
  static uint32_t MovedPpm(const v1::Experiment& was, const v1::Experiment& now) {
    std::map<uint32_t, std::string> old_ends = EndsOf(was);
    std::map<uint32_t, std::string> new_ends = EndsOf(now);
    uint32_t moved = 0;
    uint32_t begin = 0;
    while (begin < rule_set::kEverybodyPpm) {
      const auto old_cell = old_ends.upper_bound(begin);
      const auto new_cell = new_ends.upper_bound(begin);
      if (old_cell == old_ends.end() || new_cell == new_ends.end()) break;
      const uint32_t end = std::min(old_cell->first, new_cell->first);
      if (old_cell->second != new_cell->second) moved += end - begin;
      begin = end;
    }
    return moved;
  }

  static std::map<uint32_t, std::string> EndsOf(const v1::Experiment& experiment) {
    std::map<uint32_t, std::string> ends;
    uint32_t end = 0;
    for (const v1::Cell& cell : experiment.cells()) {
      if (cell.weight_ppm() == 0) continue;
      end += cell.weight_ppm();
      ends[end] = cell.name();
    }
    return ends;
  }

  uint32_t ShareOf(const v1::PublishedRuleSet& rules, const v1::TrafficShift& shift) const {
    return decide::ShareAt(shift, decide::FindSetting(rules.traffic(), shift.id()), now_unix_ms_);
  }

  void CompareShift(const v1::TrafficShift& was, const v1::TrafficShift& now) {
    const uint32_t old_ppm = ShareOf(before_, was);
    const uint32_t new_ppm = ShareOf(after_, now);
    if (old_ppm == 0) return;
    if (old_ppm < rule_set::kEverybodyPpm && CompareDraws("traffic shift", "who is shifted is drawn anew", was, now))
      return;
    const std::string from = rule_set::ModelId(was.to());
    if (new_ppm < old_ppm)
      Warn(now.source(), "traffic shift {}: is lowered from {} to {}: users move back from {}", now.id(),
           Percent(old_ppm), Percent(new_ppm), from);
    if (const std::string to = rule_set::ModelId(now.to()); to != from)
      Warn(now.source(), "traffic shift {}: its model was {} and is {}: its users, {}, move", now.id(), from, to,
           Percent(std::min(old_ppm, new_ppm)));
    CompareConditions("traffic shift", fmt::format("users there move back from {}", from), was, now);
    for (const v1::Objective* objective : ObjectivesLeft(was, now)) {
      const std::string to = rule_set::ModelId(objective->default_model());
      if (to == from) continue;
      Warn(now.source(),
           "traffic shift {}: is not for Objective {} any more, where it was at {}: users move back from {} to {}",
           now.id(), objective->name(), Percent(old_ppm), from, to);
    }
  }

  void CompareWithNone(const v1::TrafficShift& was) {
    const uint32_t share_ppm = ShareOf(before_, was);
    if (share_ppm == 0) return;
    const std::string to = rule_set::ModelId(was.to());
    for (const std::string& name : was.objectives()) {
      const auto found = objectives_.find(name);
      if (found == objectives_.end()) continue;
      const v1::Objective& objective = *found->second;
      if (rule_set::ModelId(objective.default_model()) == to) continue;
      Warn(objective.source(), "Objective {}: traffic shift {}, at {}, is gone: users move back from {} to {}",
           objective.name(), was.id(), Percent(share_ppm), to, rule_set::ModelId(objective.default_model()));
    }
  }

  const v1::PublishedRuleSet& before_;
  const v1::PublishedRuleSet& after_;
  const int64_t now_unix_ms_;
  std::unordered_map<std::string_view, const v1::Objective*> objectives_;  // after
  std::vector<Warning> warnings_;
};

}  // namespace

std::vector<Warning> LintAgainst(const v1::PublishedRuleSet& before, const v1::PublishedRuleSet& after,
                                 int64_t now_unix_ms) {
  std::vector<Warning> warnings = MoveFinder(before, after, now_unix_ms).Find();
  Sort(warnings);
  return warnings;
}

}  // namespace signalbox::effect
