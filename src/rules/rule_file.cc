#include "rules/rule_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/string_map.h"
#include "rules/engine.h"
#include "rules/globals.h"
#include "rules/rule_names.h"
#include "rules/script_error.h"
#include "rules/source_map.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {
namespace {

constexpr char kWhatIsExpected[] =
    "expected top-level functions named define...Rule that return a rule, or `export default [...]` with rules";

class RuleFile {
 public:
  RuleFile(JSContext* context, const SourceFile& file, RunBudget& budget, std::vector<DeclaredRule>& rules,
           std::vector<Diagnostic>& diagnostics)
      : context_(context),
        file_(file),
        scope_{file.path, SourceLines(file.text)},
        budget_(budget),
        rules_(rules),
        diagnostics_(diagnostics),
        global_(context, NewFileGlobal(context, scope_)) {}

  void Run() {
    if (global_ == nullptr) return ReportThrown("the file cannot be run", {});
    JSAutoRealm realm(context_, global_);
    JS::RootedScript script(context_, Compile());
    if (script == nullptr) return ReportOrRunAsModule();
    RunScript(script);
  }

 private:
  void Report(Place place, std::string message) {
    diagnostics_.push_back({file_.path, place.line, place.column, std::move(message)});
  }

  // `what`: the beginning of the sentence. `fallback`: where to point when the error does not know.
  void ReportThrown(const std::string& what, Place fallback) {
    if (IsStopped(context_)) return;  // whoever stopped it says so
    const std::optional<ScriptError> error = TakeError(context_, file_.path, scope_.lines);
    Report(error.value_or(ScriptError{.message = "the engine gave up without a reason", .place = {}}), what, fallback);
  }
  void Report(const ScriptError& error, const std::string& what, Place fallback) {
    Report(error.place.line != 0 ? error.place : fallback,
           what.empty() ? error.message : fmt::format("{}: {}", what, error.message));
  }

  bool Text(JS::SourceText<mozilla::Utf8Unit>& text) {
    return text.init(context_, file_.text.data(), file_.text.size(), JS::SourceOwnership::Borrowed);
  }

  JSScript* Compile() {
    JS::CompileOptions options(context_);
    options.setFileAndLine(file_.path.c_str(), 1);
    JS::SourceText<mozilla::Utf8Unit> text;
    return Text(text) ? JS::Compile(context_, options, text) : nullptr;
  }

  // Only modules may say these things, so a file that says one of them is a module.
  static bool IsOfModule(unsigned number) {
    return number == JSMSG_EXPORT_DECL_AT_TOP_LEVEL || number == JSMSG_IMPORT_DECL_AT_TOP_LEVEL ||
           number == JSMSG_IMPORT_META_OUTSIDE_MODULE || number == JSMSG_AWAIT_OUTSIDE_ASYNC_OR_MODULE;
  }

  void ReportOrRunAsModule() {
    const std::optional<ScriptError> error = TakeError(context_, file_.path, scope_.lines);
    if (!error) return;
    if (!IsOfModule(error->number)) return Report(*error, "", {1, 1});
    RunModule();
  }

  void RunScript(JS::HandleScript script) {
    map_ = MapSource(context_, scope_.lines, /*is_module=*/false, budget_.mapped_bytes);
    if (!JS_ExecuteScript(context_, script)) return ReportThrown("", {1, 1});
    const std::vector<SourceMap::Function> functions = RuleFunctions();
    if (functions.empty()) return ReportNothingFound();
    for (const SourceMap::Function& function : functions) {
      if (IsStopped(context_)) return;
      CallAndCollect(function);
    }
  }

  // Those that the map found, in order, each once, and then what only running the script could show.
  std::vector<SourceMap::Function> RuleFunctions() {
    std::vector<SourceMap::Function> functions;
    StringMap<Place> places;
    for (const SourceMap::Function& function : map_.functions) {
      const auto [first, is_new] = places.try_emplace(function.name, function.node.place);
      if (is_new) {
        functions.push_back(function);
        continue;
      }
      Report(function.node.place, fmt::format("{} is declared twice, first at {}:{}:{}; rename one of them",
                                              function.name, file_.path, first->second.line, first->second.column));
    }
    for (const std::string& name : NamesAtTopLevel()) {
      if (places.contains(name)) continue;
      const Place place = PlaceOfWord(name);
      if (IsRuleName(name)) {
        functions.push_back({name, SourceNode{.place = place, .keys = {}, .items = {}}});
      } else if (IsFunctionWithoutParameters(name)) {
        Report(place, fmt::format("{} would be left out: the name of a rule's function is define...Rule, of letters, "
                                  "digits, '_' and '$'; a helper's does not begin with define, or has parameters",
                                  name));
      }
    }
    return functions;
  }

  std::vector<std::string> NamesAtTopLevel() {
    std::vector<std::string> names = NamesThatDefine(context_, global_);
    JS::RootedObject constants(context_, JS_GlobalLexicalEnvironment(global_));
    const std::vector<std::string> more = NamesThatDefine(context_, constants);
    names.insert(names.end(), more.begin(), more.end());
    if (JS_IsExceptionPending(context_)) ReportThrown("", {1, 1});
    return names;
  }

  Place PlaceOfWord(const std::string& name) {
    if (++searches_ > kSearchesMax) return {1, 1};
    const size_t offset = file_.text.find(name);
    return offset == std::string::npos ? Place{1, 1} : scope_.lines.AtByte(offset);
  }

  bool IsFunctionWithoutParameters(const std::string& name) {
    JS::RootedValue value(context_);
    if (!Lookup(name, &value)) JS_ClearPendingException(context_);
    if (!value.isObject() || !JS::IsCallable(&value.toObject())) return false;
    JS::RootedFunction function(context_, JS_ValueToFunction(context_, value));
    uint16_t parameters = 0;
    const bool is_known = function && JS_GetFunctionLength(context_, function, &parameters);
    JS_ClearPendingException(context_);
    return is_known && parameters == 0;
  }

  void ReportNothingFound() {
    const std::string found =
        map_.others.empty() ? "" : fmt::format("; its functions are named {}", fmt::join(map_.others, ", "));
    Report({1, 1}, fmt::format("declares no rule, {}{}", kWhatIsExpected, found));
  }

  void CallAndCollect(const SourceMap::Function& function) {
    JS::RootedValue value(context_);
    if (!Lookup(function.name, &value)) return ReportThrown(function.name, function.node.place);
    Collect(value, function.name, function.node);
  }

  // A `const` is no property of the global object, so the name is evaluated. It holds letters, digits, '_' and '$'
  // only.
  bool Lookup(const std::string& name, JS::MutableHandleValue value) {
    JS::CompileOptions options(context_);
    options.setFileAndLine("", 1);
    JS::SourceText<mozilla::Utf8Unit> text;
    return text.init(context_, name.data(), name.size(), JS::SourceOwnership::Borrowed) &&
           JS::Evaluate(context_, options, text, value);
  }

  // A rule, a function that returns one, or an array of both.
  void Collect(JS::HandleValue value, const std::string& label, const SourceNode& node) {
    JS::RootedValue result(context_, value);
    if (value.isObject() && JS::IsCallable(&value.toObject())) {
      if (!JS::Call(context_, JS::UndefinedHandleValue, value, JS::HandleValueArray::empty(), &result))
        return ReportThrown(label, node.place);
    }
    bool is_array = false;
    if (result.isObject()) {
      JS::RootedObject object(context_, &result.toObject());
      if (!JS::IsArrayObject(context_, object, &is_array)) return ReportThrown(label, node.place);
    }
    if (is_array) return CollectItems(result, label, node);
    Copy(result, label, node);
  }

  void CollectItems(JS::HandleValue array, const std::string& label, const SourceNode& node) {
    JS::RootedObject object(context_, &array.toObject());
    uint32_t length = 0;
    if (!JS::GetArrayLength(context_, object, &length)) return ReportThrown(label, node.place);
    if (length > kRulesMax) {
      return Report(node.place, fmt::format("{}: {} items, expected at most {} rules", label, length, kRulesMax));
    }
    JS::RootedValue item(context_);
    for (uint32_t i = 0; i < length && !IsStopped(context_) && !budget_.copied.is_spent; ++i) {
      const std::string item_label = fmt::format("{}[{}]", label, i);
      SourceNode item_node = i < node.items.size() ? node.items[i] : SourceNode{};
      if (item_node.place.line == 0) item_node.place = node.place;
      if (!JS_GetElement(context_, object, i, &item)) {
        ReportThrown(item_label, item_node.place);
      } else if (item.isObject() && JS::IsCallable(&item.toObject())) {
        Collect(item, item_label, item_node);
      } else {
        Copy(item, item_label, item_node);
      }
    }
  }

  void Copy(JS::HandleValue value, const std::string& label, const SourceNode& node) {
    if (budget_.copied.is_spent) return;  // told already
    std::optional<RuleValue> copy = CopyValue(context_, value, budget_.copied);
    if (!copy) return ReportThrown(label, node.place);
    rules_.push_back({file_.path, label, node, *std::move(copy)});
  }

  void RunModule() {
    JS::CompileOptions options(context_);
    options.setFileAndLine(file_.path.c_str(), 1);
    JS::SourceText<mozilla::Utf8Unit> text;
    JS::RootedObject module(context_, Text(text) ? JS::CompileModule(context_, options, text) : nullptr);
    if (module == nullptr) return ReportThrown("", {1, 1});
    map_ = MapSource(context_, scope_.lines, /*is_module=*/true, budget_.mapped_bytes);
    if (RefuseImports(module)) return;
    JS::RootedValue promise(context_);
    if (!JS::ModuleInstantiate(context_, module) || !JS::ModuleEvaluate(context_, module, &promise))
      return ReportThrown("", {1, 1});
    if (!CheckEvaluated(promise)) return;
    CollectExported(module);
  }

  bool RefuseImports(JS::HandleObject module) {
    JS::RootedObject requested(context_, JS::GetRequestedModules(context_, module));
    uint32_t length = 0;
    bool could_read = requested != nullptr && JS::GetArrayLength(context_, requested, &length);
    JS::RootedValue request(context_);
    for (uint32_t i = 0; could_read && i < length; ++i) {
      could_read = JS_GetElement(context_, requested, i, &request);
      if (!could_read) break;
      uint32_t line = 0;
      uint32_t column = 0;
      JS::GetRequestedModuleSourcePos(context_, request, &line, &column);
      Report(scope_.lines.AtCodePoint(line, column),
             "rule files cannot import; `Objectives` and `constants` are there already, and all files that are given "
             "together make one rule set");
    }
    if (!could_read) ReportThrown("", {1, 1});
    return !could_read || length > 0;
  }

  bool CheckEvaluated(JS::HandleValue value) {
    JS::RootedObject promise(context_, value.isObject() ? &value.toObject() : nullptr);
    if (promise == nullptr || !JS::IsPromiseObject(promise)) return true;
    switch (JS::GetPromiseState(promise)) {
      case JS::PromiseState::Fulfilled:
        return true;
      case JS::PromiseState::Pending:
        Report({1, 1}, "the file waits (`await` at its top level): rules cannot wait for anything");
        return false;
      case JS::PromiseState::Rejected:
        JS::SetSettledPromiseIsHandled(context_, promise);
        JS::RootedValue reason(context_, JS::GetPromiseResult(promise));
        JS_SetPendingException(context_, reason);
        ReportThrown("", {1, 1});
        return false;
    }
    return false;
  }

  // `export default`, or else the exported functions that are named as rules' functions are.
  void CollectExported(JS::HandleObject module) {
    JS::RootedObject exports(context_, JS::GetModuleNamespace(context_, module));
    JS::RootedValue value(context_);
    if (exports == nullptr || !JS_GetProperty(context_, exports, "default", &value)) return ReportThrown("", {1, 1});
    std::vector<std::string> names = NamesThatDefine(context_, exports);
    if (JS_IsExceptionPending(context_)) return ReportThrown("", {1, 1});
    std::erase_if(names, [](const std::string& name) { return !IsRuleName(name); });
    if (value.isUndefined() && names.empty())
      return Report({1, 1}, fmt::format("this module exports no rule, {}", kWhatIsExpected));
    if (value.isUndefined()) return CollectExported(exports, names);
    SourceNode node = map_.exported ? *map_.exported : SourceNode{};
    if (node.place.line == 0) node.place = {1, 1};
    if (!names.empty()) {
      return Report(node.place,
                    fmt::format("there is `export default`, and there is exported {}; put all rules into one "
                                "of the two forms",
                                fmt::join(names, ", ")));
    }
    Collect(value, "export default", node);
  }

  // A module's exports are sorted by name; rules stand in the order of the text.
  void CollectExported(JS::HandleObject exports, const std::vector<std::string>& names) {
    std::vector<SourceMap::Function> functions;
    for (const std::string& name : names) {
      const auto mapped = std::find_if(map_.functions.begin(), map_.functions.end(),
                                       [&](const auto& function) { return function.name == name; });
      functions.push_back(mapped != map_.functions.end()
                              ? *mapped
                              : SourceMap::Function{name, {.place = PlaceOfWord(name), .keys = {}, .items = {}}});
    }
    std::stable_sort(functions.begin(), functions.end(), [](const auto& a, const auto& b) {
      return std::tie(a.node.place.line, a.node.place.column) < std::tie(b.node.place.line, b.node.place.column);
    });
    JS::RootedValue value(context_);
    for (const SourceMap::Function& function : functions) {
      if (!JS_GetProperty(context_, exports, function.name.c_str(), &value)) {
        ReportThrown(function.name, function.node.place);
      } else {
        Collect(value, function.name, function.node);
      }
      if (IsStopped(context_)) return;
    }
  }

  // Each walks through the text.
  static constexpr int kSearchesMax = 1000;
  static constexpr uint32_t kRulesMax = 100'000;

  JSContext* context_;
  const SourceFile& file_;
  FileScope scope_;
  RunBudget& budget_;
  std::vector<DeclaredRule>& rules_;
  std::vector<Diagnostic>& diagnostics_;
  SourceMap map_;
  int searches_ = 0;
  JS::RootedObject global_;
};

}  // namespace

void RunRuleFile(JSContext* context, const SourceFile& file, RunBudget& budget, std::vector<DeclaredRule>& rules,
                 std::vector<Diagnostic>& diagnostics) {
  RuleFile(context, file, budget, rules, diagnostics).Run();
}

}  // namespace signalbox::rules
