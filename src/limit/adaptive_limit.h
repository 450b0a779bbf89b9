// A concurrency limit that nobody has to know: it follows the latency of what it protects.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "limit/rate.h"

namespace signalbox::limit {

// Between which the limit stays. 1 <= min <= max.
struct AdaptiveBounds {
  uint32_t min = 1;
  uint32_t max = 1'000;
};

// Gradient2 of Netflix's concurrency-limits (https://github.com/Netflix/concurrency-limits, Gradient2Limit, with its
// published constants): by how much the latency is above what it is without a queue says whether requests queue, and
// the limit is lowered by as much, else raised by the queue that is allowed for.
//
//   gradient = clamp(1.5 x latency without a queue / latency, 0.5, 1)
//   limit    = 0.8 x limit + 0.2 x (limit x gradient + max(4, limit / 10))
//
// It differs in these. Latencies are averaged over windows of at least 100 ms and 10 samples (as in its WindowedLimit).
// The latency without a queue is not the average of the last minutes, which makes a service that stays overloaded its
// own standard (in a simulation the limit grew without end), but what is measured while less than half of the limit is
// in use; where that does not come about by itself, half of the limit is in effect for half a second in 15 (as Envoy's
// gradient controller does). And where what is protected says that it has too much to do, or does not answer in time,
// the limit is lowered by a tenth in each such window (as in its AIMDLimit), since that says nothing of latency.
//
// While less than half of the limit is used, nothing can be learnt of it, and it stays. Without samples it stays.
//
// Thread-safe and lock-free; at the end of a window one of the threads works the limit out.
class AdaptiveLimit {
 public:
  // In effect now.
  uint32_t Get(const AdaptiveBounds& bounds) const;

  // A request was answered after `latency`, while `in_flight` were under way, itself included.
  void OnAnswer(Time now, Duration latency, uint32_t in_flight, const AdaptiveBounds& bounds);
  // A request was refused by what is protected, or not answered in time.
  void OnOverload(Time now, const AdaptiveBounds& bounds);

  bool learnt() const { return limit_.load(std::memory_order_relaxed) != 0; }

  // For one thread, while no other uses it.
  void Reset();

 private:
  void EndWindow(int64_t now_ns, const AdaptiveBounds& bounds);
  void Learn(int64_t now_ns, double latency_ns, uint32_t in_flight, const AdaptiveBounds& bounds);
  void StartProbe(int64_t now_ns);

  // 0: nothing has been learnt yet.
  std::atomic<double> limit_{0};
  // Half of it is in effect.
  std::atomic<bool> probes_{false};
  // Of the window.
  std::atomic<int64_t> ends_ns_{0};
  std::atomic<uint64_t> latency_sum_ns_{0};
  std::atomic<uint32_t> samples_{0};
  std::atomic<uint32_t> in_flight_max_{0};
  std::atomic<uint32_t> overloads_{0};
  // Held by the thread that ends a window, which alone uses what follows.
  std::atomic<bool> ending_{false};
  double unqueued_ns_ = 0;
  int64_t next_probe_ns_ = 0;
  uint32_t probe_windows_left_ = 0;
};

}  // namespace signalbox::limit
