#include "proxy/routes.h"

#include <algorithm>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace signalbox::proxy {

RoutePlan::RoutePlan(std::shared_ptr<const decide::Snapshot> of) : snapshot(std::move(of)) {
  constexpr size_t kHashDigits = 16;
  hash_text = snapshot->hash().substr(0, kHashDigits);

  absl::flat_hash_map<std::string, uint32_t> place_of_host;
  absl::flat_hash_map<const decide::Shard*, std::vector<uint32_t>> places_of_shard;
  for (const auto& shard : snapshot->shards()) {
    std::vector<uint32_t>& places = places_of_shard[shard.get()];
    for (const std::string& address : shard->hosts) {
      const auto [found, is_new] = place_of_host.try_emplace(address, static_cast<uint32_t>(hosts.size()));
      if (is_new) hosts.push_back(ResolveHostAddress(address));
      places.push_back(found->second);
    }
  }

  absl::flat_hash_map<const decide::Model*, uint32_t> place_of_model;
  for (const auto& model : snapshot->models()) {
    place_of_model[model.get()] = static_cast<uint32_t>(models.size());
    ModelHosts range{.begin = static_cast<uint32_t>(hosts_of_models.size())};
    for (const decide::Shard* shard : model->shards) {
      const std::vector<uint32_t>& places = places_of_shard.at(shard);
      hosts_of_models.insert(hosts_of_models.end(), places.begin(), places.end());
    }
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

}  // namespace signalbox::proxy
