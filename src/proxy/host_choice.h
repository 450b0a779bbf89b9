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

// What a host is wanted for.
struct HostQuestion {
  const decide::Answer& answer;
  // The hosts that this request was given to already, in this order, for the same answer.
  std::span<const Host* const> tried;
  Time now;
};

// A host that serves the answer and is not known to be unreachable; one that was tried only when there is no other.
// nullptr when there is none. For its worker's thread.
Host* ChooseHost(Routes& routes, const HostQuestion& question);

}  // namespace signalbox::proxy
