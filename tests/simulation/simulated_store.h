// The store of a run: the engine in memory, with the simulated clock and a disk that can be full. What is between it
// and those who call it is the network's business.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/store_view.h"
#include "store/memory_store.h"
#include "store/store.h"
#include "store/test_forwarding_store.h"
#include "tests/simulation/schedule.h"

namespace signalbox::simulation {

// What wall clocks show when a run begins.
inline constexpr int64_t kEpochMs = 1'800'000'000'000;

// The engine comes before the base that forwards to it.
class EngineOfSimulatedStore {
 protected:
  explicit EngineOfSimulatedStore(const Schedule& schedule)
      : engine_(
            store::OpenMemoryStore(store::NewMemoryContent(),
                                   {.unix_ms = [&schedule] { return kEpochMs + schedule.now_ms(); },
                                    .since_boot = [&schedule] { return std::chrono::milliseconds(schedule.now_ms()); },
                                    .boot = "simulated"},
                                   "simulated store")) {}

  const std::unique_ptr<store::Store> engine_;
};

class SimulatedStore : private EngineOfSimulatedStore, public store::ForwardingStore {
 public:
  explicit SimulatedStore(const Schedule& schedule)
      : EngineOfSimulatedStore(schedule), ForwardingStore(*engine_), view_(*engine_) {}

  // Nothing can be written, reading goes on.
  void set_full(bool full) { full_ = full; }
  // All that is there, understood, whoever can reach the store.
  std::shared_ptr<const rollout::ObservedStore> Observed() {
    if (!view_.Refresh().ok()) abort();
    return view_.observed();
  }
  int64_t sequence() const { return sequence_; }

  absl::StatusOr<store::BatchResult> Write(const store::Batch& batch) override {
    if (full_) return absl::ResourceExhaustedError("no space left on device");
    absl::StatusOr<store::BatchResult> result = to().Write(batch);
    if (!result.ok()) return result;
    for (const store::Published& published : result->published) {
      sequence_ = std::max(sequence_, published.info.sequence);
    }
    return result;
  }
  // Over Write, so that a full disk is full for them as well.
  absl::StatusOr<store::Published> Publish(const store::Publication& publication) override {
    return Store::Publish(publication);
  }
  absl::StatusOr<store::Published> Rollback(const store::Restoration& restoration) override {
    return Store::Rollback(restoration);
  }

 private:
  control::StoreView view_;
  bool full_ = false;
  int64_t sequence_ = 0;
};

}  // namespace signalbox::simulation
