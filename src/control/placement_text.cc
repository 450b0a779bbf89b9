#include "control/placement_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "control/host_records.h"
#include "fleet/fleet.h"
#include "signalbox/v1/registration.pb.h"

namespace signalbox::control {
namespace {

// What is not there is empty.
template <typename Content>
absl::StatusOr<store::VersionInfo> ReadNewest(store::Store& store, std::string_view topic, Content& content) {
  const absl::StatusOr<store::Version> stored = store.Get(topic, std::nullopt);
  if (absl::IsNotFound(stored.status())) return store::VersionInfo();
  RETURN_IF_ERROR(stored.status());
  if (absl::Status status = ParseJson(stored->content, content); !status.ok()) {
    return absl::DataLossError(fmt::format("{} version {}: {}", topic, stored->info.version, Message(status)));
  }
  return stored->info;
}

template <typename List>
bool Contains(const List& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string PlaceText(const v1::ModelPlacement& model) {
  std::vector<std::string> places;
  uint32_t sum = 0;
  for (const uint32_t weight : model.weights()) sum += weight;
  for (int i = 0; i < model.shards_size(); ++i) {
    const bool weighted = model.weights_size() == model.shards_size() && sum > 0;
    places.push_back(weighted ? fmt::format("{} ({:.0f} %)", model.shards(i), 100.0 * model.weights(i) / sum)
                              : model.shards(i));
  }
  return fmt::format("{}", fmt::join(places, ", "));
}

std::string HostsText(const PlacementFacts& facts, const v1::Shard& shard) {
  std::vector<std::string> texts;
  for (const std::string& address : shard.hosts()) texts.push_back(HostText(facts.hosts, address));
  return texts.empty() ? "no host is ready" : fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

absl::StatusOr<PlacementFacts> ReadPlacementFacts(store::Store& store) {
  PlacementFacts facts;
  ASSIGN_OR_RETURN(facts.info, ReadNewest(store, store::kPlacementTopic, facts.placement));
  v1::Fleet fleet;
  ASSIGN_OR_RETURN(const store::VersionInfo of_fleet, ReadNewest(store, store::kFleetTopic, fleet));
  RETURN_IF_ERROR(ReadNewest(store, store::kDrainsTopic, facts.drains).status());
  if (of_fleet.version == 0) return facts;
  ASSIGN_OR_RETURN(const std::vector<store::Record> records, store.Records(kHostRecords));
  std::vector<v1::HostIdentity> registered;
  for (const store::Record& record : records) {
    v1::HostIdentity host;
    if (host.ParseFromString(record.value)) registered.push_back(std::move(host));
  }
  for (const fleet::KnownHost& host : fleet::JoinHosts(fleet, registered).hosts) {
    facts.hosts.push_back({host.id, host.address, host.shard});
  }
  return facts;
}

std::string HostText(const std::vector<HostName>& hosts, const std::string& address) {
  const auto found =
      std::find_if(hosts.begin(), hosts.end(), [&](const HostName& host) { return host.address == address; });
  return found == hosts.end() || found->id == address ? address : fmt::format("{} ({})", found->id, address);
}

std::string PlacementText(const PlacementFacts& facts) {
  const std::map<std::string, v1::Shard> shards(facts.placement.shards().begin(), facts.placement.shards().end());
  const std::map<std::string, v1::ModelPlacement> models(facts.placement.models().begin(),
                                                         facts.placement.models().end());
  std::string text =
      fmt::format("placement version {}: {} shards, {} models\n\n", facts.info.version, shards.size(), models.size());
  for (const auto& [name, shard] : shards) {
    text += fmt::format("shard {:<20} {}{}\n", name, HostsText(facts, shard),
                        Contains(facts.drains.shards(), name) ? "; the shard is drained" : "");
  }
  for (const HostName& host : facts.hosts) {
    const auto shard = shards.find(host.shard);
    const bool is_used = shard != shards.end() && Contains(shard->second.hosts(), host.address);
    const bool is_drained = Contains(facts.drains.hosts(), host.id);
    if (is_used && !is_drained) continue;
    const std::string why =
        !is_drained ? "it is not reached, or does not have all models of the shard, or there are none"
        : is_used   ? "drained, and stays until another host has the models of the shard, or they are elsewhere"
                    : "drained: it can be stopped";
    text += fmt::format("host {:<21} {} of shard {}, {}: {}\n", host.id, host.address, host.shard,
                        is_used ? "used" : "not used", why);
  }
  for (const auto& [name, model] : models) text += fmt::format("model {:<20} {}\n", name, PlaceText(model));
  return text;
}

std::vector<std::string> PlacesOf(const PlacementFacts& facts, const std::string& model) {
  auto entry = facts.placement.models().find(model);
  if (entry == facts.placement.models().end()) entry = facts.placement.models().find(model.substr(0, model.find('@')));
  std::vector<std::string> places;
  if (entry == facts.placement.models().end()) return places;
  for (const std::string& name : entry->second.shards()) {
    const auto shard = facts.placement.shards().find(name);
    places.push_back(fmt::format(
        "shard {}: {}", name,
        shard == facts.placement.shards().end() ? std::string("no host is ready") : HostsText(facts, shard->second)));
  }
  return places;
}

}  // namespace signalbox::control
