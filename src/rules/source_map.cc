#include "rules/source_map.h"

#include <js/CallAndConstruct.h>
#include <js/CharacterEncoding.h>
#include <js/CompilationAndEvaluation.h>
#include <js/GlobalObject.h>
#include <js/RealmOptions.h>
#include <js/SourceText.h>
#include <js/String.h>
#include <jsapi.h>

#include <nlohmann/json.hpp>

#include "rules/script_error.h"
#include "rules/source_map_script.h"

namespace signalbox::rules {
namespace {

using Json = nlohmann::ordered_json;

const JSClass kGlobalClass = {"SourceMap", JSCLASS_GLOBAL_FLAGS, &JS::DefaultGlobalClassOps, nullptr, nullptr, nullptr};

std::optional<std::string> RunScript(JSContext* context, std::string_view source, bool is_module) {
  JS::RootedObject global(
      context, JS_NewGlobalObject(context, &kGlobalClass, nullptr, JS::FireOnNewGlobalHook, JS::RealmOptions()));
  if (global == nullptr) return std::nullopt;
  JSAutoRealm realm(context, global);
  if (!JS::InitRealmStandardClasses(context) || !JS_InitReflectParse(context, global)) return std::nullopt;

  JS::CompileOptions options(context);
  options.setFileAndLine("source_map.js", 1);
  JS::SourceText<mozilla::Utf8Unit> script;
  JS::RootedValue function(context);
  if (!script.init(context, kSourceMapScript, sizeof(kSourceMapScript) - 1, JS::SourceOwnership::Borrowed) ||
      !JS::Evaluate(context, options, script, &function)) {
    return std::nullopt;
  }
  JS::RootedString text(context, JS_NewStringCopyUTF8N(context, JS::UTF8Chars(source.data(), source.size())));
  JS::RootedString target(context, JS_NewStringCopyZ(context, is_module ? "module" : "script"));
  if (text == nullptr || target == nullptr) return std::nullopt;
  JS::RootedValueArray<2> arguments(context);
  arguments[0].setString(text);
  arguments[1].setString(target);
  JS::RootedValue result(context);
  if (!JS_CallFunctionValue(context, nullptr, function, arguments, &result) || !result.isString()) return std::nullopt;
  JS::RootedString json(context, result.toString());
  JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, json);
  if (utf8 == nullptr) return std::nullopt;
  return utf8.get();
}

SourceNode ReadNode(const Json& json, std::string_view source) {
  SourceNode node;
  if (const auto at = json.find("at"); at != json.end())
    node.place = EditorPlace(source, at->at(0).get<uint32_t>(), at->at(1).get<uint32_t>());
  if (const auto keys = json.find("keys"); keys != json.end()) {
    // Each begins with a dot, so that none is special in the script (`__proto__`).
    for (const auto& [key, child] : keys->items()) node.keys.emplace_back(key.substr(1), ReadNode(child, source));
  }
  if (const auto items = json.find("items"); items != json.end()) {
    for (const Json& child : *items) node.items.push_back(ReadNode(child, source));
  }
  return node;
}

}  // namespace

std::optional<SourceMap> MapSource(JSContext* context, std::string_view source, bool is_module) {
  if (source.size() > kMappedBytesMax) return std::nullopt;
  const std::optional<std::string> text = RunScript(context, source, is_module);
  JS_ClearPendingException(context);
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return std::nullopt;
  SourceMap map;
  for (const Json& function : json["functions"]) {
    map.functions.push_back({function["name"].get<std::string>(), ReadNode(function["node"], source)});
    const Json& at = function["at"];
    map.functions.back().node.place = EditorPlace(source, at[0].get<uint32_t>(), at[1].get<uint32_t>());
  }
  map.others = json["others"].get<std::vector<std::string>>();
  if (!json["exported"].is_null()) map.exported = ReadNode(json["exported"]["node"], source);
  return map;
}

}  // namespace signalbox::rules
