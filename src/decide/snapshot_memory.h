// What a snapshot keeps alive. Private to src/decide.
#pragma once

#include <memory_resource>

#include "base/huge_pages.h"
#include "decide/condition.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

struct Snapshot::Memory {
  std::pmr::monotonic_buffer_resource rules{&HugePages::Instance()};
  std::pmr::monotonic_buffer_resource cells{&HugePages::Instance()};
  std::pmr::monotonic_buffer_resource texts{&HugePages::Instance()};
  // Keeps the regular expressions.
  ConditionCompiler conditions{texts};
};

}  // namespace signalbox::decide
