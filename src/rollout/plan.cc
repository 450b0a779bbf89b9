#include "rollout/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "rollout/limits.h"

namespace signalbox::rollout {
namespace {

template <typename List>
bool Contains(const List& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

class ShardRoom {
 public:
  ShardRoom(const v1::FleetShard& declared, const v1::Drains& drains) : declared_(declared), drains_(drains) {
    memory_bytes_ = declared.memory_bytes();
  }

  void Add(const HostFact& host, Wake& wake) {
    if (host.shares_address) return;
    // Absent for a moment moves nothing. (alive_since_ms is of the last change, so also of its death.)
    if (host.known && !host.alive && wake.Passed(host.alive_since_ms + kHostLossGraceMs)) return;
    const ObservedHost& seen = *host.seen;
    const double cores = seen.cores > 0 ? seen.cores : DeclaredCores();
    (Contains(drains_.hosts(), seen.id) ? drained_cores_ : cores_) += cores;
    if (seen.memory_bytes > 0) {
      memory_bytes_ = memory_bytes_ == 0 ? seen.memory_bytes : std::min(memory_bytes_, seen.memory_bytes);
    }
  }
  void AddAbsent() { cores_ += DeclaredCores(); }

  bool empty() const { return cores_ + drained_cores_ == 0; }

  assign::Shard Build(const std::string& name) const {
    assign::Shard shard;
    shard.name = name;
    shard.zone = declared_.zone();
    shard.accelerator = declared_.accelerator();
    shard.namespaces.assign(declared_.namespaces().begin(), declared_.namespaces().end());
    shard.memory_bytes = memory_bytes_;
    shard.capacity = cores_ > 0 ? cores_ : drained_cores_;
    // With all its hosts drained it is as good as drained itself: it keeps what can go nowhere else.
    shard.draining = cores_ == 0 || Contains(drains_.shards(), name);
    return shard;
  }

 private:
  double DeclaredCores() const { return declared_.cores() > 0 ? declared_.cores() : 1; }

  const v1::FleetShard& declared_;
  const v1::Drains& drains_;
  double cores_ = 0;
  double drained_cores_ = 0;
  uint64_t memory_bytes_ = 0;
};

std::vector<assign::Model> ModelsOf(const Needs& needs, const v1::Fleet& fleet, const HostFacts& hosts) {
  std::vector<assign::Model> models;
  models.reserve(needs.size());
  for (const auto& [id, need] : needs) {
    const v1::FleetModel& declared = DeclaredModel(fleet, id);
    assign::Model& model = models.emplace_back();
    model.id = id;
    model.namespaces.assign(need.namespaces.begin(), need.namespaces.end());
    model.memory_bytes = declared.memory_bytes();
    const double cost = declared.cost_seconds() > 0 ? declared.cost_seconds() : hosts.MeasuredCost(id);
    model.load = cost * declared.requests_per_second();
    model.accelerator = declared.accelerator();
    model.exclusive = declared.exclusive();
    model.replicas = std::max(1U, declared.replicas());
    model.spread_zones = declared.spread_zones();
    model.pinned_shards.assign(declared.shards().begin(), declared.shards().end());
    model.required.assign(declared.depends_on().begin(), declared.depends_on().end());
  }
  return models;
}

std::string KeyOf(const std::vector<assign::Shard>& shards, const std::vector<assign::Model>& models,
                  const assign::Assignment& current) {
  fmt::memory_buffer key;
  auto out = std::back_inserter(key);
  for (const assign::Shard& shard : shards) {
    out = fmt::format_to(out, "{} {} {} {} {} {} {}\n", shard.name, shard.zone, shard.accelerator,
                         fmt::join(shard.namespaces, ","), shard.memory_bytes, shard.capacity, shard.draining);
  }
  for (const assign::Model& model : models) {
    out = fmt::format_to(out, "{} {} {} {} {} {} {} {} {} {}\n", model.id, fmt::join(model.namespaces, ","),
                         model.memory_bytes, model.load, model.accelerator, model.exclusive, model.replicas,
                         model.spread_zones, fmt::join(model.pinned_shards, ","), fmt::join(model.required, ","));
  }
  for (const auto& [model, on] : current) out = fmt::format_to(out, "{} {}\n", model, fmt::join(on, ","));
  return fmt::to_string(key);
}

}  // namespace

Room FindRoom(const v1::Fleet& fleet, const v1::Drains& drains, const HostFacts& hosts, const Placed& placed,
              Wake& wake) {
  std::map<std::string, const v1::FleetShard*> sorted;
  for (const auto& [name, shard] : fleet.shards()) sorted.emplace(name, &shard);
  Room room;
  for (const auto& [name, declared] : sorted) {
    ShardRoom shard(*declared, drains);
    for (const std::string& id : hosts.OfShard(name)) shard.Add(hosts.Get(id), wake);
    if (const auto listed = placed.hosts.find(name); listed != placed.hosts.end()) {
      for (const std::string& address : listed->second) {
        if (hosts.MayStillCome(address)) shard.AddAbsent();
      }
    }
    if (!shard.empty()) {
      room.shards.push_back(shard.Build(name));
    } else {
      room.without_hosts.push_back(name);
      for (int i = 0; i < std::max(1, declared->hosts_size()); ++i) shard.AddAbsent();
    }
    room.shards_with_absent.push_back(shard.Build(name));
  }
  return room;
}

std::shared_ptr<const assign::Result> Plan::Assign(const std::vector<assign::Shard>& shards, const Needs& needs,
                                                   const v1::Fleet& fleet, const HostFacts& hosts,
                                                   const assign::Assignment& current) {
  std::vector<assign::Model> models = ModelsOf(needs, fleet, hosts);
  std::string key = KeyOf(shards, models, current);
  const auto [entry, is_new] = known_.try_emplace(std::move(key));
  if (is_new) {
    entry->second.result = std::make_shared<const assign::Result>(
        assign::Assign(shards, std::move(models), current, {.utilisation_max = options_.utilisation_max}));
    ++runs_;
  }
  entry->second.asked = true;
  return entry->second.result;
}

void Plan::Sweep() {
  std::erase_if(known_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [key, entry] : known_) entry.asked = false;
}

}  // namespace signalbox::rollout
