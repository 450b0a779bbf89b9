// A snapshot as data paths use it: for each answer, the hosts that serve it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "balance/balancer.h"
#include "balance/group.h"
#include "balance/split.h"
#include "decide/snapshot.h"
#include "proxy/handling.h"
#include "proxy/host_address.h"

namespace signalbox::proxy {

class Host;

// What is the same for all workers, worked out on the thread that brings the snapshot: of a large one it takes longer
// than a request may wait. Immutable.
struct RoutePlan {
  // Looks up the names of hosts that `before` has not found already, which can take seconds. nullptr: all of them.
  // `balancer` knows what hosts are like.
  RoutePlan(std::shared_ptr<const decide::Snapshot> of, const RoutePlan* before, balance::Balancer& balancer);
  // The same, with what `before` had found looked up again; nullptr when all of it is still so.
  std::shared_ptr<const RoutePlan> Renewed() const;

  std::shared_ptr<const decide::Snapshot> snapshot;
  std::string hash_text;                                    // first 16 digits, for `sb-snapshot`
  std::vector<HostAddress> hosts;                           // of all shards, each once
  std::vector<uint32_t> taken_over;                         // places in `hosts` of those that `before` had found
  std::vector<std::shared_ptr<balance::HostState>> states;  // of `hosts`, in their order
  // The hosts of a model on all its shards, each once: places in `hosts`, which are in [begin, end) of
  // `hosts_of_models`. Behind the snapshot's models there is one more, without hosts: what stands for several models
  // together.
  struct ModelHosts {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  std::vector<ModelHosts> models;
  std::vector<uint32_t> hosts_of_models;
  std::vector<uint32_t> model_of_answer;  // by Answer::index
  Handling handling;
  // How the requests of a model, in the order of `models`, are split among its shards; models that are on the same
  // shards share one, and what is known of these.
  std::vector<std::shared_ptr<const balance::Split>> splits;
  std::vector<std::shared_ptr<balance::Group>> groups;  // of all splits, each once
};

// For one worker's thread. Requests that were decided from it keep it alive, also when a newer one is in use.
struct Routes {
  // All memory that it needs is taken here, off the worker. `first_turn` is which shard of each model comes first.
  Routes(std::shared_ptr<const RoutePlan> from, uint32_t first_turn)
      : plan(std::move(from)), turns(plan->models.size(), first_turn), random(RandomSeed()) {
    hosts.reserve(plan->hosts.size());
  }

  // The hosts of one model, and how they are chosen from.
  struct Turn {
    std::span<const uint32_t> hosts;  // places in Routes::hosts
    const balance::Split& split;
    uint32_t& next;
  };
  Turn TurnOf(const decide::Answer& answer) {
    const uint32_t model = plan->model_of_answer[answer.index];
    const RoutePlan::ModelHosts range = plan->models[model];
    return {.hosts = std::span(plan->hosts_of_models).subspan(range.begin, range.end - range.begin),
            .split = *plan->splits[model],
            .next = turns[model]};
  }
  const decide::Snapshot& snapshot() const { return *plan->snapshot; }

  std::shared_ptr<const RoutePlan> plan;
  std::vector<Host*> hosts;  // in the plan's order; filled by the worker
  std::vector<uint32_t> turns;
  balance::Random random;
  uint64_t users = 0;                    // requests, and the worker while it is the current one
  std::unique_ptr<Routes> next_retired;  // of RetiredRoutes

 private:
  // Workers and proxies that draw the same numbers would all run to the same hosts.
  static uint64_t RandomSeed();
};

}  // namespace signalbox::proxy
