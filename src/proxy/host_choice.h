// Which of a model's hosts is asked.
#pragma once

#include <cstdint>
#include <span>

#include "decide/decide.h"
#include "decide/snapshot.h"
#include "proxy/deadline_queue.h"

namespace signalbox::proxy {

class Host;
struct Routes;

// What a request wants of its host.
struct HostWish {
  // Not again, as long as there are others.
  std::span<const Host* const> tried = {};
  // Of session affinity; 0: none.
  uint64_t affinity_key = 0;
  uint32_t load_bound_percent = 0;
};

// What requests have in common that are to go to one host, by the policy's affinity; 0 where it has none, or the
// request no such unit. `policy` may be nullptr.
uint64_t AffinityKey(const decide::Policy* policy, const decide::RequestContext& context);

// A host that serves `answer` and is not known to be unreachable; nullptr when there is none. For its worker's thread.
// Shards have their parts of the requests by their weights; among the hosts of one it is balance::Group that chooses.
Host* ChooseHost(Routes& routes, const decide::Answer& answer, Time now, const HostWish& wish = {});

}  // namespace signalbox::proxy
