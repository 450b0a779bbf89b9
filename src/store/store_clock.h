// The two clocks of a store: one for people, one for what expires.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace signalbox::store {

struct StoreClock {
  // The time of day that versions are published at.
  std::function<int64_t()> unix_ms;
  // Since `boot`. Never goes back, never jumps, and goes on while the machine sleeps.
  std::function<std::chrono::milliseconds()> since_boot;
  // Which start of the machine `since_boot` counts from: what was written in another one cannot be compared.
  std::string boot;

  // Those of this machine: CLOCK_BOOTTIME, and the kernel's id of its start.
  static absl::StatusOr<StoreClock> OfMachine();
};

}  // namespace signalbox::store
