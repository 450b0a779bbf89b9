#include "fleet/fleet.h"

#include <fmt/format.h>
#include <grpc/grpc.h>

#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "fleet/watched_host.h"

namespace signalbox::fleet {
namespace {

using rollout::CommandResult;
using rollout::HostCommand;
using rollout::ObservedHost;

std::string RandomName() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

class GrpcFleet : public Fleet {
 public:
  GrpcFleet(FleetOptions options, std::function<void()> on_change)
      : options_(options), on_change_(std::move(on_change)), random_(std::random_device{}()) {}

  ~GrpcFleet() override { Stop(); }

  void SetHosts(std::vector<KnownHost> hosts) override {
    loop_.Post([this, hosts = std::move(hosts)] { Follow(hosts); });
  }

  std::vector<ObservedHost> Observe() const override {
    std::lock_guard lock(mutex_);
    std::vector<ObservedHost> hosts;
    hosts.reserve(observed_.size());
    for (const auto& [id, host] : observed_) hosts.push_back(host);
    return hosts;
  }

  void Execute(std::vector<HostCommand> commands) override {
    if (commands.empty()) return;
    loop_.Post([this, commands = std::move(commands)] {
      for (const HostCommand& command : commands) Begin(command);
    });
  }

  std::vector<CommandResult> TakeResults() override {
    std::lock_guard lock(mutex_);
    return std::exchange(results_, {});
  }

  void Stop() override {
    std::lock_guard lock(stop_mutex_);
    loop_.Stop([this] {
      is_stopping_ = true;
      hosts_.clear();
    });
  }

 private:
  void Follow(const std::vector<KnownHost>& known) {
    std::map<std::string, const KnownHost*> wanted;
    for (const KnownHost& host : known) wanted.emplace(host.id, &host);
    bool changed = false;
    for (auto host = hosts_.begin(); host != hosts_.end();) {
      const auto still = wanted.find(host->first);
      if (still != wanted.end() && still->second->address == host->second->known().address) {
        ++host;
        continue;
      }
      changed = true;
      Forget(host->first);
      host->second->Retire();
      host = hosts_.erase(host);
    }
    for (const auto& [id, host] : wanted) {
      const auto there = hosts_.find(id);
      if (there == hosts_.end()) {
        changed = true;
        Add(*host);
      } else if (there->second->known() != *host) {
        changed = true;
        there->second->Update(*host);
        Show(*there->second);
      }
    }
    if (changed) Tell();
  }

  void Add(const KnownHost& known) {
    auto host = std::make_unique<WatchedHost>(
        loop_, known, options_, fmt::format("{}-{}", name_, ++lives_), random_,
        WatchedHost::Listener{.seen = [this](const WatchedHost& seen, bool is_news) { Note(seen, is_news); },
                              .done = [this](CommandResult result) { Add(std::move(result)); }});
    Show(*host);
    hosts_.emplace(known.id, std::move(host));
  }

  void Begin(const HostCommand& command) {
    const auto host = hosts_.find(command.host);
    if (host != hosts_.end() && host->second->known().address == command.address) {
      return host->second->Execute(command);
    }
    Add(ResultOf(command, absl::AbortedError(fmt::format("{}: the host is not one of the fleet, or not at that address",
                                                         CommandText(command)))));
  }

  void Add(CommandResult result) {
    {
      std::lock_guard lock(mutex_);
      results_.push_back(std::move(result));
    }
    Tell();
  }

  void Show(const WatchedHost& host) {
    std::lock_guard lock(mutex_);
    observed_[host.observed().id] = host.observed();
  }

  void Note(const WatchedHost& host, bool is_news) {
    Show(host);
    if (is_news) Tell();
  }

  void Forget(const std::string& id) {
    std::lock_guard lock(mutex_);
    observed_.erase(id);
  }

  void Tell() {
    if (!is_stopping_) on_change_();
  }

  const FleetOptions options_;
  const std::function<void()> on_change_;
  const std::string name_ = RandomName();
  std::mt19937_64 random_;  // of the loop's thread, as the next three
  uint64_t lives_ = 0;
  bool is_stopping_ = false;

  mutable std::mutex mutex_;
  std::map<std::string, ObservedHost> observed_;  // guarded by mutex_, as the next
  std::vector<CommandResult> results_;

  std::mutex stop_mutex_;
  CallLoop loop_;
  std::map<std::string, std::unique_ptr<WatchedHost>> hosts_;  // of the loop's thread; empty after Stop()
};

}  // namespace

KnownHosts JoinHosts(const v1::Fleet& fleet, const std::vector<v1::HostIdentity>& registered) {
  std::map<std::string, KnownHost> by_id;
  std::map<std::string, std::string> id_of_address;
  KnownHosts joined;

  const std::map<std::string, v1::FleetShard> shards(fleet.shards().begin(), fleet.shards().end());
  for (const auto& [shard, declared] : shards) {
    for (const v1::FleetHost& host : declared.hosts()) {
      KnownHost known{.id = host.id().empty() ? host.address() : host.id(),
                      .address = host.address(),
                      .shard = shard,
                      .instance = ""};
      if (by_id.contains(known.id)) {
        joined.troubles.push_back(
            fmt::format("host {} is declared twice, of shard {} and of shard {}: the first counts", known.id,
                        by_id[known.id].shard, shard));
      } else if (const auto same = id_of_address.find(known.address); same != id_of_address.end()) {
        joined.troubles.push_back(fmt::format("hosts {} and {} are declared with one address, {}: the first counts",
                                              same->second, known.id, known.address));
      } else {
        id_of_address[known.address] = known.id;
        by_id[known.id] = std::move(known);
      }
    }
  }

  std::map<std::string, v1::HostIdentity> leases;
  for (const v1::HostIdentity& host : registered) leases.emplace(host.id(), host);
  for (const auto& [id, host] : leases) {
    if (!shards.contains(host.shard())) {
      joined.troubles.push_back(
          fmt::format("host {} has registered for shard {}, which is not declared", id, host.shard()));
      continue;
    }
    const auto same_id = by_id.find(id);
    if (same_id != by_id.end() &&
        (same_id->second.address != host.address() || same_id->second.shard != host.shard())) {
      joined.troubles.push_back(
          fmt::format("host {} has registered as {} of shard {}, and is declared as {} of shard {}: what is declared "
                      "counts",
                      id, host.address(), host.shard(), same_id->second.address, same_id->second.shard));
      continue;
    }
    const auto same_address = id_of_address.find(host.address());
    if (same_address != id_of_address.end() && same_address->second != id) {
      joined.troubles.push_back(fmt::format("host {} has registered with the address {} of host {}, which counts", id,
                                            host.address(), same_address->second));
      continue;
    }
    id_of_address[host.address()] = id;
    by_id[id] = {.id = id,
                 .address = host.address(),
                 .shard = host.shard(),
                 .memory_bytes = host.memory_bytes(),
                 .cores = host.cores(),
                 .instance = host.instance()};
  }
  for (auto& [id, host] : by_id) joined.hosts.push_back(std::move(host));
  return joined;
}

std::unique_ptr<Fleet> Fleet::Start(FleetOptions options, std::function<void()> on_change) {
  // Kept until the process ends: when the last user of gRPC goes, its threads are waited for, up to 10 s.
  [[maybe_unused]] static const bool kKeepGrpc = (grpc_init(), true);
  return std::make_unique<GrpcFleet>(options, std::move(on_change));
}

}  // namespace signalbox::fleet
