// The files of a rule set that are modules: compiled, linked with what they import, and run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "rules/globals.h"
#include "rules/import_graph.h"
#include "rules/rules.h"
#include "rules/source_texts.h"
#include "rules/spidermonkey.h"

namespace signalbox::rules {

// All modules of a rule set share one global object, because modules can only be linked within one. They see of each
// other what they import, and changes of the language's own objects (Array.prototype).
class RuleModules {
 public:
  enum class State : uint8_t {
    kScript,  // no module: to be run as a script
    kReady,   // has run
    kFailed,  // and why has been told, of this file or of one that it imports
  };

  // All of these outlive it. On the stack, as everything that roots. `tests`: where these are files of tests and what
  // they import.
  RuleModules(JSContext* context, std::span<const SourceFile> files, const SourceTexts& texts,
              std::vector<Diagnostic>& diagnostics, TestRecorder* tests = nullptr);

  // Runs every module once, each after those that it imports. Returns early when the engine was stopped.
  void Run();

  State StateOf(size_t file) const { return states_[file]; }
  bool IsImported(size_t file) const { return graph_ && graph_->is_imported(file); }
  // Of one that is ready.
  JSObject* Module(size_t file) const { return modules_[file]; }
  JSObject* global() const { return global_; }
  RealmScope& scope() { return scope_; }

 private:
  static JSObject* OnImport(JSContext* context, JS::HandleValue importer, JS::HandleObject request);

  bool MakeGlobal();
  void Compile(size_t file);
  void CompileModule(size_t file, const JS::ReadOnlyCompileOptions& options);
  void Link();
  void RefuseScripts();
  void RunInOrder();
  void RunModule(size_t file);
  bool CheckEvaluated(size_t file, JS::HandleValue value);
  void ReportLinkError(size_t file);
  void Report(size_t file, Place place, std::string message);
  // Where the error does not know a place, that is the beginning of `file`.
  void ReportThrown(size_t file);

  JSContext* context_;
  std::span<const SourceFile> files_;
  const SourceTexts& texts_;
  std::vector<Diagnostic>& diagnostics_;
  RealmScope scope_;
  std::vector<State> states_;
  std::vector<std::vector<Import>> imports_;
  std::optional<ImportGraph> graph_;
  JS::RootedObject global_;
  JS::RootedVector<JSObject*> modules_;
};

}  // namespace signalbox::rules
