// SpiderMonkey as a library: set up once in a process, and shut down at its end.
#pragma once

#include "absl/status/status.h"

namespace signalbox::rules {

// For as long as it lives there may be an engine. Thread-safe.
class LibraryUse {
 public:
  LibraryUse() = default;
  ~LibraryUse();
  LibraryUse(const LibraryUse&) = delete;
  LibraryUse& operator=(const LibraryUse&) = delete;

  // INTERNAL when the library cannot be set up, or the process is ending.
  absl::Status Start();

 private:
  bool started_ = false;
};

}  // namespace signalbox::rules
