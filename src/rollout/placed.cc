#include "rollout/placed.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace signalbox::rollout {
namespace {

PlacedModel Read(const v1::ModelPlacement& entry) {
  std::vector<std::pair<std::string, uint32_t>> shards;
  for (int i = 0; i < entry.shards_size(); ++i) {
    shards.emplace_back(entry.shards(i), entry.weights_size() == entry.shards_size() ? entry.weights(i) : 0);
  }
  std::sort(shards.begin(), shards.end());
  PlacedModel model;
  for (auto& [shard, weight] : shards) {
    model.shards.push_back(std::move(shard));
    if (entry.weights_size() == entry.shards_size()) model.weights.push_back(weight);
  }
  return model;
}

}  // namespace

const PlacedModel* Placed::Find(const std::string& model) const {
  const auto found = models.find(model);
  return found == models.end() ? nullptr : &found->second;
}

bool Placed::Lists(const std::string& shard, const std::string& address) const {
  const auto found = hosts.find(shard);
  return found != hosts.end() && found->second.contains(address);
}

bool Placed::Routes(const std::string& address, const std::string& model) const {
  const auto listing = lists.find(address);
  if (listing == lists.end()) return false;
  return std::any_of(listing->second.begin(), listing->second.end(), [&](const std::string& shard) {
    const auto on_shard = models_of_shard.find(shard);
    return on_shard != models_of_shard.end() && on_shard->second.contains(model);
  });
}

Placed ReadPlacement(const v1::Placement& placement, const ModelIds& ids) {
  Placed placed;
  for (const auto& [id, entry] : placement.models()) placed.models[id] = Read(entry);
  for (const std::string& id : ids) {
    if (placed.models.contains(id)) continue;
    const auto by_name = placement.models().find(std::string(NameOfModel(id)));
    if (by_name == placement.models().end()) continue;
    placed.models[id] = Read(by_name->second);
    placed.by_name = true;
  }
  for (const auto& [name, shard] : placement.shards()) {
    placed.hosts[name].insert(shard.hosts().begin(), shard.hosts().end());
  }
  for (const auto& [id, model] : placed.models) {
    for (const std::string& shard : model.shards) placed.models_of_shard[shard].insert(id);
  }
  for (const auto& [shard, addresses] : placed.hosts) {
    for (const std::string& address : addresses) placed.lists[address].push_back(shard);
  }
  return placed;
}

v1::Placement WritePlacement(const std::map<std::string, PlacedModel>& models,
                             const std::map<std::string, std::set<std::string>>& hosts, const v1::Fleet& fleet) {
  v1::Placement placement;
  for (const auto& [id, model] : models) {
    v1::ModelPlacement& entry = (*placement.mutable_models())[id];
    entry.mutable_shards()->Add(model.shards.begin(), model.shards.end());
    entry.mutable_weights()->Add(model.weights.begin(), model.weights.end());
  }
  for (const auto& [shard, addresses] : hosts) {
    v1::Shard& entry = (*placement.mutable_shards())[shard];
    entry.mutable_hosts()->Add(addresses.begin(), addresses.end());
    const auto declared = fleet.shards().find(shard);
    if (declared == fleet.shards().end() || declared->second.zone().empty()) continue;
    for (size_t i = 0; i < addresses.size(); ++i) entry.add_zones(declared->second.zone());
  }
  return placement;
}

}  // namespace signalbox::rollout
