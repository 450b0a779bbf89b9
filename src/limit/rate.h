// A request rate that threads share: exact over all of them, smooth, without a lock or a queue.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace signalbox::limit {

using Time = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

// What a rate is in effect: `interval` between two requests in the long run, and how many may come at once.
struct RateLimit {
  Duration interval{0};  // 0: no limit
  uint32_t burst = 1;

  // `per_second` and `burst` as rules declare them (0: one second's worth), of which one of `proxies` gets its part: at
  // least a burst of 1, whatever the rate.
  static RateLimit Of(double per_second, uint32_t burst, uint32_t proxies);

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// The generic cell rate algorithm (ITU-T I.371, annex A; a leaky bucket that needs no refilling): one number says when
// the next request would come if all so far had come at the interval, and a request may be early by `burst` - 1
// intervals. One word, advanced by compare-and-swap.
//
// Thread-safe and lock-free. Time comes from the caller; that threads' clocks differ by a little only moves a request
// by as much.
class Rate {
 public:
  // 0: the request may go. Else it may not, and the time after which one may. Limits differ from call to call only when
  // rules or the number of proxies change: what has been used of the old burst counts in the new one.
  Duration Take(const RateLimit& limit, Time now);

  // Whether everything that was taken has been made up for, so that forgetting it changes nothing.
  bool Idle(Time now) const;
  void Reset();

 private:
  void Adopt(const RateLimit& limit, int64_t now_ns);

  // Theoretical arrival time of the next request, in nanoseconds of the steady clock.
  std::atomic<int64_t> next_ns_{0};
  // What next_ns_ was worked out with.
  std::atomic<int64_t> interval_ns_{0};
  std::atomic<uint32_t> burst_{0};
};

}  // namespace signalbox::limit
