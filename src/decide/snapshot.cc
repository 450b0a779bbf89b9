#include "decide/snapshot.h"

#include <algorithm>
#include <array>

#include "decide/objective.h"

namespace signalbox::decide {

std::string_view Name(Reason reason) {
  constexpr std::array<std::string_view, 6> kNames = {"default",  "experiment",   "traffic_shift",
                                                      "fallback", "context_rule", "override"};
  return kNames[static_cast<size_t>(reason)];
}

Snapshot::Snapshot() = default;
Snapshot::~Snapshot() = default;

const Objective* Snapshot::FindObjective(std::string_view name) const {
  const auto found = objectives_.find(name);
  return found == objectives_.end() ? nullptr : found->second.get();
}

std::vector<std::string_view> Snapshot::ObjectiveNames() const {
  std::vector<std::string_view> names;
  names.reserve(objectives_.size());
  for (const auto& [name, objective] : objectives_) names.emplace_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

bool Snapshot::NamesModel(std::string_view id) const {
  if (models_by_id_.contains(id)) return true;
  return std::any_of(models_.begin(), models_.end(), [&](const auto& model) { return model->name == id; });
}

}  // namespace signalbox::decide
