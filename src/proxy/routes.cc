#include "proxy/routes.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/string_map.h"

namespace signalbox::proxy {
namespace {

bool SameAddress(const HostAddress& a, const HostAddress& b) {
  return a.length == b.length && std::memcmp(&a.address, &b.address, a.length) == 0;
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

bool HasAffinity(const v1::Snapshot& snapshot) {
  for (const v1::PublishedRuleSet& published : snapshot.rule_sets()) {
    for (const v1::Policy& policy : published.rule_set().policies()) {
      if (policy.affinity().unit_size() > 0) return true;
    }
  }
  return false;
}

// Makes the groups and splits of one plan, each once however many models have it.
class Balancing {
 public:
  Balancing(RoutePlan& plan, const balance::Settings& settings)
      : plan_(plan), settings_(settings), has_ring_(HasAffinity(plan.snapshot->proto())) {}

  // The hosts of a shard, which are in the plan already.
  void AddShard(const decide::Shard& shard, std::vector<uint32_t> places) {
    const auto& declared = plan_.snapshot->proto().placement().shards();
    const auto found = declared.find(shard.name);
    // By host, as the plan has each once.
    if (found != declared.end() && found->second.zones_size() == static_cast<int>(places.size())) {
      for (size_t i = 0; i < places.size(); ++i) zones_[places[i]] = found->second.zones(static_cast<int>(i));
    }
    shards_.emplace(&shard, std::move(places));
  }

  // `weights` is nullptr where all hosts of its shards are alike.
  std::shared_ptr<const balance::Split> SplitOf(const decide::Model& model, const v1::ModelPlacement* weights) {
    SplitKey key{model.shards, {}};
    if (weights != nullptr) key.second.assign(weights->weights().begin(), weights->weights().end());
    std::shared_ptr<const balance::Split>& split = splits_[key];
    if (split != nullptr) return split;
    std::vector<std::shared_ptr<balance::Group>> groups;
    if (weights == nullptr) {
      if (!model.shards.empty()) groups.push_back(GroupOf(model.shards));
      key.second.assign(groups.size(), 1);
    } else {
      for (const decide::Shard* shard : model.shards) groups.push_back(GroupOf({shard}));
    }
    split = std::make_shared<const balance::Split>(std::move(groups), key.second);
    return split;
  }

  // Each once, in order.
  std::vector<uint32_t> HostsOf(const std::vector<const decide::Shard*>& shards) const {
    std::vector<uint32_t> places;
    for (const decide::Shard* shard : shards) {
      for (const uint32_t place : shards_.at(shard)) {
        if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
      }
    }
    return places;
  }

 private:
  using SplitKey = std::pair<std::vector<const decide::Shard*>, std::vector<uint32_t>>;

  std::shared_ptr<balance::Group> GroupOf(const std::vector<const decide::Shard*>& shards) {
    std::shared_ptr<balance::Group>& group = groups_[shards];
    if (group != nullptr) return group;
    std::vector<balance::Member> members;
    for (const uint32_t place : HostsOf(shards)) {
      const auto zone = zones_.find(place);
      members.push_back(
          {.host = plan_.states[place], .place = place, .zone = zone == zones_.end() ? std::string() : zone->second});
    }
    group = std::make_shared<balance::Group>(std::move(members), settings_, has_ring_);
    plan_.groups.push_back(group);
    return group;
  }

  RoutePlan& plan_;
  const balance::Settings& settings_;
  const bool has_ring_;
  absl::flat_hash_map<uint32_t, std::string> zones_;
  absl::flat_hash_map<const decide::Shard*, std::vector<uint32_t>> shards_;
  std::map<std::vector<const decide::Shard*>, std::shared_ptr<balance::Group>> groups_;
  std::map<SplitKey, std::shared_ptr<const balance::Split>> splits_;
};

}  // namespace

RoutePlan::RoutePlan(std::shared_ptr<const decide::Snapshot> of, const RoutePlan* before, balance::Balancer& balancer)
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
  absl::flat_hash_map<const decide::Shard*, std::vector<uint32_t>> places_of_shards;
  for (const auto& shard : snapshot->shards()) {
    std::vector<uint32_t>& places = places_of_shards[shard.get()];
    for (const std::string& address : shard->hosts) {
      const auto [found, is_new] = place_of_host.try_emplace(address, static_cast<uint32_t>(hosts.size()));
      if (is_new) add_host(address);
      places.push_back(found->second);
    }
  }
  const balance::Time now = std::chrono::steady_clock::now();
  states.reserve(hosts.size());
  for (const HostAddress& host : hosts) states.push_back(balancer.StateOf(host.text, now));
  Balancing balancing(*this, balancer.settings());
  for (auto& [shard, places] : places_of_shards) balancing.AddShard(*shard, std::move(places));

  absl::flat_hash_map<const decide::Model*, uint32_t> place_of_model;
  for (const auto& model : snapshot->models()) {
    place_of_model[model.get()] = static_cast<uint32_t>(models.size());
    ModelHosts range{.begin = static_cast<uint32_t>(hosts_of_models.size())};
    const std::vector<uint32_t> places = balancing.HostsOf(model->shards);
    hosts_of_models.insert(hosts_of_models.end(), places.begin(), places.end());
    range.end = static_cast<uint32_t>(hosts_of_models.size());
    models.push_back(range);
    splits.push_back(balancing.SplitOf(*model, WeightedPlacement(*snapshot, *model)));
  }
  const auto nowhere = static_cast<uint32_t>(models.size());
  models.emplace_back();
  splits.push_back(
      std::make_shared<const balance::Split>(std::vector<std::shared_ptr<balance::Group>>(), std::vector<uint32_t>()));

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

uint64_t Routes::RandomSeed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace signalbox::proxy
