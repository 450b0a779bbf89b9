// The time of day, for what people and other processes read. What is measured uses a steady clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace signalbox {

// Milliseconds since 1970-01-01 00:00 UTC.
inline int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace signalbox
