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

}  // namespace

RoutePlan::RoutePlan(std::shared_ptr<const decide::Snapshot> of, const RoutePlan* before) : snapshot(std::move(of)) {
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
