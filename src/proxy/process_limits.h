// What workers share beside the snapshot: the limits, which are the process's, as connections spread unevenly.
#pragma once

#include "limit/bulkhead.h"
#include "limit/limits.h"

namespace signalbox::proxy {

struct ProcessLimits {
  limit::Table table;
  limit::Bulkheads bulkheads;
};

}  // namespace signalbox::proxy
