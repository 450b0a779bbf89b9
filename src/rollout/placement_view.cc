#include "rollout/placement_view.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace signalbox::rollout {

void PlacementViewer::Take(Work& work) {
  needs_ = std::move(work.needs);
  placed_ = std::move(work.placed);
  plan_ = std::move(work.plan);
  waits_ = std::move(work.waits);
  is_made_ = false;
}

const PlacementView& PlacementViewer::view() const {
  if (is_made_) return view_;
  is_made_ = true;
  view_.models.clear();
  std::set<std::string> models;
  for (const auto& [model, need] : needs_) models.insert(model);
  for (const auto& [model, placed] : placed_.models) models.insert(model);
  for (const auto& [model, waits] : waits_) models.insert(model);
  for (const std::string& model : models) {
    PlacementView::ModelView& view = view_.models.emplace_back();
    view.model = model;
    if (const auto need = needs_.find(model); need != needs_.end()) view.wanted_by = need->second.wanted_by;
    if (const PlacedModel* placed = placed_.Find(model)) view.shards = placed->shards;
    if (const auto waits = waits_.find(model); waits != waits_.end()) view.waits = waits->second;
    const auto explanation = plan_->explanations.find(model);
    if (explanation == plan_->explanations.end()) {
      view.summary = "not needed any more";
      continue;
    }
    view.summary = explanation->second.summary;
    for (const assign::Refusal& refusal : explanation->second.refusals) {
      view.refusals.push_back(refusal.shard.empty() ? refusal.reason
                                                    : fmt::format("{}: {}", refusal.shard, refusal.reason));
    }
  }
  return view_;
}

}  // namespace signalbox::rollout
