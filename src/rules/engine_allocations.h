// A limit on single allocations of the JavaScript engine.
//
// SpiderMonkey caps the heap of its garbage collector, but not what it takes from malloc for it: the characters of a
// text, the items of an array. A script can make a text of a gigabyte in one step, which no interrupt sees. So the
// library's references to malloc, calloc and realloc lead through functions here that refuse more than the limit of the
// thread; to the script that is "out of memory". Nothing else in the process is touched.
#pragma once

#include <cstddef>

#include "absl/status/status.h"

namespace signalbox::rules {

// Once, before the engine is used. INTERNAL when the library does not look as expected.
absl::Status LimitEngineAllocations();

// While it lives, an allocation of more than `bytes_max` by the engine fails on this thread.
class AllocationLimit {
 public:
  explicit AllocationLimit(size_t bytes_max);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;
};

}  // namespace signalbox::rules
