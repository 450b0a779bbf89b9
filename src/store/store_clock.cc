#include "store/store_clock.h"

#include <time.h>

#include <fstream>

#include "base/unix_time.h"

namespace signalbox::store {
namespace {

std::chrono::milliseconds SinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::seconds(now.tv_sec) +
                                                               std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

absl::StatusOr<StoreClock> StoreClock::OfMachine() {
  constexpr char kBootId[] = "/proc/sys/kernel/random/boot_id";
  // Not ReadFile: files of /proc have no size.
  std::ifstream file(kBootId);
  std::string boot;
  if (!std::getline(file, boot) || boot.empty()) {
    return absl::FailedPreconditionError(
        std::string(kBootId) +
        ": cannot be read, and what expires in a store is counted from the start of the machine; mount /proc");
  }
  return StoreClock{&NowUnixMs, &SinceBoot, std::move(boot)};
}

}  // namespace signalbox::store
