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
#include "tests/simulation/schedule.h"

namespace signalbox::simulation {

// What wall clocks show when a run begins.
inline constexpr int64_t kEpochMs = 1'800'000'000'000;

class SimulatedStore : public store::Store {
 public:
  explicit SimulatedStore(const Schedule& schedule)
      : engine_(
            store::OpenMemoryStore(store::NewMemoryContent(),
                                   {.unix_ms = [&schedule] { return kEpochMs + schedule.now_ms(); },
                                    .since_boot = [&schedule] { return std::chrono::milliseconds(schedule.now_ms()); },
                                    .boot = "simulated"},
                                   "simulated store")),
        view_(*engine_) {}

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
    absl::StatusOr<store::BatchResult> result = engine_->Write(batch);
    if (!result.ok()) return result;
    for (const store::Published& published : result->published) {
      sequence_ = std::max(sequence_, published.info.sequence);
    }
    return result;
  }
  absl::StatusOr<store::Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    return engine_->Get(topic, version);
  }
  absl::StatusOr<std::vector<store::VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    return engine_->History(topic, versions_max);
  }
  absl::StatusOr<std::vector<store::VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) override {
    return engine_->Changes(after_sequence, changes_max);
  }
  absl::StatusOr<store::LatestVersions> Latest() override { return engine_->Latest(); }
  absl::StatusOr<std::unique_ptr<store::Watch>> WatchChanges(int64_t after_sequence) override {
    return engine_->WatchChanges(after_sequence);
  }
  absl::StatusOr<std::vector<store::Record>> Records(std::string_view prefix) override {
    return engine_->Records(prefix);
  }
  absl::StatusOr<std::optional<store::Record>> GetRecord(std::string_view key) override {
    return engine_->GetRecord(key);
  }
  absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) override {
    return engine_->Prune(topic, keep_newest, keep);
  }
  absl::Status Import(const std::vector<store::Version>& versions) override { return engine_->Import(versions); }
  const std::string& name() const override { return engine_->name(); }

 private:
  const std::unique_ptr<store::Store> engine_;
  control::StoreView view_;
  bool full_ = false;
  int64_t sequence_ = 0;
};

}  // namespace signalbox::simulation
