#include "base/background_thread.h"

#include <sys/resource.h>

namespace signalbox {

void MakeThisABackgroundThread() {
  constexpr int kNiceness = 10;
  // Of this thread alone, as Linux has it. Where it fails nothing is lost but the courtesy.
  (void)setpriority(PRIO_PROCESS, 0, kNiceness);
}

}  // namespace signalbox
