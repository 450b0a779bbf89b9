#include <utility>

#include "base/unix_time.h"
#include "store/test_engines.h"

namespace signalbox::store {

StoreClock TestClock::Get(std::string boot) {
  return {&NowUnixMs, [since_boot = since_boot_] { return *since_boot; }, std::move(boot)};
}

}  // namespace signalbox::store
