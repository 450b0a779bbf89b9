// Simulated time: what happens when, one thing at a time. Nothing in a run waits for a real clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace signalbox::simulation {

class Schedule {
 public:
  using Event = std::function<void()>;

  // The steady clock of all parts, in milliseconds.
  int64_t now_ms() const { return now_ms_; }

  void After(int64_t ms, Event event) { At(now_ms_ + std::max<int64_t>(ms, 0), std::move(event)); }

  void At(int64_t at_ms, Event event) {
    heap_.push_back({std::max(at_ms, now_ms_), next_order_++, std::move(event)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  // Runs the next event, unless that is after `until_ms` or there is none: then it is `until_ms`, and false.
  bool RunOne(int64_t until_ms) {
    if (heap_.empty() || heap_.front().at_ms > until_ms) {
      now_ms_ = std::max(now_ms_, until_ms);
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ms_ = entry.at_ms;
    entry.event();
    return true;
  }

 private:
  struct Entry {
    int64_t at_ms;
    uint64_t order;  // of two at one time, the one that was scheduled first
    Event event;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.at_ms != b.at_ms ? a.at_ms > b.at_ms : a.order > b.order;
  }

  int64_t now_ms_ = 0;
  uint64_t next_order_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace signalbox::simulation
