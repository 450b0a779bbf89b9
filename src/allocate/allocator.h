// Remote allocation: asks experimentation platforms which cell somebody is in, without making anybody wait for longer
// than the rules say.
//
// Workers ask their WorkerCells (worker_cells.h), which answers from memory at once, or passes the question to the one
// thread that talks to platforms: over OFREP, or over gRPC (api/signalbox/v1/allocator.proto). Equal questions are
// asked once; answers are remembered for the rules' time to live; how many questions are under way, wait, and are
// remembered is bounded, and beyond any bound the answer is that there is none, at once. What then counts is for the
// decision to say. Why it is built so: docs/decisions/0009-remote-allocation.md.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "allocate/platform_options.h"
#include "allocate/worker_cells.h"
#include "prometheus/collectable.h"

namespace signalbox::allocate {

// Thread-safe. Collect() gives these families, of each `platform`:
//   signalbox_allocation_questions_total   with `outcome`: what requests got (Outcome in worker_cells.h)
//   signalbox_allocation_coalesced_total   questions that were under way already for somebody else
//   signalbox_allocation_unknown_cells_total  cells that the rules do not have: hits and answers that were of no use
//   signalbox_allocation_exchanges_total   with `result`: what the platform said (Result in question.h)
//   signalbox_allocation_exchange_duration_seconds  histogram
//   signalbox_allocation_exchanges_open, signalbox_allocation_queue  now
//   signalbox_allocation_paused            1: it failed too often, and is asked only now and then
// and of all together:
//   signalbox_allocation_cache_entries, signalbox_allocation_cache_bytes  of the workers
class Allocator : public prometheus::Collectable {
 public:
  // Starts the thread. `log` is called on it, with a line when a platform stops or begins to answer.
  static std::unique_ptr<Allocator> Start(std::vector<PlatformOptions> platforms,
                                          std::function<void(std::string_view)> log);
  // Gives up what is under way. Workers must have stopped.
  ~Allocator() override = default;

  // For one more worker. Lives as long as the allocator.
  virtual WorkerCells& AddWorker() = 0;
  // Whether rules may ask for it.
  virtual bool Knows(std::string_view platform) const = 0;
  // Has the files of platforms' tokens read again, soon. It is done by itself when a platform does not know a token.
  virtual void RereadTokens() = 0;
};

}  // namespace signalbox::allocate
