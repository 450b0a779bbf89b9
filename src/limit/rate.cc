#include "limit/rate.h"

#include <algorithm>
#include <cmath>

namespace signalbox::limit {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;
// Of a rate so low that nobody would notice: one request in 300 years would not fit into the arithmetic.
constexpr double kIntervalNsMax = 1e15;

int64_t Nanoseconds(Time time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }

}  // namespace

RateLimit RateLimit::Of(double per_second, uint32_t burst, uint32_t proxies) {
  if (!(per_second > 0)) return {};
  const double part = per_second / std::max(1U, proxies);
  const double at_once = burst == 0 ? part : static_cast<double>(burst) / std::max(1U, proxies);
  const double interval = std::clamp(kNanosecondsPerSecond / part, 1.0, kIntervalNsMax);
  return {.interval = Duration(std::llround(interval)),
          .burst = static_cast<uint32_t>(std::clamp(at_once, 1.0, kIntervalNsMax / interval))};
}

Duration Rate::Take(const RateLimit& limit, Time now) {
  const int64_t interval = limit.interval.count();
  if (interval == 0) return Duration(0);
  const int64_t now_ns = Nanoseconds(now);
  if (interval_ns_.load(std::memory_order_relaxed) != interval ||
      burst_.load(std::memory_order_relaxed) != limit.burst) {
    Adopt(limit, now_ns);
  }
  const int64_t early_max = interval * (static_cast<int64_t>(limit.burst) - 1);
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  for (;;) {
    if (next - now_ns > early_max) return Duration(next - now_ns - early_max);
    if (next_ns_.compare_exchange_weak(next, std::max(next, now_ns) + interval, std::memory_order_relaxed)) {
      return Duration(0);
    }
  }
}

// The number of requests that were taken and not made up for stays, as far as the new burst goes: nobody has to wait
// for a burst that nobody may have any more.
void Rate::Adopt(const RateLimit& limit, int64_t now_ns) {
  const int64_t interval = limit.interval.count();
  burst_.store(limit.burst, std::memory_order_relaxed);
  const int64_t before = interval_ns_.exchange(interval, std::memory_order_relaxed);
  if (before == 0) return;
  const double scale = static_cast<double>(interval) / static_cast<double>(before);
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  while (next > now_ns) {
    const auto scaled = static_cast<int64_t>(static_cast<double>(next - now_ns) * scale);
    const int64_t adopted = now_ns + std::min(scaled, interval * static_cast<int64_t>(limit.burst));
    if (next_ns_.compare_exchange_weak(next, adopted, std::memory_order_relaxed)) return;
  }
}

bool Rate::Idle(Time now) const { return next_ns_.load(std::memory_order_relaxed) <= Nanoseconds(now); }

void Rate::Reset() {
  next_ns_.store(0, std::memory_order_relaxed);
  interval_ns_.store(0, std::memory_order_relaxed);
  burst_.store(0, std::memory_order_relaxed);
}

}  // namespace signalbox::limit
