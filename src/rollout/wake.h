// When to look again: the earliest of all times that something was found to wait for.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace signalbox::rollout {

// Of one step. Times are of the steady clock.
class Wake {
 public:
  explicit Wake(int64_t now_ms) : now_ms_(now_ms), next_ms_(now_ms + kMax) {}

  int64_t now_ms() const { return now_ms_; }
  // Where it is not past, the controller is woken then.
  bool Passed(int64_t at_ms) {
    if (at_ms <= now_ms_) return true;
    next_ms_ = std::min(next_ms_, at_ms);
    return false;
  }
  std::chrono::milliseconds after() const { return std::chrono::milliseconds(next_ms_ - now_ms_); }

 private:
  // Also with nothing to wait for: a limit on what a lost event can cost.
  static constexpr int64_t kMax = 3'600'000;

  int64_t now_ms_;
  int64_t next_ms_;
};

// Times that are written down as times of day, on the steady clock. What is left is reckoned once, when a time is first
// seen: a clock that jumps later makes nothing end early or late.
class WrittenTimes {
 public:
  // The steady time at which `left_ms` (at most `max_ms`) are over, of the first call with this key.
  int64_t Of(const std::string& key, int64_t left_ms, int64_t max_ms, int64_t now_steady_ms) {
    const auto [entry, is_new] = times_.try_emplace(key);
    if (is_new) entry->second.steady_ms = now_steady_ms + std::clamp<int64_t>(left_ms, 0, max_ms);
    entry->second.asked = true;
    return entry->second.steady_ms;
  }
  // Forgets what was not asked for since the last call.
  void Sweep() {
    std::erase_if(times_, [](const auto& entry) { return !entry.second.asked; });
    for (auto& [key, time] : times_) time.asked = false;
  }

 private:
  struct Time {
    int64_t steady_ms = 0;
    bool asked = false;
  };
  std::map<std::string, Time> times_;
};

}  // namespace signalbox::rollout
