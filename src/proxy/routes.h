// A snapshot as one worker uses it: for each answer, the hosts that serve it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "decide/snapshot.h"
#include "proxy/host_address.h"

namespace signalbox::proxy {

class Host;

// The hosts of one model on all its shards, in turn.
struct ModelHosts {
  std::vector<Host*> hosts;
  size_t next = 0;
};

// For one worker's thread. Requests that were decided from it keep it alive, also when a newer one is in use.
struct Routes {
  std::shared_ptr<const decide::Snapshot> snapshot;
  std::string hash_text;  // first 16 digits, for `sb-snapshot`
  std::vector<ModelHosts> models;
  std::vector<ModelHosts*> by_answer;  // indexed by Answer::index
  uint64_t users = 0;                  // requests, and the worker while it is the current one
};

// A snapshot with the addresses of its hosts, which are looked up before it comes to the workers.
struct ResolvedSnapshot {
  std::shared_ptr<const decide::Snapshot> snapshot;
  absl::flat_hash_map<std::string, HostAddress> addresses;
};

}  // namespace signalbox::proxy
