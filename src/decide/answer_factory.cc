#include "decide/answer_factory.h"

#include "absl/strings/escaping.h"
#include "api/rule_set.h"
#include "decide/arena.h"
#include "decide/enrichment.h"
#include "decide/routing_key.h"
#include "decide/snapshot_memory.h"

namespace signalbox::decide {

using rule_set::ConfigOf;
using rule_set::ModelId;

const Answer* AnswerFactory::MakeAnswer(const v1::Objective& objective, const v1::ModelRef& ref,
                                        const NamedRules& named, const Because& because) {
  const v1::ObjectiveConfig config = ConfigOf(objective, ref, because.experiment, because.cell);
  auto* answer = New<Answer>(snapshot_.memory_->texts);
  answer->index = static_cast<uint32_t>(snapshot_.answers_.size());
  snapshot_.answers_.push_back(answer);
  answer->model = FindOrMakeModel(ref);
  answer->reason = because.reason;
  // The texts of the rules live as long.
  answer->objective = objective.name();
  if (because.experiment != nullptr) {
    answer->experiment = because.experiment->id();
    answer->cell = because.cell->name();
  }
  answer->objective_config = Keep(SerialiseObjectiveConfig(config));
  std::string base64;
  absl::Base64Escape(absl::string_view(answer->objective_config.data(), answer->objective_config.size()), &base64);
  answer->objective_config_base64 = Keep(base64);
  answer->open_inference_suffix = Keep(OpenInferenceSuffix(config));
  answer->serve_suffix = Keep(ServeSuffix(config));
  if (ref.ensemble().empty()) return answer;
  answer->ensemble = named.ensembles.at(ref.ensemble());
  const std::span<Answer::Member> members =
      NewArray<Answer::Member>(static_cast<size_t>(answer->ensemble->members_size()), snapshot_.memory_->texts);
  for (size_t i = 0; i < members.size(); ++i) {
    const v1::EnsembleMember& member = answer->ensemble->members(static_cast<int>(i));
    members[i] = {.answer = MakeAnswer(objective, member.model(), named, because), .weight = member.weight()};
  }
  answer->members = members;
  return answer;
}

const Overlay* AnswerFactory::MakeOverlay(const v1::ObjectiveConfig& config, bool is_of_choosing_cell) {
  Overlay* overlay = AddOverlay(Keep(SerialiseObjectiveConfig(config)), Keep(OpenInferenceOverlay(config)));
  overlay->is_of_choosing_cell = is_of_choosing_cell;
  return overlay;
}

AnswerFactory::Pair AnswerFactory::MakeOverlays(const v1::ObjectiveConfig& config, const v1::ObjectiveConfig& more) {
  const std::string objective_config = SerialiseObjectiveConfig(config);
  const std::string open_inference = OpenInferenceOverlay(config);
  // A message followed by fields of another is the two of them merged.
  const std::string_view whole_config = Keep(objective_config + SerialiseObjectiveConfig(more));
  const std::string_view whole_open_inference = Keep(open_inference + OpenInferenceOverlay(more));
  return {.without = AddOverlay(whole_config.substr(0, objective_config.size()),
                                whole_open_inference.substr(0, open_inference.size())),
          .with = AddOverlay(whole_config, whole_open_inference)};
}

Overlay* AnswerFactory::AddOverlay(std::string_view objective_config, std::string_view open_inference_suffix) {
  auto* overlay = New<Overlay>(snapshot_.memory_->texts);
  overlay->index = static_cast<uint32_t>(snapshot_.overlays_.size());
  overlay->objective_config = objective_config;
  overlay->open_inference_suffix = open_inference_suffix;
  snapshot_.overlays_.push_back(overlay);
  return overlay;
}

std::string_view AnswerFactory::Keep(std::string_view text) { return NewText(text, snapshot_.memory_->texts); }

const Model* AnswerFactory::FindOrMakeModel(const v1::ModelRef& ref) {
  std::string id = ModelId(ref);
  if (const auto known = snapshot_.models_by_id_.find(id); known != snapshot_.models_by_id_.end()) return known->second;
  auto owned = std::make_unique<Model>();
  Model* model = owned.get();
  model->id = std::move(id);
  // An ensemble is nowhere itself.
  if (ref.ensemble().empty()) {
    // `name@version` has both texts in it.
    const std::string_view text = model->id;
    model->name = text.substr(0, ref.name().size());
    model->version = text.substr(text.size() - ref.version().size());
    model->routing_key = Keep(RoutingKey(model->id));
    model->shards = ShardsOf(model->id, ref.name());
  }
  snapshot_.models_by_id_.emplace(model->id, model);
  snapshot_.models_.push_back(std::move(owned));
  return model;
}

std::vector<const Shard*> AnswerFactory::ShardsOf(const std::string& id, const std::string& name) const {
  const auto& placements = snapshot_.proto_.placement().models();
  auto placement = placements.find(id);
  if (placement == placements.end()) placement = placements.find(name);
  std::vector<const Shard*> shards;
  if (placement == placements.end()) return shards;
  for (const std::string& shard : placement->second.shards()) shards.push_back(shards_.at(shard));
  return shards;
}

}  // namespace signalbox::decide
