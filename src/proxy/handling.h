// What handling a request needs to know of those before it: of its Objective, and of the model it goes to. The
// process's, not a worker's, as a worker that has one connection in eight would know too little.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/string_map.h"
#include "decide/snapshot.h"
#include "proxy/latency_estimate.h"
#include "proxy/request_body.h"
#include "proxy/retry_budget.h"

namespace signalbox::proxy {

// Of one Objective. Outlives snapshots, as long as each next one has the Objective.
struct ObjectiveHandling {
  RetryBudget retries;
  KeptBytes kept;
};

// Of all Objectives and models of a snapshot. Immutable but for what it points to; made off the workers.
class Handling {
 public:
  Handling() = default;
  // What `before` knew is taken over. nullptr: nothing.
  Handling(const decide::Snapshot& snapshot, const Handling* before);

  ObjectiveHandling& Of(const decide::Answer& answer) const { return *of_answer_[answer.index]; }
  // nullptr where no policy of the snapshot hedges.
  LatencyEstimate* LatencyOf(const decide::Answer& answer) const {
    return latency_of_answer_.empty() ? nullptr : latency_of_answer_[answer.index];
  }

 private:
  StringMap<std::shared_ptr<ObjectiveHandling>> objectives_;
  StringMap<std::shared_ptr<LatencyEstimate>> latencies_;  // by model id
  std::vector<ObjectiveHandling*> of_answer_;              // by Answer::index
  std::vector<LatencyEstimate*> latency_of_answer_;
};

}  // namespace signalbox::proxy
