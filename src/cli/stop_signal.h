// SIGINT and SIGTERM as something to wait for.
#pragma once

#include <chrono>
#include <csignal>

namespace signalbox::cli {

// Make one before the first thread is started: threads inherit that the two signals are blocked, and only Wait takes
// them.
class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Returns when one of them came. From then on a second one ends the process at once, for whoever will not wait for a
  // graceful stop.
  void Wait() {
    int signal = 0;
    sigwait(&signals_, &signal);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  }

  // The same with an end to the waiting. True when a signal came.
  bool WaitFor(std::chrono::nanoseconds timeout) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    timespec limit{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
    if (sigtimedwait(&signals_, nullptr, &limit) < 0) return false;
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    return true;
  }

 private:
  sigset_t signals_;
};

}  // namespace signalbox::cli
