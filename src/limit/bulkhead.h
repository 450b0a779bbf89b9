// What one Objective holds of this process, so that its trouble stays its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/string_map.h"

namespace signalbox::limit {

// Of one Objective in one process, where its policy says nothing.
inline constexpr uint32_t kBulkheadRequests = 4'096;
inline constexpr uint64_t kBulkheadBytes = 64 << 20;

// Of one Objective. Counters on a line of their own: every request touches them.
struct alignas(64) Bulkhead {
  std::atomic<int64_t> requests{0};
  std::atomic<int64_t> bytes{0};
  std::string objective;
};

// One request's part of its Objective's bulkhead. Move-only; given back when it is destroyed or released. Must not
// outlive the bulkheads. For one thread.
class Berth {
 public:
  Berth() = default;
  Berth(Berth&& other) noexcept
      : bulkhead_(std::exchange(other.bulkhead_, nullptr)), counted_bytes_(std::exchange(other.counted_bytes_, 0)) {}
  Berth& operator=(Berth&& other) noexcept {
    if (this != &other) {
      Release();
      bulkhead_ = std::exchange(other.bulkhead_, nullptr);
      counted_bytes_ = std::exchange(other.counted_bytes_, 0);
    }
    return *this;
  }
  ~Berth() { Release(); }

  // nullptr: none is held. The same for all requests of an Objective, whatever the snapshot.
  const Bulkhead* bulkhead() const { return bulkhead_; }

  // So many bytes of the request and its answer wait in the process now. Told to others when it has changed by
  // kStepBytes, so that requests of usual size touch no line that other workers write. True when that was done.
  bool SetBytes(size_t bytes) {
    const auto now = static_cast<int64_t>(bytes);
    if (bulkhead_ == nullptr || (now < counted_bytes_ + kStepBytes && now > counted_bytes_ - kStepBytes)) return false;
    bulkhead_->bytes.fetch_add(now - counted_bytes_, std::memory_order_relaxed);
    counted_bytes_ = now;
    return true;
  }
  int64_t counted_bytes() const { return counted_bytes_; }

  void Release() {
    Bulkhead* bulkhead = std::exchange(bulkhead_, nullptr);
    if (bulkhead == nullptr) return;
    bulkhead->requests.fetch_sub(1, std::memory_order_relaxed);
    if (const int64_t bytes = std::exchange(counted_bytes_, 0); bytes != 0) {
      bulkhead->bytes.fetch_sub(bytes, std::memory_order_relaxed);
    }
  }

 private:
  friend class WorkerBulkheads;
  static constexpr int64_t kStepBytes = 16 << 10;

  Bulkhead* bulkhead_ = nullptr;
  int64_t counted_bytes_ = 0;
};

// Those of a process, one for each Objective that rules have ever named to it. Thread-safe.
class Bulkheads {
 public:
  // Locks. Lives as long as this.
  Bulkhead& Of(std::string_view objective);

  // Of those that hold anything.
  struct State {
    std::string objective;
    int64_t requests = 0;
    int64_t bytes = 0;
  };
  std::vector<State> States() const;

 private:
  mutable std::mutex mutex_;
  StringMap<std::unique_ptr<Bulkhead>> by_objective_;
};

// One worker's way to them. For one thread.
class WorkerBulkheads {
 public:
  explicit WorkerBulkheads(Bulkheads& bulkheads) : bulkheads_(bulkheads) {}

  // Why there was no room.
  enum class Full { kNo, kRequests, kBytes };
  // 0: the default.
  Full Enter(std::string_view objective, uint32_t requests_max, uint64_t bytes_max, Berth& berth);

 private:
  Bulkheads& bulkheads_;
  // The keys are the bulkheads' own.
  absl::flat_hash_map<std::string_view, Bulkhead*, StringMapHash, StringMapEqual> known_;
};

}  // namespace signalbox::limit
