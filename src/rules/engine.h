// One JavaScript engine on a thread of its own, with limits that hold against hostile scripts.
//
// SpiderMonkey without its compilers: rule files are small, and an interpreter maps no executable memory and does the
// same everywhere.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "rules/rules.h"

struct JSContext;

namespace signalbox::rules {

// Runs `work` with a new engine on a new thread and returns when it has ended. OK also when `work` reported trouble of
// its own. RESOURCE_EXHAUSTED when `work` was ended because the time or the memory was used up, INTERNAL when there
// could be no engine.
//
// Once a limit is reached every call into the engine fails, without an exception being pending: `work` has to return.
// A thread that does not come back from inside the engine is left behind, so `work` owns what it uses (shared_ptr), and
// nobody may look at that after an error.
absl::Status RunWithEngine(const Limits& limits, std::function<void(JSContext*)> work);

// Whether a limit has ended this engine. On its own thread only.
bool IsStopped(JSContext* context);

}  // namespace signalbox::rules
