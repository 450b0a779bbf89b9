#include "rules/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/printable.h"
#include "base/status.h"
#include "rules/engine.h"
#include "rules/import_graph.h"
#include "rules/rule_file.h"
#include "rules/rule_reader.h"
#include "rules/rule_set_check.h"
#include "rules/source_check.h"

namespace signalbox::rules {

// One line, whatever the rules write into ids, keys and errors.
std::string Format(const Diagnostic& diagnostic) {
  const std::string file = EscapeControlCharacters(diagnostic.file);
  const std::string message = EscapeControlCharacters(diagnostic.message);
  if (file.empty()) return message;
  if (diagnostic.line == 0) return fmt::format("{}: {}", file, message);
  return fmt::format("{}:{}:{}: {}", file, diagnostic.line, diagnostic.column, message);
}

namespace {

// What the engine's thread works on. Shared with it, because a thread that does not end is left behind.
struct Job {
  std::vector<SourceFile> files;
  std::vector<DeclaredRule> rules;
  std::vector<Diagnostic> diagnostics;
};

bool IsNamespace(std::string_view name) {
  constexpr size_t kBytesMax = 63;
  if (name.empty() || name.size() > kBytesMax || name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// Whether the files may be run at all.
std::vector<Diagnostic> CheckFiles(std::string_view namespace_name, std::span<const SourceFile> files,
                                   const Limits& limits) {
  std::vector<Diagnostic> diagnostics = CheckSources(files, limits);
  if (!IsNamespace(namespace_name)) {
    diagnostics.push_back({"", 0, 0,
                           fmt::format("namespace \"{}\": expected 1 to 63 lower-case letters, digits and '-' that "
                                       "start with a letter",
                                       namespace_name)});
  }
  for (const SourceFile& file : files) {
    if (IsTestFile(file.path))
      diagnostics.push_back({file.path, 0, 0, "a file of tests, which is never part of the rules; leave it out"});
  }
  return diagnostics;
}

std::vector<DeclaredRule> RunFiles(std::span<const SourceFile> files, const Limits& limits,
                                   std::vector<Diagnostic>& diagnostics) {
  auto job = std::make_shared<Job>();
  job->files.assign(files.begin(), files.end());
  std::optional<Diagnostic> ended = RunWithEngine(
      limits, [job](JSContext* context) { RunRuleFiles(context, job->files, job->rules, job->diagnostics); });
  if (ended) {
    // The job may belong to a thread that was left behind.
    diagnostics.push_back(Placed(*std::move(ended), files));
    return {};
  }
  diagnostics = std::move(job->diagnostics);
  return std::move(job->rules);
}

}  // namespace

Evaluation EvaluateWithDiagnostics(std::string_view namespace_name, std::span<const SourceFile> files,
                                   const Limits& limits) {
  Evaluation evaluation;
  evaluation.diagnostics = CheckFiles(namespace_name, files, limits);
  if (evaluation.diagnostics.empty()) {
    const std::vector<DeclaredRule> rules = RunFiles(files, limits, evaluation.diagnostics);
    RuleSetDraft draft;
    draft.is_incomplete = !evaluation.diagnostics.empty();
    for (const DeclaredRule& rule : rules) ReadRule(rule, draft, evaluation.diagnostics);
    evaluation.rule_set = CheckRuleSet(namespace_name, std::move(draft), evaluation.diagnostics);
  }
  SortAndShorten(evaluation.diagnostics);
  return evaluation;
}

absl::StatusOr<v1::RuleSet> Evaluate(std::string_view namespace_name, std::span<const SourceFile> files,
                                     const Limits& limits) {
  Evaluation evaluation = EvaluateWithDiagnostics(namespace_name, files, limits);
  if (evaluation.diagnostics.empty()) return std::move(evaluation.rule_set);
  std::string messages;
  for (const Diagnostic& diagnostic : evaluation.diagnostics) {
    messages += fmt::format("{}{}", messages.empty() ? "" : "\n", Format(diagnostic));
  }
  return absl::InvalidArgumentError(messages);
}

}  // namespace signalbox::rules
