// On which shards each needed model should be: the assignment, made again only when something that it depends on has
// changed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assign/assignment.h"
#include "rollout/host_facts.h"
#include "rollout/needs.h"

namespace signalbox::rollout {

// What there is to place models on.
struct Room {
  std::vector<assign::Shard> shards;
  // Also the shards that no live host has joined: what a rollout may still wait for.
  std::vector<assign::Shard> shards_with_absent;
  std::vector<std::string> without_hosts;  // names
};

Room FindRoom(const v1::Fleet& fleet, const v1::Drains& drains, const HostFacts& hosts, const Placed& placed,
              Wake& wake);

class Plan {
 public:
  explicit Plan(const ControllerOptions& options) : options_(options) {}

  // `hosts`: for what dry runs have measured. Shared, because whoever explains it does so after the step.
  std::shared_ptr<const assign::Result> Assign(const std::vector<assign::Shard>& shards, const Needs& needs,
                                               const v1::Fleet& fleet, const HostFacts& hosts,
                                               const assign::Assignment& current);

  // Forgets what was not asked for since the last call.
  void Sweep();

  // How often an assignment was worked out.
  size_t runs() const { return runs_; }

 private:
  struct Entry {
    std::shared_ptr<const assign::Result> result;
    bool asked = false;
  };
  const ControllerOptions& options_;
  std::map<std::string, Entry> known_;  // by everything that went in
  size_t runs_ = 0;
};

}  // namespace signalbox::rollout
