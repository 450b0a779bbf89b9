#include "bench/open_loop/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>

namespace signalbox::bench {

EventLoop::EventLoop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), alarm_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  Watch(alarm_, EPOLLIN, [this](uint32_t) {
    uint64_t times = 0;
    [[maybe_unused]] const ssize_t bytes = read(alarm_, &times, sizeof(times));
  });
}

EventLoop::~EventLoop() {
  close(alarm_);
  close(epoll_);
}

void EventLoop::Watch(int fd, uint32_t events, std::function<void(uint32_t)> then) {
  watched_[fd] = std::move(then);
  epoll_event event{.events = events, .data = {.fd = fd}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

void EventLoop::ChangeWatch(int fd, uint32_t events) {
  epoll_event event{.events = events, .data = {.fd = fd}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Unwatch(int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  watched_.erase(fd);
}

void EventLoop::At(Time time, std::function<void()> then) { timers_.push({time, order_++, std::move(then)}); }

void EventLoop::Run() {
  std::array<epoll_event, 256> events;
  while (!stopped_) {
    RunTimers();
    RunDeferred();
    if (stopped_) return;
    SetAlarm();
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const auto found = watched_.find(events[i].data.fd);
      if (found == watched_.end()) continue;  // closed by an event before
      const auto then = found->second;        // it may take itself away
      then(events[i].events);
    }
    RunDeferred();
  }
}

void EventLoop::SetAlarm() {
  itimerspec alarm{};  // of zero: none
  if (!timers_.empty()) {
    const auto since_boot = timers_.top().time.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    alarm.it_value.tv_sec = seconds.count();
    alarm.it_value.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds).count() + 1;
  }
  timerfd_settime(alarm_, TFD_TIMER_ABSTIME, &alarm, nullptr);
}

void EventLoop::RunTimers() {
  while (!stopped_ && !timers_.empty() && timers_.top().time <= std::chrono::steady_clock::now()) {
    const auto then = timers_.top().then;
    timers_.pop();
    then();
  }
}

void EventLoop::RunDeferred() {
  for (size_t i = 0; i < deferred_.size(); ++i) {
    const auto then = std::move(deferred_[i]);  // what it defers comes behind it
    then();
  }
  deferred_.clear();
}

}  // namespace signalbox::bench
