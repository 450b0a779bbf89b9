#include "rules/globals.h"

#include <fmt/format.h>

#include <array>

#include "rules/expectation_functions.h"
#include "rules/source_texts.h"
#include "rules/spidermonkey.h"
#include "rules/suggestion.h"
#include "rules/when.h"

namespace signalbox::rules {
namespace {

constexpr std::array<std::string_view, 6> kConstants = {"TITLE_INPUT_TYPE", "FLIGHT_INPUT_TYPE", "USER_INPUT_TYPE",
                                                        "TEXT_INPUT_TYPE",  "IMAGE_INPUT_TYPE",  "TABULAR_INPUT_TYPE"};

struct Removed {
  const char* owner;  // nullptr: the global object
  const char* name;
};

// Clocks, randomness, what depends on the machine's language or on when garbage is collected, shared and raw memory,
// and code made from text.
constexpr Removed kRemoved[] = {
    {nullptr, "Date"},
    {"Math", "random"},
    {nullptr, "Intl"},
    {"String.prototype", "localeCompare"},
    {"String.prototype", "toLocaleLowerCase"},
    {"String.prototype", "toLocaleUpperCase"},
    {"Number.prototype", "toLocaleString"},
    {"BigInt.prototype", "toLocaleString"},
    {"Array.prototype", "toLocaleString"},
    {"Object.prototype", "toLocaleString"},
    {nullptr, "WeakRef"},
    {nullptr, "FinalizationRegistry"},
    {nullptr, "SharedArrayBuffer"},
    {nullptr, "Atomics"},
    {nullptr, "WebAssembly"},
    {nullptr, "ArrayBuffer"},
    {nullptr, "DataView"},
    {nullptr, "Int8Array"},
    {nullptr, "Uint8Array"},
    {nullptr, "Uint8ClampedArray"},
    {nullptr, "Int16Array"},
    {nullptr, "Uint16Array"},
    {nullptr, "Int32Array"},
    {nullptr, "Uint32Array"},
    {nullptr, "Float32Array"},
    {nullptr, "Float64Array"},
    {nullptr, "BigInt64Array"},
    {nullptr, "BigUint64Array"},
    {nullptr, "eval"},
};

const JSClass kGlobalClass = {"RuleFile", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};

enum ObjectiveSlot { kNameSlot, kFileSlot, kLineSlot, kColumnSlot, kObjectiveSlots };
const JSClass kObjectiveClass = {"Objective", JSCLASS_HAS_RESERVED_SLOTS(kObjectiveSlots), nullptr, nullptr, nullptr,
                                 nullptr};

// The object named by "Array.prototype", or the global itself.
JSObject* Owner(JSContext* context, JS::HandleObject global, const char* path) {
  JS::RootedObject object(context, global);
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t end = rest.find('.');
    const std::string name(rest.substr(0, end));
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    JS::RootedValue value(context);
    if (!JS_GetProperty(context, object, name.c_str(), &value) || !value.isObject()) return nullptr;
    object = &value.toObject();
  }
  return object;
}

// After the standard classes are all there: they are made when first named, and must not come back then.
bool RemoveBuiltins(JSContext* context, JS::HandleObject global) {
  for (const Removed& removed : kRemoved) {
    JS::RootedObject owner(context, Owner(context, global, removed.owner));
    if (owner == nullptr || !JS_DeleteProperty(context, owner, removed.name)) return false;
  }
  return true;
}

bool RefuseCodeFromText(JSContext*, JS::RuntimeCode, JS::HandleString) { return false; }
const JSSecurityCallbacks kSecurityCallbacks = {RefuseCodeFromText, nullptr};

// The `get` trap of `Objectives`: (target, name) -> an object that stands for the Objective, and remembers the place.
bool GetObjective(JSContext* context, unsigned argument_count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(argument_count, values);
  arguments.rval().setUndefined();
  if (!arguments.get(1).isString()) return true;  // the engine asks for symbols of its own
  JS::RootedObject objective(context, JS_NewObject(context, &kObjectiveClass));
  if (objective == nullptr) return false;
  const CallerPlace caller = PlaceOfCaller(context);
  JS_SetReservedSlot(objective, kNameSlot, arguments.get(1));
  JS_SetReservedSlot(objective, kFileSlot,
                     JS::NumberValue(caller.text ? static_cast<uint32_t>(caller.text->index) : 0));
  JS_SetReservedSlot(objective, kLineSlot, JS::NumberValue(caller.place.line));
  JS_SetReservedSlot(objective, kColumnSlot, JS::NumberValue(caller.place.column));
  if (!JS_FreezeObject(context, objective)) return false;
  arguments.rval().setObject(*objective);
  return true;
}

// The `get` trap of `constants`: a misspelled one must not become `undefined` somewhere far away.
bool GetConstant(JSContext* context, unsigned argument_count, JS::Value* values) {
  const JS::CallArgs arguments = JS::CallArgsFromVp(argument_count, values);
  arguments.rval().setUndefined();
  if (!arguments.get(1).isString()) return true;
  JS::RootedString name(context, arguments.get(1).toString());
  JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, name);
  if (utf8 == nullptr) return false;
  for (const std::string_view constant : kConstants) {
    if (constant == utf8.get()) {
      arguments.rval().setString(name);
      return true;
    }
  }
  const std::vector<std::string> known(kConstants.begin(), kConstants.end());
  std::string hint = DidYouMean(utf8.get(), known);
  if (hint.empty()) hint = fmt::format("; there are {}", fmt::join(known, ", "));
  JS_ReportErrorUTF8(context, "constants.%s does not exist%s", utf8.get(), hint.c_str());
  return false;
}

bool RefuseChange(JSContext* context, unsigned, JS::Value*) {
  JS_ReportErrorUTF8(context, "Objectives and constants cannot be changed; they can only be read");
  return false;
}

// `new Proxy({}, {get, set, defineProperty, deleteProperty})`
bool DefineReadOnly(JSContext* context, JS::HandleObject global, const char* name, JSNative get) {
  // Without a prototype, through which a rule file could add to them.
  JS::RootedObject target(context, JS_NewPlainObject(context));
  JS::RootedObject handler(context, JS_NewObjectWithGivenProto(context, nullptr, nullptr));
  JS::RootedValue proxy_class(context);
  if (target == nullptr || handler == nullptr || !JS_DefineFunction(context, handler, "get", get, 3, 0) ||
      !JS_DefineFunction(context, handler, "set", RefuseChange, 4, 0) ||
      !JS_DefineFunction(context, handler, "defineProperty", RefuseChange, 3, 0) ||
      !JS_DefineFunction(context, handler, "deleteProperty", RefuseChange, 2, 0) ||
      !JS_GetProperty(context, global, "Proxy", &proxy_class)) {
    return false;
  }
  JS::RootedValueArray<2> arguments(context);
  arguments[0].setObject(*target);
  arguments[1].setObject(*handler);
  JS::RootedObject proxy(context);
  return JS::Construct(context, proxy_class, arguments, &proxy) &&
         JS_DefineProperty(context, global, name, proxy, JSPROP_READONLY | JSPROP_PERMANENT);
}

// `import('./x.js')` while a script runs. Reported here, whatever the script does with the promise, and the script
// ends.
bool RefuseDynamicImport(JSContext* context, JS::HandleValue, JS::HandleObject, JS::HandleObject) {
  RealmScope& scope = ScopeOfCurrentRealm(context);
  const CallerPlace caller = PlaceOfCaller(context);
  if (caller.text != nullptr && !scope.is_refused) {
    scope.diagnostics->push_back({std::string(caller.text->path), caller.place.line, caller.place.column,
                                  "import() is not possible in rules, which cannot wait for anything; write `import "
                                  "{...} from './...'` at the top of the file"});
    scope.is_refused = true;
  }
  return false;
}

bool RefuseImportMeta(JSContext* context, JS::HandleValue, JS::HandleObject) {
  JS_ReportErrorUTF8(context, "import.meta does not exist in rules, which do not know where they lie");
  return false;
}

}  // namespace

RealmScope& ScopeOfCurrentRealm(JSContext* context) {
  return *static_cast<RealmScope*>(JS::GetRealmPrivate(JS::GetCurrentRealmOrNull(context)));
}

CallerPlace PlaceOfCaller(JSContext* context) {
  JS::AutoFilename file;
  unsigned line = 0;
  unsigned column = 0;
  JS::DescribeScriptedCaller(context, &file, &line, &column);
  const SourceText* text = file.get() ? ScopeOfCurrentRealm(context).texts->Find(file.get()) : nullptr;
  return {text, text ? text->lines.AtCodePoint(line, column) : Place{}};
}

std::span<const std::string_view> Constants() { return kConstants; }

JSObject* NewGlobal(JSContext* context, RealmScope& scope) {
  JS_SetSecurityCallbacks(context, &kSecurityCallbacks);
  JS::SetModuleDynamicImportHook(JS_GetRuntime(context), RefuseDynamicImport);
  JS::SetModuleMetadataHook(JS_GetRuntime(context), RefuseImportMeta);
  JS::RealmOptions options;
  options.creationOptions()
      .setSharedMemoryAndAtomicsEnabled(false)
      .setDefineSharedArrayBufferConstructor(false)
      .setWeakRefsEnabled(JS::WeakRefSpecifier::Disabled);
  JS::RootedObject global(context,
                          JS_NewGlobalObject(context, &kGlobalClass, nullptr, JS::FireOnNewGlobalHook, options));
  if (global == nullptr) return nullptr;
  JSAutoRealm realm(context, global);
  JS::SetRealmPrivate(JS::GetCurrentRealmOrNull(context), &scope);
  if (!JS::InitRealmStandardClasses(context) || !RemoveBuiltins(context, global)) return nullptr;
  if (!DefineReadOnly(context, global, "Objectives", GetObjective)) return nullptr;
  if (!DefineReadOnly(context, global, "constants", GetConstant)) return nullptr;
  if (!DefineWhen(context, global)) return nullptr;
  if (scope.tests != nullptr && !TestRecorder::DefineFunctions(context, global)) return nullptr;
  return global;
}

bool ReadObjectiveName(JSContext* context, JSObject* object, ObjectiveName& name) {
  if (JS::GetClass(object) != &kObjectiveClass) return false;
  JS::RootedString text(context, JS::GetReservedSlot(object, kNameSlot).toString());
  if (JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, text)) name.name = utf8.get();
  JS_ClearPendingException(context);
  if (JS::GetReservedSlot(object, kFileSlot).toNumber() != static_cast<double>(ScopeOfCurrentRealm(context).reading))
    return true;
  name.place.line = static_cast<uint32_t>(JS::GetReservedSlot(object, kLineSlot).toNumber());
  name.place.column = static_cast<uint32_t>(JS::GetReservedSlot(object, kColumnSlot).toNumber());
  return true;
}

}  // namespace signalbox::rules
