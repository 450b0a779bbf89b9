#include "proxy/retry_budget.h"

#include <algorithm>

namespace signalbox::proxy {
namespace {

// 24 bits for the second (half a year until it comes again), 24 for requests, 16 for tries. More are not counted.
constexpr int kTriesBits = 16;
constexpr int kRequestsBits = 24;
constexpr uint32_t kTriesMax = (1U << kTriesBits) - 1;
constexpr uint32_t kRequestsMax = (1U << kRequestsBits) - 1;

}  // namespace

RetryBudget::Counts RetryBudget::Unpack(uint64_t packed) {
  return {.second = static_cast<uint32_t>(packed >> (kTriesBits + kRequestsBits)),
          .requests = static_cast<uint32_t>(packed >> kTriesBits) & kRequestsMax,
          .tries = static_cast<uint32_t>(packed) & kTriesMax};
}

uint64_t RetryBudget::Pack(const Counts& counts) {
  return static_cast<uint64_t>(counts.second) << (kTriesBits + kRequestsBits) |
         static_cast<uint64_t>(std::min(counts.requests, kRequestsMax)) << kTriesBits |
         std::min(counts.tries, kTriesMax);
}

uint32_t RetryBudget::SecondOf(Time now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  // Never 0: that is what a bucket that was never used says.
  return static_cast<uint32_t>(seconds % ((1 << 24) - 1)) + 1;
}

void RetryBudget::Add(Time now, uint32_t requests, uint32_t tries) {
  const uint32_t second = SecondOf(now);
  std::atomic<uint64_t>& bucket = seconds_[second % kSeconds];
  uint64_t seen = bucket.load(std::memory_order_relaxed);
  for (;;) {
    Counts counts = Unpack(seen);
    if (counts.second != second) counts = {.second = second, .requests = 0, .tries = 0};
    counts.requests += requests;
    counts.tries += tries;
    if (bucket.compare_exchange_weak(seen, Pack(counts), std::memory_order_relaxed)) return;
  }
}

bool RetryBudget::TryTake(Time now, uint32_t share_ppm) {
  const uint32_t second = SecondOf(now);
  uint64_t requests = 0;
  uint64_t tries = 0;
  uint32_t tries_now = 0;
  for (const std::atomic<uint64_t>& bucket : seconds_) {
    const Counts counts = Unpack(bucket.load(std::memory_order_relaxed));
    if (counts.second > second || second - counts.second >= kSeconds) continue;
    requests += counts.requests;
    tries += counts.tries;
    if (counts.second == second) tries_now = counts.tries;
  }
  constexpr uint64_t kMillion = 1'000'000;
  const uint64_t allowed = requests * (share_ppm == 0 ? kRetryBudgetPpmDefault : share_ppm) / kMillion;
  if (tries_now >= kRetriesPerSecondAlways && tries >= allowed) return false;
  Add(now, 0, 1);
  return true;
}

}  // namespace signalbox::proxy
