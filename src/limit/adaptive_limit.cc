#include "limit/adaptive_limit.h"

#include <algorithm>

namespace signalbox::limit {
namespace {

constexpr double kInitialLimit = 20;
constexpr double kTolerance = 1.5;
constexpr double kGradientMin = 0.5;
constexpr double kQueueAllowed = 4;
constexpr double kSmoothing = 0.2;
constexpr double kQueueAllowedShare = 0.1;
// Of what is measured while little is in use.
constexpr double kUnqueuedSmoothing = 0.1;
constexpr int64_t kProbeIntervalNs = 15'000'000'000;
// Of which the first shows what was under way before.
constexpr uint32_t kProbeWindows = 5;
constexpr double kOverloadFactor = 0.9;
constexpr int64_t kWindowNs = 100'000'000;
constexpr uint32_t kSamplesMin = 10;

int64_t Nanoseconds(Time time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }

double Clamp(double limit, const AdaptiveBounds& bounds) {
  const double min = std::max(1U, bounds.min);
  return std::clamp(limit, min, std::max(min, static_cast<double>(bounds.max)));
}

void RaiseTo(std::atomic<uint32_t>& max, uint32_t value) {
  uint32_t known = max.load(std::memory_order_relaxed);
  while (known < value && !max.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

uint32_t AdaptiveLimit::Get(const AdaptiveBounds& bounds) const {
  const double learnt = limit_.load(std::memory_order_relaxed);
  const double limit = Clamp(learnt == 0 ? kInitialLimit : learnt, bounds);
  return static_cast<uint32_t>(probes_.load(std::memory_order_relaxed) ? Clamp(limit / 2, bounds) : limit);
}

void AdaptiveLimit::OnAnswer(Time now, Duration latency, uint32_t in_flight, const AdaptiveBounds& bounds) {
  latency_sum_ns_.fetch_add(static_cast<uint64_t>(std::max<int64_t>(1, latency.count())), std::memory_order_relaxed);
  samples_.fetch_add(1, std::memory_order_relaxed);
  RaiseTo(in_flight_max_, in_flight);
  EndWindow(Nanoseconds(now), bounds);
}

void AdaptiveLimit::OnOverload(Time now, const AdaptiveBounds& bounds) {
  overloads_.fetch_add(1, std::memory_order_relaxed);
  EndWindow(Nanoseconds(now), bounds);
}

void AdaptiveLimit::EndWindow(int64_t now_ns, const AdaptiveBounds& bounds) {
  const int64_t ends = ends_ns_.load(std::memory_order_relaxed);
  if (now_ns < ends) return;
  if (ending_.exchange(true, std::memory_order_acquire)) return;
  struct Release {
    std::atomic<bool>& held;
    ~Release() { held.store(false, std::memory_order_release); }
  } release{ending_};
  // Another thread may have ended it in between.
  if (now_ns < ends_ns_.load(std::memory_order_relaxed)) return;
  // The first sample of all, or of a key's new life, begins a window.
  if (ends == 0) return ends_ns_.store(now_ns + kWindowNs, std::memory_order_relaxed);
  const uint32_t overloads = overloads_.load(std::memory_order_relaxed);
  const uint32_t samples = samples_.load(std::memory_order_relaxed);
  if (samples + overloads < kSamplesMin) return;
  // What other threads add between these lines is lost or counted in the next window: no harm to an average.
  ends_ns_.store(now_ns + kWindowNs, std::memory_order_relaxed);
  overloads_.store(0, std::memory_order_relaxed);
  samples_.store(0, std::memory_order_relaxed);
  const uint64_t latency_sum = latency_sum_ns_.exchange(0, std::memory_order_relaxed);
  const uint32_t in_flight = in_flight_max_.exchange(0, std::memory_order_relaxed);

  const double learnt = limit_.load(std::memory_order_relaxed);
  double limit = Clamp(learnt == 0 ? kInitialLimit : learnt, bounds);
  // A stray refusal in a thousand answers is no overload.
  constexpr uint32_t kOverloadShare = 100;
  if (overloads * kOverloadShare > samples) {
    return limit_.store(Clamp(limit * kOverloadFactor, bounds), std::memory_order_relaxed);
  }
  if (learnt == 0) limit_.store(limit, std::memory_order_relaxed);
  Learn(now_ns, static_cast<double>(latency_sum) / samples, in_flight, bounds);
}

void AdaptiveLimit::Learn(int64_t now_ns, double latency_ns, uint32_t in_flight, const AdaptiveBounds& bounds) {
  double limit = Clamp(limit_.load(std::memory_order_relaxed), bounds);
  if (probe_windows_left_ > 0) {
    // Halves of small limits are more than half of what is in use, which does not matter here.
    if (probe_windows_left_ == kProbeWindows - 1) unqueued_ns_ = latency_ns;
    if (probe_windows_left_ < kProbeWindows - 1) unqueued_ns_ = std::min(unqueued_ns_, latency_ns);
    if (--probe_windows_left_ == 0) probes_.store(false, std::memory_order_relaxed);
    return;
  }
  if (in_flight < limit / 2) {
    unqueued_ns_ = unqueued_ns_ == 0 ? latency_ns : unqueued_ns_ + (latency_ns - unqueued_ns_) * kUnqueuedSmoothing;
    next_probe_ns_ = now_ns + kProbeIntervalNs;
    return;
  }
  if (unqueued_ns_ == 0 || now_ns >= next_probe_ns_) return StartProbe(now_ns);
  const double gradient = std::clamp(kTolerance * unqueued_ns_ / latency_ns, kGradientMin, 1.0);
  const double allowed = std::max(kQueueAllowed, limit * kQueueAllowedShare);
  limit += kSmoothing * (limit * gradient + allowed - limit);
  limit_.store(Clamp(limit, bounds), std::memory_order_relaxed);
}

void AdaptiveLimit::StartProbe(int64_t now_ns) {
  next_probe_ns_ = now_ns + kProbeIntervalNs;
  probe_windows_left_ = kProbeWindows;
  probes_.store(true, std::memory_order_relaxed);
}

void AdaptiveLimit::Reset() {
  limit_.store(0, std::memory_order_relaxed);
  ends_ns_.store(0, std::memory_order_relaxed);
  latency_sum_ns_.store(0, std::memory_order_relaxed);
  samples_.store(0, std::memory_order_relaxed);
  in_flight_max_.store(0, std::memory_order_relaxed);
  overloads_.store(0, std::memory_order_relaxed);
  probes_.store(false, std::memory_order_relaxed);
  unqueued_ns_ = 0;
  next_probe_ns_ = 0;
  probe_windows_left_ = 0;
}

}  // namespace signalbox::limit
