// How long a thread was ready to run and had no core.
#pragma once

#include <chrono>

namespace signalbox::proxy {

// To be made and used by that thread. Reads the scheduler's own count (/proc/thread-self/schedstat); where there is
// none, it is always 0.
class RunQueueDelay {
 public:
  RunQueueDelay();
  ~RunQueueDelay();
  RunQueueDelay(const RunQueueDelay&) = delete;
  RunQueueDelay& operator=(const RunQueueDelay&) = delete;

  // Since the last call. About 2 us.
  std::chrono::nanoseconds Take();

 private:
  int file_;
  std::chrono::nanoseconds before_{0};
};

}  // namespace signalbox::proxy
