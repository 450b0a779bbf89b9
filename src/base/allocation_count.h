// How many heap allocations this process has made, for tests and benchmarks of code that must not make any.
#pragma once

#include <cstdint>

namespace signalbox {

// Calls of operator new in all threads since the start. Only in programs that link signalbox_allocation_count, which
// replaces operator new; never in the product.
uint64_t AllocationCount();

// Those of the calling thread.
uint64_t AllocationCountOfThisThread();

}  // namespace signalbox
