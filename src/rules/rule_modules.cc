#include "rules/rule_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rules/engine.h"
#include "rules/requested_modules.h"
#include "rules/script_error.h"
#include "rules/suggestion.h"

namespace signalbox::rules {
namespace {

// Only modules may say these things, so a file that says one of them is a module.
bool IsOfModule(unsigned number) {
  return number == JSMSG_EXPORT_DECL_AT_TOP_LEVEL || number == JSMSG_IMPORT_DECL_AT_TOP_LEVEL ||
         number == JSMSG_IMPORT_META_OUTSIDE_MODULE || number == JSMSG_AWAIT_OUTSIDE_ASYNC_OR_MODULE;
}

// The engine's words for a name that is imported and not exported; the name comes behind them.
constexpr std::string_view kMissingName = "SyntaxError: import not found: ";
constexpr std::string_view kMissingReexport = "SyntaxError: indirect export not found: ";

void AppendExports(JSContext* context, JS::HandleObject module, std::vector<std::string>& names) {
  JS::RootedObject exports(context, JS::GetModuleNamespace(context, module));
  JS::Rooted<JS::IdVector> ids(context, JS::IdVector(context));
  bool could_read = exports != nullptr && JS_Enumerate(context, exports, &ids);
  for (size_t i = 0; could_read && i < ids.length(); ++i) {
    if (!ids[i].isString()) continue;
    JS::RootedString key(context, ids[i].toString());
    JS::UniqueChars utf8 = JS_EncodeStringToUTF8(context, key);
    could_read = utf8 != nullptr;
    if (could_read) names.emplace_back(utf8.get());
  }
  if (!could_read) JS_ClearPendingException(context);
}

}  // namespace

RuleModules::RuleModules(JSContext* context, std::span<const SourceFile> files, const SourceTexts& texts,
                         std::vector<Diagnostic>& diagnostics, TestRecorder* tests)
    : context_(context),
      files_(files),
      texts_(texts),
      diagnostics_(diagnostics),
      scope_{.texts = &texts, .diagnostics = &diagnostics, .modules = this, .tests = tests},
      states_(files.size(), State::kScript),
      imports_(files.size()),
      global_(context),
      modules_(context) {}

void RuleModules::Run() {
  const bool has_modules =
      std::any_of(files_.begin(), files_.end(), [](const SourceFile& file) { return MayBeModule(file); });
  if (!has_modules || !MakeGlobal()) return;
  JSAutoRealm realm(context_, global_);
  JS::SetModuleResolveHook(JS_GetRuntime(context_), OnImport);
  for (size_t file = 0; file < files_.size() && !IsStopped(context_); ++file) {
    if (MayBeModule(files_[file])) Compile(file);
  }
  if (IsStopped(context_)) return;
  Link();
  RunInOrder();
}

bool RuleModules::MakeGlobal() {
  global_ = NewGlobal(context_, scope_);
  if (global_ != nullptr && modules_.resize(files_.size())) return true;
  // What is not ready cannot be asked for its rules.
  std::fill(states_.begin(), states_.end(), State::kFailed);
  ReportThrown(0);
  return false;
}

void RuleModules::Report(size_t file, Place place, std::string message) {
  diagnostics_.push_back({files_[file].path, place.line, place.column, std::move(message)});
}

void RuleModules::ReportThrown(size_t file) {
  if (IsStopped(context_)) return;  // whoever stopped it says so
  const std::optional<ScriptError> error = TakeError(context_, texts_);
  if (error || !scope_.is_refused) ReportError(error, files_[file].path, "", {1, 1}, diagnostics_);
}

// First as a script, because a module reads the same text more strictly.
void RuleModules::Compile(size_t file) {
  JS::CompileOptions options(context_);
  options.setFileAndLine(files_[file].path.c_str(), 1);
  if (IsTestFile(files_[file].path)) return CompileModule(file, options);
  JS::SourceText<mozilla::Utf8Unit> text;
  if (text.init(context_, files_[file].text.data(), files_[file].text.size(), JS::SourceOwnership::Borrowed) &&
      JS::Compile(context_, options, text) != nullptr) {
    return;
  }
  const std::optional<ScriptError> error = TakeError(context_, texts_);
  if (error && IsOfModule(error->number)) CompileModule(file, options);
}

void RuleModules::CompileModule(size_t file, const JS::ReadOnlyCompileOptions& options) {
  states_[file] = State::kFailed;
  JS::SourceText<mozilla::Utf8Unit> text;
  JS::RootedObject module(context_);
  if (text.init(context_, files_[file].text.data(), files_[file].text.size(), JS::SourceOwnership::Borrowed))
    module = JS::CompileModule(context_, options, text);
  if (module == nullptr || !ReadImports(context_, module, texts_.Find(files_[file].path)->lines, imports_[file]))
    return ReportThrown(file);
  JS::SetModulePrivate(module, JS::NumberValue(static_cast<uint32_t>(file)));
  modules_[file].set(module);
  states_[file] = State::kReady;
}

void RuleModules::Link() {
  graph_.emplace(files_, std::move(imports_));
  diagnostics_.insert(diagnostics_.end(), graph_->problems().begin(), graph_->problems().end());
  RefuseScripts();
}

// A script exports nothing, and to run it as a module would lose the rules that it declares.
void RuleModules::RefuseScripts() {
  for (size_t file = 0; file < files_.size(); ++file) {
    if (states_[file] != State::kScript || !graph_->is_imported(file) || !files_[file].absent.empty()) continue;
    Report(file, {1, 1}, "is imported by another file and exports nothing; put `export` before what others are to use");
    states_[file] = State::kFailed;
  }
}

void RuleModules::RunInOrder() {
  for (const size_t file : graph_->order()) {
    if (states_[file] != State::kReady) continue;
    const std::vector<size_t>& targets = graph_->targets(file);
    const bool can_run = !graph_->is_broken(file) && std::all_of(targets.begin(), targets.end(), [&](size_t target) {
      return states_[target] == State::kReady;
    });
    if (!can_run) {
      states_[file] = State::kFailed;  // told already
      continue;
    }
    RunModule(file);
    if (IsStopped(context_)) return;
  }
}

void RuleModules::RunModule(size_t file) {
  JS::RootedObject module(context_, modules_[file]);
  states_[file] = State::kFailed;
  scope_.is_refused = false;
  if (!JS::ModuleInstantiate(context_, module)) return ReportLinkError(file);
  JS::RootedValue promise(context_);
  if (!JS::ModuleEvaluate(context_, module, &promise)) return ReportThrown(file);
  if (CheckEvaluated(file, promise)) states_[file] = State::kReady;
}

bool RuleModules::CheckEvaluated(size_t file, JS::HandleValue value) {
  JS::RootedObject promise(context_, value.isObject() ? &value.toObject() : nullptr);
  if (promise == nullptr || !JS::IsPromiseObject(promise)) return true;
  switch (JS::GetPromiseState(promise)) {
    case JS::PromiseState::Fulfilled:
      return true;
    case JS::PromiseState::Pending:
      if (IsStopped(context_)) return false;
      Report(file, {1, 1}, "the file waits (`await` at its top level): rules cannot wait for anything");
      return false;
    case JS::PromiseState::Rejected:
      JS::SetSettledPromiseIsHandled(context_, promise);
      JS::RootedValue reason(context_, JS::GetPromiseResult(promise));
      JS_SetPendingException(context_, reason);
      ReportThrown(file);
      return false;
  }
  return false;
}

void RuleModules::ReportLinkError(size_t file) {
  if (IsStopped(context_)) return;
  std::optional<ScriptError> error = TakeError(context_, texts_);
  for (const std::string_view words : {kMissingName, kMissingReexport}) {
    if (!error || !error->message.starts_with(words)) continue;
    std::vector<std::string> exported;
    JS::RootedObject target(context_);
    for (const size_t other : graph_->targets(file)) {
      target = modules_[other];
      AppendExports(context_, target, exported);
    }
    const std::string name = error->message.substr(words.size());
    std::string hint = DidYouMean(name, exported);
    constexpr size_t kShownMax = 20;
    if (exported.size() > kShownMax) exported.resize(kShownMax);
    if (hint.empty())
      hint = exported.empty() ? "; there are no exports" : fmt::format("; exported are {}", fmt::join(exported, ", "));
    const std::vector<size_t>& targets = graph_->targets(file);
    const std::string who = targets.size() == 1 ? files_[targets[0]].path : "none of the files that are imported here";
    ++error->place.column;  // alone of all errors, this one has a column from 0 and no line of text
    error->message = fmt::format("import: \"{}\" is not exported by {}{}", name, who, hint);
    break;
  }
  ReportError(error, files_[file].path, "", {1, 1}, diagnostics_);
}

JSObject* RuleModules::OnImport(JSContext* context, JS::HandleValue importer, JS::HandleObject request) {
  const RealmScope& scope = ScopeOfCurrentRealm(context);
  JS::RootedString specifier(context, JS::GetModuleRequestSpecifier(context, request));
  JS::UniqueChars utf8 = specifier ? JS_EncodeStringToUTF8(context, specifier) : nullptr;
  if (utf8 == nullptr) return nullptr;
  const RuleModules* modules = scope.modules;
  if (modules != nullptr && importer.isNumber()) {
    const size_t target = modules->graph_->Target(static_cast<size_t>(importer.toNumber()), utf8.get());
    if (target < modules->files_.size() && modules->modules_[target] != nullptr) return modules->modules_[target];
  }
  JS_ReportErrorUTF8(context, "import: there is no file '%s'", utf8.get());
  return nullptr;
}

}  // namespace signalbox::rules
