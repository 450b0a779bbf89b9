// SIGHUP as something to ask for: log rotation.
#pragma once

#include <csignal>
#include <ctime>

namespace signalbox::cli {

// Make one before the first thread is started: threads inherit that the signal is blocked.
class HangupSignal {
 public:
  HangupSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  HangupSignal(const HangupSignal&) = delete;
  HangupSignal& operator=(const HangupSignal&) = delete;

  // Whether one came since the last call.
  bool Came() {
    const timespec no_time{};
    return sigtimedwait(&signals_, nullptr, &no_time) == SIGHUP;
  }

 private:
  sigset_t signals_;
};

}  // namespace signalbox::cli
