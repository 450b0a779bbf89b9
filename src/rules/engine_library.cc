#include "rules/engine_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mutex>

#include "rules/engine_allocations.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

enum class Phase { kNotStarted, kRunning, kFailed, kShutDown };

// Never destroyed: threads may outlive main().
struct Library {
  std::mutex mutex;
  Phase phase = Phase::kNotStarted;
  int uses = 0;
};
Library& TheLibrary() {
  static auto* library = new Library;
  return *library;
}

// The library's own threads have to end before its static objects do.
void ShutDownAtExit(int exit_status, void*) {
  Library& library = TheLibrary();
  std::lock_guard lock(library.mutex);
  library.phase = Phase::kShutDown;
  if (library.uses == 0) return JS_ShutDown();
  // An engine still runs, perhaps one that does not end: nothing that it uses may be taken down under it.
  fflush(nullptr);
  _exit(exit_status);
}

void Initialise(Library& library) {
  JS::DisableJitBackend();
  const bool ready = LimitEngineAllocations().ok() && JS_Init() && on_exit(ShutDownAtExit, nullptr) == 0;
  library.phase = ready ? Phase::kRunning : Phase::kFailed;
}

}  // namespace

absl::Status LibraryUse::Start() {
  Library& library = TheLibrary();
  std::lock_guard lock(library.mutex);
  if (library.phase == Phase::kNotStarted) Initialise(library);
  if (library.phase == Phase::kShutDown) return absl::InternalError("rules cannot be run: the process is ending");
  if (library.phase == Phase::kFailed) return absl::InternalError("the JavaScript engine could not be initialised");
  ++library.uses;
  started_ = true;
  return absl::OkStatus();
}

LibraryUse::~LibraryUse() {
  if (!started_) return;
  std::lock_guard lock(TheLibrary().mutex);
  --TheLibrary().uses;
}

}  // namespace signalbox::rules
