#include "rules/rule_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/string_map.h"
#include "rules/engine.h"
#include "rules/globals.h"
#include "rules/rule_modules.h"
#include "rules/rule_names.h"
#include "rules/script_error.h"
#include "rules/source_map.h"
#include "rules/source_texts.h"
#include "rules/spidermonkey.h"
#include "rules/value_copy.h"

namespace signalbox::rules {
namespace {

constexpr char kWhatIsExpected[] =
    "expected top-level functions named define...Rule that return a rule, or `export default [...]` with rules";

// Of functions and arrays of rules in one another.
constexpr int kLevelsMax = 16;

// What the files of one rule set share.
struct SharedByFiles {
  const SourceTexts& texts;
  std::vector<DeclaredRule>& rules;
  std::vector<Diagnostic>& diagnostics;
  CopyBudget copied = {};
  size_t mapped_bytes = kMappedBytesMax;
};

class RuleFile {
 public:
  RuleFile(JSContext* context, const SourceFile& file, SharedByFiles& shared)
      : context_(context), file_(file), text_(*shared.texts.Find(file.path)), shared_(shared) {}

  // In a global object of its own.
  void RunScript() {
    RealmScope scope{.texts = &shared_.texts, .diagnostics = &shared_.diagnostics, .reading = text_.index};
    scope_ = &scope;
    JS::RootedObject global(context_, NewGlobal(context_, scope));
    if (global == nullptr) return ReportThrown("the file cannot be run", {});
    JSAutoRealm realm(context_, global);
    JS::RootedScript script(context_, Compile());
    if (script == nullptr) return ReportThrown("", {1, 1});
    RunScript(global, script);
  }

  // Takes the rules of a module that has run.
  void CollectModule(RuleModules& modules) {
    scope_ = &modules.scope();
    scope_->reading = text_.index;
    scope_->is_refused = false;
    JSAutoRealm realm(context_, modules.global());
    JS::RootedObject module(context_, modules.Module(text_.index));
    map_ = MapSource(context_, text_.lines, /*is_module=*/true, shared_.mapped_bytes);
    CollectExported(module, modules.IsImported(text_.index));
  }

 private:
  void Report(Place place, std::string message) {
    shared_.diagnostics.push_back({file_.path, place.line, place.column, std::move(message)});
  }

  // `what`: the beginning of the sentence. `fallback`: where to point when the error does not know.
  void ReportThrown(const std::string& what, Place fallback) {
    if (IsStopped(context_)) return;  // whoever stopped it says so
    const std::optional<ScriptError> error = TakeError(context_, shared_.texts);
    if (!error && scope_->is_refused) return;
    ReportError(error, file_.path, what, fallback, shared_.diagnostics);
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

  void RunScript(JS::HandleObject global, JS::HandleScript script) {
    map_ = MapSource(context_, text_.lines, /*is_module=*/false, shared_.mapped_bytes);
    if (!JS_ExecuteScript(context_, script)) return ReportThrown("", {1, 1});
    const std::vector<SourceMap::Function> functions = RuleFunctions(global);
    if (functions.empty()) return ReportNothingFound();
    for (const SourceMap::Function& function : functions) {
      if (IsStopped(context_)) return;
      CallAndCollect(function);
    }
  }

  // Those that the map found, in order, each once, and then what only running the script could show.
  std::vector<SourceMap::Function> RuleFunctions(JS::HandleObject global) {
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
    for (const std::string& name : NamesAtTopLevel(global)) {
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

  std::vector<std::string> NamesAtTopLevel(JS::HandleObject global) {
    std::vector<std::string> names = NamesThatDefine(context_, global);
    JS::RootedObject constants(context_, JS_GlobalLexicalEnvironment(global));
    const std::vector<std::string> more = NamesThatDefine(context_, constants);
    names.insert(names.end(), more.begin(), more.end());
    if (JS_IsExceptionPending(context_)) ReportThrown("", {1, 1});
    return names;
  }

  Place PlaceOfWord(const std::string& name) {
    if (++searches_ > kSearchesMax) return {1, 1};
    const size_t offset = file_.text.find(name);
    return offset == std::string::npos ? Place{1, 1} : text_.lines.AtByte(offset);
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

  // A function or an array whose rules are being collected, and the one that it was found in.
  struct Level {
    JS::HandleObject object;
    const Level* outer;
  };

  // False, and told, where `object` holds itself, or is in too many others.
  bool CanGoInto(const Level& level, const std::string& label, const SourceNode& node) {
    int depth = 1;
    for (const Level* each = level.outer; each != nullptr; each = each->outer, ++depth) {
      if (each->object.get() != level.object.get()) continue;
      Report(node.place, fmt::format("{}: holds itself, expected a rule, an array of rules, or a function that returns "
                                     "one of these; return the rules themselves",
                                     label));
      return false;
    }
    if (depth <= kLevelsMax) return true;
    Report(node.place, fmt::format("{}: functions and arrays of rules are nested more than {} deep; return one array",
                                   label, kLevelsMax));
    return false;
  }

  // A rule, a function that returns one, or an array of both.
  void Collect(JS::HandleValue value, const std::string& label, const SourceNode& node, const Level* outer = nullptr) {
    JS::RootedValue result(context_, value);
    const bool is_function = value.isObject() && JS::IsCallable(&value.toObject());
    JS::RootedObject function(context_, is_function ? &value.toObject() : nullptr);
    const Level of_function = {function, outer};
    if (is_function) {
      if (!CanGoInto(of_function, label, node)) return;
      outer = &of_function;
      if (!JS::Call(context_, JS::UndefinedHandleValue, value, JS::HandleValueArray::empty(), &result))
        return ReportThrown(label, node.place);
    }
    bool is_array = false;
    if (result.isObject()) {
      JS::RootedObject object(context_, &result.toObject());
      if (!JS::IsArrayObject(context_, object, &is_array)) return ReportThrown(label, node.place);
    }
    if (is_array) return CollectItems(result, label, node, outer);
    Copy(result, label, node);
  }

  void CollectItems(JS::HandleValue array, const std::string& label, const SourceNode& node, const Level* outer) {
    JS::RootedObject object(context_, &array.toObject());
    const Level level = {object, outer};
    if (!CanGoInto(level, label, node)) return;
    uint32_t length = 0;
    if (!JS::GetArrayLength(context_, object, &length)) return ReportThrown(label, node.place);
    if (length > kRulesMax) {
      return Report(node.place, fmt::format("{}: {} items, expected at most {} rules", label, length, kRulesMax));
    }
    JS::RootedValue item(context_);
    for (uint32_t i = 0; i < length && !IsStopped(context_) && !shared_.copied.is_spent; ++i) {
      const std::string item_label = fmt::format("{}[{}]", label, i);
      const SourceNode* known = node.ItemAt(i, length);
      SourceNode item_node = known != nullptr ? *known : SourceNode{};
      if (item_node.place.line == 0) item_node.place = node.place;
      if (!JS_GetElement(context_, object, i, &item)) {
        ReportThrown(item_label, item_node.place);
      } else if (item.isObject() && JS::IsCallable(&item.toObject())) {
        Collect(item, item_label, item_node, &level);
      } else {
        Copy(item, item_label, item_node);
      }
    }
  }

  void Copy(JS::HandleValue value, const std::string& label, const SourceNode& node) {
    if (shared_.copied.is_spent) return;  // told already
    std::optional<RuleValue> copy = CopyValue(context_, value, shared_.copied);
    if (!copy) return ReportThrown(label, node.place);
    shared_.rules.push_back({file_.path, label, node, *std::move(copy)});
  }

  // `export default`, or else the exported functions that are named as rules' functions are.
  void CollectExported(JS::HandleObject module, bool is_imported) {
    JS::RootedObject exports(context_, JS::GetModuleNamespace(context_, module));
    JS::RootedValue value(context_);
    if (exports == nullptr || !JS_GetProperty(context_, exports, "default", &value)) return ReportThrown("", {1, 1});
    std::vector<std::string> names = NamesThatDefine(context_, exports);
    if (JS_IsExceptionPending(context_)) return ReportThrown("", {1, 1});
    std::erase_if(names, [](const std::string& name) { return !IsRuleName(name); });
    if (value.isUndefined() && names.empty()) return ReportNoRules(is_imported);
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

  // That is as it should be where others import what the module has, unless somebody forgot a word.
  void ReportNoRules(bool is_imported) {
    if (!is_imported) return Report({1, 1}, fmt::format("this module exports no rule, {}", kWhatIsExpected));
    for (const SourceMap::Function& function : map_.functions) {
      Report(function.node.place,
             fmt::format("{} would be left out: put `export` before it, or, if it is a helper, give it another name",
                         function.name));
    }
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
  const SourceText& text_;
  SharedByFiles& shared_;
  RealmScope* scope_ = nullptr;
  SourceMap map_;
  int searches_ = 0;
};

}  // namespace

void RunRuleFiles(JSContext* context, std::span<const SourceFile> files, std::vector<DeclaredRule>& rules,
                  std::vector<Diagnostic>& diagnostics) {
  const SourceTexts texts(files);
  RuleModules modules(context, files, texts, diagnostics);
  modules.Run();
  SharedByFiles shared{.texts = texts, .rules = rules, .diagnostics = diagnostics};
  for (size_t i = 0; i < files.size() && !IsStopped(context); ++i) {
    if (!files[i].absent.empty()) continue;  // whoever imports it is told
    RuleFile file(context, files[i], shared);
    if (modules.StateOf(i) == RuleModules::State::kScript) file.RunScript();
    if (modules.StateOf(i) == RuleModules::State::kReady) file.CollectModule(modules);
  }
}

}  // namespace signalbox::rules
