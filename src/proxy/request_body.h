// What a client sends, as attempts at hosts read it.
#pragma once

#include "proxy/body_queue.h"

namespace signalbox::proxy {

struct RequestBody {
  explicit RequestBody(WorkerMemory& memory) : queue(memory) {}
  // Nothing more will come, and what came was read.
  bool exhausted() const { return ended && queue.empty(); }

  BodyQueue queue;  // what no attempt has read yet
  bool ended = false;
};

}  // namespace signalbox::proxy
