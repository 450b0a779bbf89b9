// What is known of one host: how busy it is, how fast it answers, how well it is.
//
// One for each address in this process: a worker of eight sees too little of a host to know it. It is made of atomics,
// and lives as long as anything uses it, so that a new snapshot does not forget what its hosts are like.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <string>

#include "balance/settings.h"

namespace signalbox::balance {

// How a try at a host ended, as far as it says something of the host.
enum class Outcome : uint8_t {
  kAnswered,  // as it should
  // With an error that is the request's: INVALID_ARGUMENT. No failure, and no sign of speed either: a host that refuses
  // everything at once must not look like the best of all.
  kRejected,
  // It has too much to do: RESOURCE_EXHAUSTED, REFUSED_STREAM. Nobody's fault, and no sign of speed.
  kRefused,
  // With an error that a request can cause as well as a host: INTERNAL, UNKNOWN, DATA_LOSS, a deadline, or that it does
  // not have the model or the method. Counts where the other hosts of the model do better, and is no sign of speed.
  kErred,
  // It could not answer: UNAVAILABLE, no connection, a reset, what is no HTTP/2 or gRPC.
  kFailed,
  // Nobody waits for it any more. Only says that it takes at least so long.
  kAbandoned,
};

// What a gRPC status of a host says of it.
Outcome OutcomeOfStatus(int grpc_status);

// Thread-safe. What workers call takes no lock.
class HostState {
 public:
  explicit HostState(std::string address) : address_(std::move(address)) {}
  HostState(const HostState&) = delete;
  HostState& operator=(const HostState&) = delete;

  const std::string& address() const { return address_; }

  // --- What workers report. OnEnd exactly once for each OnBegin.
  void OnBegin() { outstanding_.fetch_add(1, std::memory_order_relaxed); }
  // `took` is from the try's beginning to the first byte of the answer, or to its end in another way.
  void OnEnd(Outcome outcome, std::chrono::nanoseconds took, Time now, const Settings& settings);
  // A share of what it can do; other numbers than those from 0 to 1 are taken for 0 or 1, and what is none for nothing.
  void OnReport(double utilisation, Time now);

  // --- What the choice reads.
  int32_t outstanding() const { return outstanding_.load(std::memory_order_relaxed); }
  // Decayed to `now`; 0: not known.
  float LatencyMicroseconds(Time now, const Settings& settings) const;
  // 0 to 1; negative where no report is young enough.
  float Utilisation(Time now, const Settings& settings) const;
  bool healthy() const { return troubles_.load(std::memory_order_relaxed) == 0; }
  uint32_t failures_in_succession() const {
    return static_cast<uint32_t>(failures_.load(std::memory_order_relaxed).value);
  }
  // How many of them are to be minded now: all, for a second each, so that a host that nobody asks any more is tried
  // again, more and more seldom, until it answers or is ejected.
  uint32_t FailuresToMind(Time now) const {
    const Stamped failures = failures_.load(std::memory_order_relaxed);
    return SecondsBetween(failures.at, Tick(now)) < failures.value ? static_cast<uint32_t>(failures.value) : 0;
  }
  // 0.1 to 1: how much of its part it gets.
  float Weight(Time now, const Settings& settings) const;
  bool warm() const { return cold_since_.load(std::memory_order_relaxed) == 0; }

  // --- What the keeper sets (balancer.cc), one thread at a time.
  // It begins with a part of its weight.
  void SetCold(Time now);
  // Its slow start is over: it need not be worked out any more.
  void EndSlowStart(Time now, const Settings& settings);
  void SetEjected(bool ejected) { SetTrouble(kEjected, ejected); }
  void SetUnhealthy(bool unhealthy) { SetTrouble(kUnhealthy, unhealthy); }
  bool ejected() const { return (troubles_.load(std::memory_order_relaxed) & kEjected) != 0; }
  bool unhealthy() const { return (troubles_.load(std::memory_order_relaxed) & kUnhealthy) != 0; }
  // Since it was last asked.
  struct Answers {
    uint32_t good = 0;
    uint32_t bad = 0;
  };
  Answers TakeAnswers() {
    return {.good = good_.exchange(0, std::memory_order_relaxed), .bad = bad_.exchange(0, std::memory_order_relaxed)};
  }
  void ForgetFailures() { failures_.store(Stamped{}, std::memory_order_relaxed); }

 private:
  // A number and when it was true, in one word, so that both change at once.
  struct Stamped {
    float value = 0;
    uint32_t at = 0;  // ticks of 2^16 ns: goes round after three days, which is as good as never
  };
  static uint32_t Tick(Time time) {
    return static_cast<uint32_t>(static_cast<uint64_t>(time.time_since_epoch().count()) >> 16);
  }
  static float SecondsBetween(uint32_t from, uint32_t to) {
    const auto ticks = static_cast<int32_t>(to - from);  // clocks of workers differ by a round of their loop
    return ticks <= 0 ? 0 : static_cast<float>(ticks) * 65.536e-6F;
  }
  static constexpr uint32_t kEjected = 1;
  static constexpr uint32_t kUnhealthy = 2;

  void Observe(float microseconds, bool may_lower, Time now, const Settings& settings);
  void SetTrouble(uint32_t trouble, bool is_so) {
    is_so ? troubles_.fetch_or(trouble, std::memory_order_relaxed)
          : troubles_.fetch_and(~trouble, std::memory_order_relaxed);
  }

  // What the choice reads is one cache line.
  alignas(64) std::atomic<int32_t> outstanding_{0};
  std::atomic<uint32_t> troubles_{0};
  std::atomic<Stamped> latency_{Stamped{}};
  std::atomic<Stamped> report_{Stamped{.value = -1, .at = 0}};
  std::atomic<int64_t> cold_since_{0};  // ns; 0: it is warm
  std::atomic<uint32_t> answers_since_cold_{0};
  std::atomic<Stamped> failures_{Stamped{}};  // in succession, and when the last one was
  std::atomic<uint32_t> good_{0};
  std::atomic<uint32_t> bad_{0};
  alignas(64) const std::string address_;
};

}  // namespace signalbox::balance
