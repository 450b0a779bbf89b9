// How much memory an engine's objects hold.
#pragma once

#include <cstddef>

#include "rules/spidermonkey.h"

namespace signalbox::rules {

// On the engine's thread only, and destroyed before the engine.
class EngineMemory {
 public:
  explicit EngineMemory(JSContext* context);

  // False when there is no memory even for this.
  bool is_ready() const { return info_ != nullptr; }
  // In the heap, and what belongs to its objects outside of it: characters of texts, items of arrays. Short-lived
  // buffers are not seen; engine_allocations.h limits each.
  size_t HeldBytes() const;

 private:
  JSContext* context_;
  JS::PersistentRootedObject info_;
};

}  // namespace signalbox::rules
