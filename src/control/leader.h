// What one control plane does beside serving its subscribers: says that it is there, competes for the lease, and where
// it has it, has the controller decide and carries out what it says.
//
//   store, hosts, data planes ──► Observation ──► rollout::Controller ──► batch to the store, commands to hosts
//
// All of it happens on one thread. Who lost the lease stops by its own clock before the store gives it to another, and
// could not write after that anyway (docs/decisions/0010-managed-fleet.md).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "control/distribution.h"
#include "rollout/controller.h"
#include "store/store.h"

namespace signalbox::control {

struct LeaderOptions {
  std::string node_id;
  // How long a leader that says nothing is waited for. It renews three times as often.
  // The same for all control planes of a store: a third of it is how long the commands of a leader before are waited
  // for.
  std::chrono::milliseconds lease{5000};
  // How often records are read although nobody said that they have changed: that one has expired is told by nobody.
  std::chrono::milliseconds poll_interval{1000};
  rollout::ControllerOptions controller;  // its unload_timeout follows from the lease
};

struct LeaderStatus {
  bool leads = false;
  std::string leader;  // node id; empty: nobody, or not known
  absl::Status store;
  // Of the one that leads; empty and 0 where another one does.
  std::vector<std::string> troubles;  // with topics and hosts
  size_t hosts = 0;
  size_t hosts_alive = 0;
};

// Thread-safe.
class Leader {
 public:
  // `subscribers` is asked on the leader's thread. `store` must outlive it.
  static std::unique_ptr<Leader> Start(store::Store& store, std::function<std::vector<SubscriberInfo>()> subscribers,
                                       LeaderOptions options);
  // As Stop().
  virtual ~Leader() = default;

  // Versions, or records, were written. Return at once.
  virtual void StoreChanged() = 0;
  virtual void RecordsChanged() = 0;
  // A subscriber has said something. Returns at once.
  virtual void SubscriberChanged() = 0;

  virtual LeaderStatus status() const = 0;

  // Gives the lease back, so that another one leads at once.
  virtual void Stop() = 0;
};

}  // namespace signalbox::control
