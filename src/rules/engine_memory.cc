#include "rules/engine_memory.h"

#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {
const JSClass kGlobalClass = {"EngineMemory", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr,
                              nullptr};
}  // namespace

EngineMemory::EngineMemory(JSContext* context) : context_(context), info_(context) {
  JS::RootedObject global(
      context, JS_NewGlobalObject(context, &kGlobalClass, nullptr, JS::FireOnNewGlobalHook, JS::RealmOptions()));
  if (global == nullptr) return;
  JSAutoRealm realm(context, global);
  info_ = js::gc::NewMemoryInfoObject(context);
}

size_t EngineMemory::HeldBytes() const {
  JSAutoRealm realm(context_, info_);
  JS::RootedValue malloc_bytes(context_);
  // A getter of the engine's own: it runs no script and allocates nothing.
  if (!JS_GetProperty(context_, info_, "mallocBytes", &malloc_bytes) || !malloc_bytes.isNumber()) return 0;
  return JS_GetGCParameter(context_, JSGC_BYTES) + static_cast<size_t>(malloc_bytes.toNumber());
}

}  // namespace signalbox::rules
