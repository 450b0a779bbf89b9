// How many further tries an Objective may make: a share of its requests, so that hosts in trouble do not get many times
// the work because of it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace signalbox::proxy {

// A share of the requests of the last 10 seconds; but ten a second are always allowed, as of few requests a share is
// none.
inline constexpr uint32_t kRetryBudgetPpmDefault = 200'000;
inline constexpr uint32_t kRetriesPerSecondAlways = 10;

// Of one Objective, shared by all workers: with each worker's part of it one could be out of tries while another had
// plenty. One atomic for each second; thread-safe, wait-free but for collisions.
class RetryBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void CountRequest(Time now) { Add(now, 1, 0); }
  // Whether one more try fits into `share_ppm` of the requests; if so, it is counted. Workers that ask at once may be
  // given one each.
  bool TryTake(Time now, uint32_t share_ppm);

 private:
  static constexpr size_t kSeconds = 10;
  // The second that it counts, its requests and its further tries. Those of other seconds are left from earlier rounds.
  struct Counts {
    uint32_t second;
    uint32_t requests;
    uint32_t tries;
  };
  static Counts Unpack(uint64_t packed);
  static uint64_t Pack(const Counts& counts);
  static uint32_t SecondOf(Time now);
  void Add(Time now, uint32_t requests, uint32_t tries);

  std::array<std::atomic<uint64_t>, kSeconds> seconds_ = {};
};

}  // namespace signalbox::proxy
