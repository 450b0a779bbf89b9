#include "rules/rule_file.h"

#include <fmt/format.h>
#include <js/Array.h>
#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/Modules.h>
#include <js/Promise.h>
#include <js/PropertyAndElement.h>
#include <js/SourceText.h>
#include <js/friend/ErrorMessages.h>
#include <jsapi.h>

#include <algorithm>

#include "rules/engine.h"
#include "rules/globals.h"
#include "rules/script_error.h"
#include "rules/source_map.h"

namespace signalbox::rules {
namespace {

constexpr char kWhatIsExpected[] =
    "expected top-level functions named define...Rule that return a rule, or `export default [...]` with rules";

class RuleFile {
 public:
  RuleFile(JSContext* context, const SourceFile& file, CopyBudget& budget, std::vector<DeclaredRule>& rules,
           std::vector<Diagnostic>& diagnostics)
      : context_(context),
        file_(file),
        scope_{file.path, file.text},
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
    if (const std::optional<ScriptError> error = TakeError(context_, file_.path, file_.text))
      Report(*error, what, fallback);
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
    const std::optional<ScriptError> error = TakeError(context_, file_.path, file_.text);
    if (!error) return;
    if (!IsOfModule(error->number)) return Report(*error, "", {1, 1});
    RunModule();
  }

  void RunScript(JS::HandleScript script) {
    map_ = MapSource(context_, file_.text, /*is_module=*/false);
    if (!JS_ExecuteScript(context_, script)) return ReportThrown("", {1, 1});
    std::vector<SourceMap::Function> functions = map_ ? map_->functions : FunctionsOfGlobal();
    if (functions.empty()) return ReportNothingFound();
    ReportNamesakes(functions);
    for (const SourceMap::Function& function : functions) {
      CallAndCollect(function);
      if (IsStopped(context_)) return;
    }
  }

  // Without a map: `function` declarations are properties of the global object, in order; `const` ones stay unseen.
  std::vector<SourceMap::Function> FunctionsOfGlobal() {
    std::vector<SourceMap::Function> functions;
    JS::Rooted<JS::IdVector> ids(context_, JS::IdVector(context_));
    if (!JS_Enumerate(context_, global_, &ids)) {
      ReportThrown("", {1, 1});
      return {};
    }
    for (size_t i = 0; i < ids.length(); ++i) {
      if (!ids[i].isString()) continue;
      JS::RootedString key(context_, ids[i].toString());
      JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context_, key);
      const std::string name = utf8 ? utf8.get() : "";
      if (name.starts_with("define") && (name.ends_with("Rule") || name.ends_with("Rules")))
        functions.push_back({name, SourceNode{.place = {1, 1}, .keys = {}, .items = {}}});
    }
    return functions;
  }

  void ReportNothingFound() {
    std::string found;
    if (map_ && !map_->others.empty())
      found = fmt::format("; its functions are named {}", fmt::join(map_->others, ", "));
    Report({1, 1}, fmt::format("declares no rule, {}{}", kWhatIsExpected, found));
  }

  void ReportNamesakes(const std::vector<SourceMap::Function>& functions) {
    for (size_t i = 0; i < functions.size(); ++i) {
      const auto first = std::find_if(functions.begin(), functions.end(),
                                      [&](const auto& other) { return other.name == functions[i].name; });
      if (first == functions.begin() + static_cast<ptrdiff_t>(i)) continue;
      Report(functions[i].node.place,
             fmt::format("{} is declared twice, first at {}:{}:{}; rename one of them", functions[i].name, file_.path,
                         first->node.place.line, first->node.place.column));
    }
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
    for (uint32_t i = 0; i < length && !IsStopped(context_); ++i) {
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
    std::optional<RuleValue> copy = CopyValue(context_, value, budget_);
    if (!copy) return ReportThrown(label, node.place);
    rules_.push_back({file_.path, label, node, *std::move(copy)});
  }

  void RunModule() {
    JS::CompileOptions options(context_);
    options.setFileAndLine(file_.path.c_str(), 1);
    JS::SourceText<mozilla::Utf8Unit> text;
    JS::RootedObject module(context_, Text(text) ? JS::CompileModule(context_, options, text) : nullptr);
    if (module == nullptr) return ReportThrown("", {1, 1});
    map_ = MapSource(context_, file_.text, /*is_module=*/true);
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
    if (requested == nullptr || !JS::GetArrayLength(context_, requested, &length)) return true;
    JS::RootedValue request(context_);
    for (uint32_t i = 0; i < length; ++i) {
      if (!JS_GetElement(context_, requested, i, &request)) return true;
      uint32_t line = 0;
      uint32_t column = 0;
      JS::GetRequestedModuleSourcePos(context_, request, &line, &column);
      Report(EditorPlace(file_.text, line, column),
             "rule files cannot import; `Objectives` and `constants` are there already, and all files that are given "
             "together make one rule set");
    }
    return length > 0;
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

  void CollectExported(JS::HandleObject module) {
    JS::RootedObject exports(context_, JS::GetModuleNamespace(context_, module));
    JS::RootedValue value(context_);
    if (exports == nullptr || !JS_GetProperty(context_, exports, "default", &value)) return ReportThrown("", {1, 1});
    if (value.isUndefined()) return Report({1, 1}, fmt::format("this module has no rules, {}", kWhatIsExpected));
    SourceNode node = map_ && map_->exported ? *map_->exported : SourceNode{};
    if (node.place.line == 0) node.place = {1, 1};
    Collect(value, "export default", node);
  }

  static constexpr uint32_t kRulesMax = 100'000;

  JSContext* context_;
  const SourceFile& file_;
  FileScope scope_;
  CopyBudget& budget_;
  std::vector<DeclaredRule>& rules_;
  std::vector<Diagnostic>& diagnostics_;
  std::optional<SourceMap> map_;
  JS::RootedObject global_;
};

}  // namespace

void RunRuleFile(JSContext* context, const SourceFile& file, CopyBudget& budget, std::vector<DeclaredRule>& rules,
                 std::vector<Diagnostic>& diagnostics) {
  RuleFile(context, file, budget, rules, diagnostics).Run();
}

}  // namespace signalbox::rules
