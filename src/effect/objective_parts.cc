#include "effect/objective_parts.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "decide/decide.h"

namespace signalbox::effect {
namespace {

// Which layers have to do with one another.
class LayerGroups {
 public:
  // That of the model.
  static constexpr size_t kMain = 0;

  LayerGroups() : parent_{kMain} {}

  size_t Find(std::string_view layer) {
    const auto [known, is_new] = index_.try_emplace(std::string(layer), parent_.size());
    if (is_new) parent_.push_back(known->second);
    return Root(known->second);
  }
  void Unite(size_t a, size_t b) {
    const size_t root_a = Root(a);
    const size_t root_b = Root(b);
    parent_[std::max(root_a, root_b)] = std::min(root_a, root_b);
  }
  size_t Root(size_t group) const {
    while (parent_[group] != group) group = parent_[group];
    return group;
  }

 private:
  std::map<std::string, size_t> index_;
  std::vector<size_t> parent_;
};

// Testers in many experiments can come to the limit of what one request can hold: then layers depend on one another.
bool HasRoomForAllForced(const decide::Objective& objective) {
  size_t experiments = 0;
  size_t bytes = 0;
  for (const decide::CompiledExperiment& experiment : objective.experiments) {
    if (experiment.forced == nullptr) continue;
    ++experiments;
    size_t largest = 0;
    for (const decide::CompiledCell& cell : experiment.cells) {
      const decide::Overlay* overlay = cell.choice.answer != nullptr ? cell.over_others : cell.main_overlay;
      if (overlay != nullptr) largest = std::max(largest, overlay->objective_config.size());
    }
    bytes += largest;
  }
  return experiments + objective.layers.size() < decide::kEnrolmentsMax && bytes <= objective.chosen_cells_bytes_max;
}

std::string_view LayerOf(const decide::CompiledExperiment& experiment) { return experiment.rule->layer(); }

// What an experiment of its own layer decides.
std::set<Aspect> AspectsOf(const decide::CompiledExperiment& experiment) {
  std::set<Aspect> aspects = {{AspectKind::kCell, std::string(experiment.id)}};
  for (const v1::Cell& cell : experiment.rule->cells()) {
    for (const auto& [key, value] : cell.parameters()) aspects.insert({AspectKind::kParameter, key});
  }
  return aspects;
}

LayerGroups GroupsOf(const std::vector<const decide::Objective*>& objectives) {
  LayerGroups groups;
  std::map<Aspect, size_t> group_of;
  const bool can_be_apart =
      std::all_of(objectives.begin(), objectives.end(), [](const auto* each) { return HasRoomForAllForced(*each); });
  for (const decide::Objective* objective : objectives) {
    for (const decide::CompiledExperiment& experiment : objective->experiments) {
      const size_t group = groups.Find(LayerOf(experiment));
      // Which experiment is the first of a request says what the model's type is.
      const bool says_types = !experiment.rule->model_input_type().empty() || !experiment.rule->model_type().empty();
      if (experiment.chooses_model || says_types || !can_be_apart) groups.Unite(group, LayerGroups::kMain);
      // The same in old and new rules, or two that set the same parameter.
      for (const Aspect& aspect : AspectsOf(experiment))
        groups.Unite(group, group_of.try_emplace(aspect, group).first->second);
    }
  }
  return groups;
}

void Take(const decide::Objective& objective, LayerGroups& groups, size_t group, decide::Objective& part,
          std::vector<decide::CompiledExperiment>& experiments, std::set<Aspect>& aspects) {
  part = objective;
  for (const decide::CompiledExperiment& experiment : objective.experiments) {
    if (groups.Find(LayerOf(experiment)) != group) continue;
    experiments.push_back(experiment);
    aspects.merge(AspectsOf(experiment));
  }
  part.experiments = experiments;
  part.has_forced_cells = std::any_of(experiments.begin(), experiments.end(),
                                      [](const decide::CompiledExperiment& each) { return each.forced != nullptr; });
  if (experiments.empty()) part.holdouts = {};
  if (group == LayerGroups::kMain) return;
  part.shifts = {};
  part.shadows = {};
}

}  // namespace

std::vector<std::unique_ptr<ObjectivePart>> PartsOf(const decide::Objective& before, const decide::Objective& after) {
  LayerGroups groups = GroupsOf({&before, &after});
  std::set<size_t> roots = {LayerGroups::kMain};
  for (const decide::Objective* objective : {&before, &after}) {
    for (const decide::CompiledExperiment& experiment : objective->experiments)
      roots.insert(groups.Find(LayerOf(experiment)));
  }
  std::vector<std::unique_ptr<ObjectivePart>> parts;
  for (const size_t root : roots) {
    ObjectivePart& part = *parts.emplace_back(std::make_unique<ObjectivePart>());
    Take(before, groups, root, part.before, part.experiments_before, part.aspects);
    Take(after, groups, root, part.after, part.experiments_after, part.aspects);
  }
  return parts;
}

bool Decides(const std::vector<std::unique_ptr<ObjectivePart>>& parts, const ObjectivePart& part,
             const Aspect& aspect) {
  if (&part != parts.front().get()) return part.aspects.contains(aspect);
  return std::none_of(parts.begin() + 1, parts.end(),
                      [&](const auto& other) { return other->aspects.contains(aspect); });
}

}  // namespace signalbox::effect
