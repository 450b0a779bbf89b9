// What a snapshot keeps alive. Private to src/decide.
#pragma once

#include "decide/arena.h"
#include "decide/condition.h"
#include "decide/snapshot.h"

namespace signalbox::decide {

struct Snapshot::Memory {
  Arena rules;
  Arena cells;
  Arena texts;
  // Keeps the regular expressions.
  ConditionCompiler conditions{texts};
};

}  // namespace signalbox::decide
