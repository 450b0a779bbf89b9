// One JavaScript engine on a thread of its own, with limits that hold against hostile scripts.
//
// SpiderMonkey without its compilers: rule files are small, and an interpreter maps no executable memory and does the
// same everywhere.
#pragma once

#include <functional>
#include <optional>

#include "rules/rules.h"

struct JSContext;

namespace signalbox::rules {

// Runs `work` with a new engine on a new thread and returns when it has ended. Nothing, also when `work` reported
// trouble of its own; or why `work` could not be run or was ended: the time or the memory was used up. Then the
// diagnostic has the file and line that the script had reached, if it is known, and as column the code points before
// it.
//
// Once a limit is reached every call into the engine fails, without an exception being pending: `work` has to return.
// A thread that does not come back from inside the engine is left behind, so `work` owns what it uses (shared_ptr), and
// nobody may look at that after a diagnostic.
std::optional<Diagnostic> RunWithEngine(const Limits& limits, std::function<void(JSContext*)> work);

// Whether a limit has ended this engine. On its own thread only.
bool IsStopped(JSContext* context);

// Where this engine's script was when memory last did not suffice (line and column as the engine counts; no file: not
// known), and how much it may have. On its own thread only.
struct OutOfMemory {
  const Diagnostic& place;
  size_t heap_bytes_max;
};
OutOfMemory LastOutOfMemory(JSContext* context);

}  // namespace signalbox::rules
