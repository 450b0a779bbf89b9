#include "proxy/run_queue_delay.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace signalbox::proxy {

RunQueueDelay::RunQueueDelay() : file_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) { Take(); }

RunQueueDelay::~RunQueueDelay() {
  if (file_ >= 0) close(file_);
}

std::chrono::nanoseconds RunQueueDelay::Take() {
  // "RUNNING WAITING TIMESLICES", the first two in nanoseconds.
  std::array<char, 80> text;
  const ssize_t bytes = file_ < 0 ? 0 : pread(file_, text.data(), text.size(), 0);
  if (bytes <= 0) return std::chrono::nanoseconds(0);
  const char* const end = text.data() + bytes;
  const char* place = text.data();
  while (place != end && *place != ' ') ++place;
  int64_t waited = 0;
  if (place == end || std::from_chars(place + 1, end, waited).ec != std::errc()) return std::chrono::nanoseconds(0);
  const std::chrono::nanoseconds now(waited);
  return now - std::exchange(before_, now);
}

}  // namespace signalbox::proxy
