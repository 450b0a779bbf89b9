#include "proxy/latency_estimate.h"

#include <algorithm>
#include <bit>

namespace signalbox::proxy {

// As floating point numbers count: the position of the first bit, then the three bits behind it.
size_t LatencyEstimate::StepOf(uint64_t us) {
  if (us < kStepsPerDoubling) return us;
  const auto doubling = static_cast<size_t>(std::bit_width(us)) - 3;  // 1 for 8 to 15
  const size_t step = doubling * kStepsPerDoubling + (us >> (doubling - 1)) - kStepsPerDoubling;
  return std::min(step, kStepsPerDoubling * kDoublings - 1);
}

uint64_t LatencyEstimate::EndOf(size_t step) {
  if (step < kStepsPerDoubling) return step + 1;
  const size_t doubling = step / kStepsPerDoubling;
  return (kStepsPerDoubling + step % kStepsPerDoubling + 1) << (doubling - 1);
}

void LatencyEstimate::Add(std::chrono::nanoseconds latency) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  counts_[StepOf(static_cast<uint64_t>(std::max<int64_t>(us, 0)))].fetch_add(1, std::memory_order_relaxed);
  if (answers_.fetch_add(1, std::memory_order_relaxed) + 1 != kAnswersUntilHalved) return;
  // What other workers add meanwhile may be lost, which no quantile will tell.
  for (std::atomic<uint32_t>& count : counts_) {
    count.store(count.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
  }
  answers_.store(0, std::memory_order_relaxed);
}

std::optional<std::chrono::microseconds> LatencyEstimate::Quantile(uint32_t ppm) const {
  uint64_t all = 0;
  for (const std::atomic<uint32_t>& count : counts_) all += count.load(std::memory_order_relaxed);
  if (all < kAnswersMin) return std::nullopt;
  constexpr uint64_t kMillion = 1'000'000;
  const uint64_t wanted = (all * ppm + kMillion - 1) / kMillion;
  uint64_t passed = 0;
  for (size_t step = 0; step < counts_.size(); ++step) {
    passed += counts_[step].load(std::memory_order_relaxed);
    if (passed >= wanted) return std::chrono::microseconds(EndOf(step));
  }
  return std::chrono::microseconds(EndOf(counts_.size() - 1));
}

}  // namespace signalbox::proxy
