// Which of a model's hosts is asked.
#pragma once

#include <span>

#include "proxy/deadline_queue.h"

namespace signalbox::decide {
struct Answer;
}

namespace signalbox::proxy {

class Host;
struct Routes;

// What a request wants of its host.
struct HostWish {
  // Not again, as long as there are others.
  std::span<const Host* const> tried = {};
};

// A host that serves `answer` and is not known to be unreachable; nullptr when there is none. For its worker's thread.
Host* ChooseHost(Routes& routes, const decide::Answer& answer, Time now, const HostWish& wish = {});

}  // namespace signalbox::proxy
