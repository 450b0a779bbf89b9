// The model hosts of a managed fleet: what is known of each, and commands to them.
//
// One thread and one connection for each host do it all; nothing waits for a host. A host that hangs costs its own
// calls their deadlines, and no other host anything.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rollout/observation.h"
#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/registration.pb.h"

namespace signalbox::fleet {

struct KnownHost {
  std::string id;
  std::string address;  // "HOST:PORT"
  std::string shard;
  uint64_t memory_bytes = 0;  // 0: as the shard says
  double cores = 0;
  std::string instance = {};  // that it registered with; empty: it stands in the fleet's declaration
  friend bool operator==(const KnownHost&, const KnownHost&) = default;
};

struct KnownHosts {
  std::vector<KnownHost> hosts;       // sorted by id, each id and each address once
  std::vector<std::string> troubles;  // what was left out and why, one sentence each
};

// The hosts of the declaration and those that have a lease. Of two with one id, or one address, the declared one
// counts; among declared ones the one of the first shard; among registered ones the first id. A host that is declared
// and has registered under the same id and address counts once, as registered. Those of shards that are not declared
// are left out.
KnownHosts JoinHosts(const v1::Fleet& fleet, const std::vector<v1::HostIdentity>& registered);

struct FleetOptions {
  // Between two probes of a host, at random in this range.
  std::chrono::milliseconds probe_interval_min{1000};
  std::chrono::milliseconds probe_interval_max{2000};
  // After a probe that failed, a few times; and until a host that was away is believed to be back.
  std::chrono::milliseconds probe_again{250};
  // Of each call of a probe.
  std::chrono::milliseconds probe_timeout{1000};
  // Of one host, under way. Further ones are refused: RESOURCE_EXHAUSTED.
  size_t commands_per_host_max = 16;
};

// Thread-safe.
//
// A probe is ServerReady and RepositoryIndex. A host is alive from the first probe that succeeds; it is not any more at
// once when its port refuses connections or it says that it is not ready, and after the second failed probe in a row
// otherwise; then two good ones in a row bring it back.
//
// ObservedHost::instance is what the host states of itself in the header `sb-host-instance`; one that has registered
// with another name is taken to be a stranger at its address, and not alive. Of hosts that state nothing, a lost
// connection is the end of a life: `instance` is the registered name, or a random one of this Fleet, and the number of
// connections that were lost.
//
// Commands (rollout::HostCommand) end with exactly one result each, also when the host is not known, goes away or is
// forgotten meanwhile:
//
//   kLoad    RepositoryModelLoad, with the parameter `version` for hosts whose ServerMetadata has the extension
//            `model_repository(version)`, else by name alone; then the index until it says READY.
//   kDryRun  The model and what it depends on are READY in the index; then the sample request three times, each answer
//            checked (answer_check.h). `seconds` is the median. Without a sample request anywhere it is OK, with a
//            note.
//   kUnload  The reverse of kLoad. UNIMPLEMENTED where the host can unload all versions only, and others are READY.
//
// ABORTED: the host is another process than `instance`, or was forgotten. UNAVAILABLE in a dry run, with "went away":
// the host died or lost its connection meanwhile. Other codes are the host's own, DEADLINE_EXCEEDED that of `timeout`
// (0: 60 s, 10 s, 30 s). A status names host, command and model.
class Fleet {
 public:
  // `on_change` is called, on the fleet's thread, when Observe() would say something new (other than `saturation`) or
  // there are results. It must not block, and may call everything here but Stop().
  static std::unique_ptr<Fleet> Start(FleetOptions options, std::function<void()> on_change);
  // As Stop().
  virtual ~Fleet() = default;

  // From now on these are the hosts, and no others. One whose address changes is another host. Each id once, as
  // JoinHosts gives them.
  virtual void SetHosts(std::vector<KnownHost> hosts) = 0;

  // All hosts, sorted by id. One that was not probed yet is not alive, without an instance.
  virtual std::vector<rollout::ObservedHost> Observe() const = 0;

  // Returns at once.
  virtual void Execute(std::vector<rollout::HostCommand> commands) = 0;

  // Those since the last call. To be taken before Observe(): then the index that is observed has what the results say.
  virtual std::vector<rollout::CommandResult> TakeResults() = 0;

  // Ends all calls; on_change is not called any more after it. Takes milliseconds. Commands under way have no result.
  virtual void Stop() = 0;
};

}  // namespace signalbox::fleet
