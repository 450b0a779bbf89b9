#include "proxy/routes.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/string_map.h"

namespace signalbox::proxy {
namespace {

bool SameAddress(const HostAddress& a, const HostAddress& b) {
  return a.length == b.length && std::memcmp(&a.address, &b.address, a.length) == 0;
}

// In the order of weights: over any stretch of turns each shard gets its part, as even as whole turns allow (smooth
// weighted round robin, as nginx has it). A host is in it as often as its part says.
std::vector<uint32_t> InProportion(const std::vector<const std::vector<uint32_t>*>& hosts_of_shards,
                                   const google::protobuf::RepeatedField<uint32_t>& weights) {
  struct Candidate {
    uint32_t host;
    double weight;
    double current = 0;
  };
  std::vector<Candidate> candidates;
  double sum = 0;
  for (size_t i = 0; i < hosts_of_shards.size(); ++i) {
    for (const uint32_t host : *hosts_of_shards[i]) {
      const double weight =
          static_cast<double>(weights[static_cast<int>(i)]) / static_cast<double>(hosts_of_shards[i]->size());
      if (weight <= 0) continue;
      candidates.push_back({host, weight});
      sum += weight;
    }
  }
  // Parts of a percent are not seen; every host is in it a few times.
  constexpr size_t kTurns = 100;
  std::vector<uint32_t> turns(candidates.empty() ? 0 : std::max(kTurns, 4 * candidates.size()));
  for (uint32_t& turn : turns) {
    for (Candidate& candidate : candidates) candidate.current += candidate.weight;
    Candidate& next = *std::max_element(candidates.begin(), candidates.end(),
                                        [](const Candidate& a, const Candidate& b) { return a.current < b.current; });
    next.current -= sum;
    turn = next.host;
  }
  return turns;
}

// nullptr where all hosts of its shards are alike.
const v1::ModelPlacement* WeightedPlacement(const decide::Snapshot& snapshot, const decide::Model& model) {
  const auto& models = snapshot.proto().placement().models();
  auto placement = models.find(std::string(model.id));
  if (placement == models.end()) placement = models.find(std::string(model.name));
  if (placement == models.end()) return nullptr;
  const bool has_all =
      placement->second.weights_size() > 0 && placement->second.weights_size() == placement->second.shards_size();
  return has_all ? &placement->second : nullptr;
}

}  // namespace

RoutePlan::RoutePlan(std::shared_ptr<const decide::Snapshot> of, const RoutePlan* before)
    : snapshot(std::move(of)), handling(*snapshot, before == nullptr ? nullptr : &before->handling) {
  constexpr size_t kHashDigits = 16;
  hash_text = snapshot->hash().substr(0, kHashDigits);

  StringMap<const HostAddress*> known;
  if (before != nullptr) {
    for (const HostAddress& address : before->hosts) {
      if (address.status.ok()) known.emplace(address.text, &address);
    }
  }
  auto add_host = [&](const std::string& address) {
    const auto found = known.find(address);
    if (found == known.end()) return static_cast<void>(hosts.push_back(ResolveHostAddress(address)));
    taken_over.push_back(static_cast<uint32_t>(hosts.size()));
    hosts.push_back(*found->second);
  };
  absl::flat_hash_map<std::string, uint32_t> place_of_host;
  absl::flat_hash_map<const decide::Shard*, std::vector<uint32_t>> places_of_shard;
  for (const auto& shard : snapshot->shards()) {
    std::vector<uint32_t>& places = places_of_shard[shard.get()];
    for (const std::string& address : shard->hosts) {
      const auto [found, is_new] = place_of_host.try_emplace(address, static_cast<uint32_t>(hosts.size()));
      if (is_new) add_host(address);
      places.push_back(found->second);
    }
  }

  absl::flat_hash_map<const decide::Model*, uint32_t> place_of_model;
  for (const auto& model : snapshot->models()) {
    place_of_model[model.get()] = static_cast<uint32_t>(models.size());
    ModelHosts range{.begin = static_cast<uint32_t>(hosts_of_models.size())};
    std::vector<const std::vector<uint32_t>*> hosts_of_shards;
    for (const decide::Shard* shard : model->shards) hosts_of_shards.push_back(&places_of_shard.at(shard));
    std::vector<uint32_t> turns;
    if (const v1::ModelPlacement* weighted = WeightedPlacement(*snapshot, *model)) {
      turns = InProportion(hosts_of_shards, weighted->weights());
    } else {
      for (const auto* places : hosts_of_shards) turns.insert(turns.end(), places->begin(), places->end());
    }
    hosts_of_models.insert(hosts_of_models.end(), turns.begin(), turns.end());
    range.end = static_cast<uint32_t>(hosts_of_models.size());
    models.push_back(range);
  }
  const auto nowhere = static_cast<uint32_t>(models.size());
  models.emplace_back();

  model_of_answer.resize(snapshot->answers().size(), nowhere);
  for (const auto& answer : snapshot->answers()) {
    const auto found = place_of_model.find(answer->model);
    if (found != place_of_model.end()) model_of_answer[answer->index] = found->second;
  }
}

std::shared_ptr<const RoutePlan> RoutePlan::Renewed() const {
  std::shared_ptr<RoutePlan> renewed;
  for (const uint32_t place : taken_over) {
    HostAddress address = ResolveHostAddress(hosts[place].text);
    // What once was found is better than nothing.
    if (!address.status.ok() || SameAddress(address, hosts[place])) continue;
    if (renewed == nullptr) renewed = std::make_shared<RoutePlan>(*this);
    renewed->hosts[place] = std::move(address);
  }
  return renewed;
}

}  // namespace signalbox::proxy
