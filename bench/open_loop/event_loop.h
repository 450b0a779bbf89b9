// One thread that waits for sockets and for points in time, to within tens of microseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace signalbox::bench {

// steady_clock is CLOCK_MONOTONIC, which the kernel's timers take.
using Time = std::chrono::steady_clock::time_point;

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Watch(int fd, uint32_t events, std::function<void(uint32_t events)> then);
  void ChangeWatch(int fd, uint32_t events);
  void Unwatch(int fd);
  void At(Time time, std::function<void()> then);
  // At the end of this round, when all that came in it has been read.
  void Defer(std::function<void()> then) { deferred_.push_back(std::move(then)); }

  // Until Stop is called.
  void Run();
  void Stop() { stopped_ = true; }

 private:
  struct Timer {
    Time time;
    uint64_t order;  // of those of one time, the first first
    std::function<void()> then;
    bool operator<(const Timer& other) const {
      return time != other.time ? time > other.time : order > other.order;  // priority_queue has the greatest on top
    }
  };

  void SetAlarm();
  void RunTimers();
  void RunDeferred();

  int epoll_;
  int alarm_;
  bool stopped_ = false;
  uint64_t order_ = 0;
  std::priority_queue<Timer> timers_;
  std::vector<std::function<void()>> deferred_;
  std::unordered_map<int, std::function<void(uint32_t)>> watched_;
};

}  // namespace signalbox::bench
