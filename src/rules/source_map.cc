#include "rules/source_map.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rules/rule_names.h"
#include "rules/source_map_script.h"
#include "rules/spidermonkey.h"

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

SourceNode ReadNode(const Json& json, const SourceLines& lines) {
  SourceNode node;
  if (const auto at = json.find("at"); at != json.end())
    node.place = lines.AtCodePoint(at->at(0).get<uint32_t>(), at->at(1).get<uint32_t>());
  if (const auto keys = json.find("keys"); keys != json.end()) {
    // Each begins with a dot, so that none is special in the script (`__proto__`).
    for (const auto& [key, child] : keys->items()) node.keys.push_back({key.substr(1), ReadNode(child, lines)});
  }
  if (const auto items = json.find("items"); items != json.end()) {
    for (const Json& child : *items) node.items.push_back(ReadNode(child, lines));
  }
  if (const auto last = json.find("last"); last != json.end()) {
    for (const Json& child : *last) node.last_items.push_back(ReadNode(child, lines));
  }
  return node;
}

std::optional<SourceMap> MapByTree(JSContext* context, const SourceLines& lines, bool is_module) {
  const std::optional<std::string> text = RunScript(context, lines.text(), is_module);
  JS_ClearPendingException(context);
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return std::nullopt;
  SourceMap map;
  for (const Json& function : json["functions"]) {
    map.functions.push_back({function["name"].get<std::string>(), ReadNode(function["node"], lines)});
    const Json& at = function["at"];
    map.functions.back().node.place = lines.AtCodePoint(at[0].get<uint32_t>(), at[1].get<uint32_t>());
  }
  map.others = json["others"].get<std::vector<std::string>>();
  if (!json["exported"].is_null()) map.exported = ReadNode(json["exported"]["node"], lines);
  return map;
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// The name that `line` declares as a function or a constant, or nothing.
std::string_view DeclaredName(std::string_view line) {
  TakePrefix(line, "export ");
  TakePrefix(line, "async ");
  const bool is_declaration = TakePrefix(line, "function* ") || TakePrefix(line, "function ") ||
                              TakePrefix(line, "const ") || TakePrefix(line, "let ") || TakePrefix(line, "var ");
  return is_declaration ? line.substr(0, line.find_first_of(" \t(=;")) : std::string_view();
}

SourceMap MapByText(const SourceLines& lines) {
  SourceMap map;
  const std::string_view text = lines.text();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view name = DeclaredName(text.substr(begin, end - begin));
    if (IsRuleName(name)) {
      const Place place = lines.AtByte(static_cast<size_t>(name.data() - text.data()));
      map.functions.push_back({std::string(name), SourceNode{.place = place, .keys = {}, .items = {}}});
    }
    begin = end + 1;
  }
  return map;
}

}  // namespace

SourceMap MapSource(JSContext* context, const SourceLines& lines, bool is_module, size_t& budget_bytes) {
  if (lines.text().size() > budget_bytes) return MapByText(lines);
  budget_bytes -= lines.text().size();
  std::optional<SourceMap> map = MapByTree(context, lines, is_module);
  return map ? *std::move(map) : MapByText(lines);
}

}  // namespace signalbox::rules
