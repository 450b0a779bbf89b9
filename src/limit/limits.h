// Limits of requests by (Objective, client tenant, model): what is declared, what is in effect, and the leases that
// requests hold on them. Central: all workers of a process share one table, so that a limit is the process's whatever
// worker a connection fell to.
//
// Nothing waits for a limit. What is over it is refused, with the time after which it pays to ask again.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limit/adaptive_limit.h"
#include "limit/rate.h"

namespace signalbox::limit {

// Whose limit it is. Rules make up the Objective, the model and the policy, clients the tenant. The policy is part of
// it because a limit is a number of its policy: requests with another one neither use it up nor are held to it.
struct Key {
  std::string_view objective;
  std::string_view tenant;
  std::string_view model;
  std::string_view policy;
};

// As rules declare them, for all proxies together. 0: none.
struct Limits {
  double requests_per_second = 0;
  uint32_t burst = 0;  // 0: one second's worth
  uint32_t concurrent_requests = 0;
  bool adaptive = false;
  AdaptiveBounds adaptive_bounds = {};

  bool any() const { return requests_per_second > 0 || concurrent_requests != 0 || adaptive; }
};

// Who goes first under overload. Live traffic has the class of its policy's priority; artificial traffic is one class
// below what the same policy gives live traffic, and so there is one below the lowest.
enum class PriorityClass : uint8_t { kHigh, kNormal, kLow, kLowest };
inline constexpr size_t kPriorityClasses = 4;
// "high", "normal", "low", "lowest".
std::string_view Name(PriorityClass priority);

enum class Limit : uint8_t { kNone, kRate, kConcurrency, kAdaptiveConcurrency };

// Why a request may not go; `limit` is kNone where it may.
struct Refusal {
  Limit limit = Limit::kNone;
  // In effect in this process: requests a second, or requests at a time.
  double value = 0;
  // What rules declare, for all proxies together.
  double declared = 0;
  uint32_t proxies = 1;
  // The tenant has no limit of its own, as there are too many tenants.
  bool tenant_is_shared = false;
  // When one more may go; 0: not known.
  Duration wait{0};
};

struct Entry;  // what the table knows of a key

// The right to be under way. Move-only; given back when it is destroyed or released, on any thread, whatever way the
// request ended. Must not outlive its table.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept
      : declared_(std::exchange(other.declared_, nullptr)),
        adaptive_(std::exchange(other.adaptive_, nullptr)),
        counted_(std::exchange(other.counted_, false)),
        bounds_(other.bounds_) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Release();
      declared_ = std::exchange(other.declared_, nullptr);
      adaptive_ = std::exchange(other.adaptive_, nullptr);
      counted_ = std::exchange(other.counted_, false);
      bounds_ = other.bounds_;
    }
    return *this;
  }
  ~Lease() { Release(); }

  bool held() const { return declared_ != nullptr || adaptive_ != nullptr; }
  // What an adaptive limit learns from: how long the model took to answer, and that it had too much to do (it refused,
  // or did not answer in time). Neither is to be reported of a failure that says nothing of load. Once, before Release.
  void OnAnswer(Time now, Duration latency);
  void OnOverload(Time now);
  void Release();

 private:
  friend class WorkerLimits;

  Entry* declared_ = nullptr;
  Entry* adaptive_ = nullptr;
  bool counted_ = false;  // in declared_'s concurrency
  AdaptiveBounds bounds_;
};

struct TableOptions {
  // Keys that are remembered, about 400 bytes each with their texts. Clients make up tenants.
  size_t keys_max = 32'768;
  // Tenants with a limit of their own, of one (Objective, model, policy), so that the clients of one Objective cannot
  // use up the table for others. Further ones share one.
  size_t tenants_max = 1'024;
};

// Thread-safe. Outlives its workers' parts and all leases.
class Table {
 public:
  explicit Table(TableOptions options = {});
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // Among how many proxies declared limits are divided; at least 1. In effect from the next request on, any thread.
  void SetProxies(uint32_t proxies);
  uint32_t proxies() const { return proxies_.load(std::memory_order_relaxed); }

  // For metrics and tests.
  struct State {
    std::string objective;
    std::string tenant;
    std::string model;
    std::string policy;  // empty: the adaptive limit, which all policies share
    bool tenant_is_shared = false;
    uint32_t in_flight = 0;
    uint32_t adaptive_limit = 0;  // 0: none
  };
  // The `states_max` keys with most under way, of those that were used since `since`.
  std::vector<State> States(Time since, size_t states_max) const;
  size_t keys() const;
  // The sum over all keys; 0 when no lease is held.
  uint64_t in_flight() const;

 private:
  friend class WorkerLimits;
  class Index;

  // The entry of the key, with one pin, made where there is none. Locks.
  Entry& Pin(const Key& key, Time now);

  std::atomic<uint32_t> proxies_{1};
  const std::unique_ptr<Index> index_;
};

// One worker's way to the table: a cache of where its keys are, so that a lock is taken only at first sight. For one
// thread. No allocation but for keys that the table has not seen.
class WorkerLimits {
 public:
  explicit WorkerLimits(Table& table) : table_(table) {}
  WorkerLimits(const WorkerLimits&) = delete;
  WorkerLimits& operator=(const WorkerLimits&) = delete;

  // Admits one request, and gives it a lease, or says why not. Concurrency comes before rate, as it can be given back.
  // Where the concurrency is adaptive, lower classes have less of it (90, 80, 70 %), and artificial traffic has 90 % of
  // a fixed one, so that there is room for those who go first.
  Refusal Admit(const Key& key, const Limits& limits, PriorityClass priority, bool artificial, Time now, Lease& lease);

 private:
  // A place that the cache remembers. The table may have given it to another key since: then its generation differs.
  struct Slot {
    uint64_t hash = 0;
    Entry* entry = nullptr;
    uint64_t generation = 0;
    Time until{};
  };
  static constexpr size_t kWays = 4;
  static constexpr size_t kSets = 512;

  // With one pin.
  Entry& Find(const Key& key, Time now);

  Table& table_;
  std::array<std::array<Slot, kWays>, kSets> slots_{};
  uint32_t next_way_ = 0;
};

}  // namespace signalbox::limit
