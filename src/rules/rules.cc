#include "rules/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <tuple>

#include "base/status.h"
#include "rules/engine.h"
#include "rules/import_graph.h"
#include "rules/rule_file.h"
#include "rules/rule_reader.h"
#include "rules/rule_set_check.h"
#include "rules/source_lines.h"
#include "rules/source_text.h"

namespace signalbox::rules {

std::string Format(const Diagnostic& diagnostic) {
  if (diagnostic.file.empty()) return diagnostic.message;
  if (diagnostic.line == 0) return fmt::format("{}: {}", diagnostic.file, diagnostic.message);
  return fmt::format("{}:{}:{}: {}", diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.message);
}

namespace {

// What the engine's thread works on. Shared with it, because a thread that does not end is left behind.
struct Job {
  std::vector<SourceFile> files;
  std::vector<DeclaredRule> rules;
  std::vector<Diagnostic> diagnostics;
};

// More help nobody: the first ones are the ones to mend.
constexpr size_t kDiagnosticsMax = 200;

bool IsNamespace(std::string_view name) {
  constexpr size_t kBytesMax = 63;
  if (name.empty() || name.size() > kBytesMax || name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

// Whether the files may be run at all.
std::vector<Diagnostic> CheckFiles(std::string_view namespace_name, std::span<const SourceFile> files,
                                   const Limits& limits) {
  std::vector<Diagnostic> diagnostics;
  if (!IsNamespace(namespace_name)) {
    diagnostics.push_back({"", 0, 0,
                           fmt::format("namespace \"{}\": expected 1 to 63 lower-case letters, digits and '-' that "
                                       "start with a letter",
                                       namespace_name)});
  }
  if (files.size() > limits.files_max) {
    diagnostics.push_back(
        {"", 0, 0, fmt::format("{} files in one rule set, expected at most {}", files.size(), limits.files_max)});
  }
  size_t bytes_total = 0;
  std::set<std::string_view> paths;
  for (const SourceFile& file : files) {
    bytes_total += file.text.size();
    if (!paths.insert(file.path).second) diagnostics.push_back({file.path, 0, 0, "given twice, expected once"});
    if (file.text.size() > limits.source_bytes_max) {
      diagnostics.push_back(
          {file.path, 0, 0, fmt::format("{} bytes, the limit is {}", file.text.size(), limits.source_bytes_max)});
    } else if (IsTestFile(file.path)) {
      diagnostics.push_back({file.path, 0, 0, "a file of tests, which is never part of the rules; leave it out"});
    } else if (const std::optional<Diagnostic> damage = CheckText(file)) {
      diagnostics.push_back(*damage);
    }
  }
  if (bytes_total > limits.source_bytes_total_max) {
    diagnostics.push_back(
        {"", 0, 0,
         fmt::format("{} bytes in all files together, the limit is {}", bytes_total, limits.source_bytes_total_max)});
  }
  return diagnostics;
}

void SortAndShorten(std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (diagnostics.size() <= kDiagnosticsMax) return;
  const size_t left_out = diagnostics.size() - kDiagnosticsMax;
  diagnostics.resize(kDiagnosticsMax);
  diagnostics.push_back({"", 0, 0, fmt::format("... and {} more errors", left_out)});
}

Diagnostic Placed(Diagnostic ended, std::span<const SourceFile> files) {
  for (const SourceFile& file : files) {
    if (file.path != ended.file) continue;
    const Place place = SourceLines(file.text).AtCodePoint(ended.line, ended.column);
    return {file.path, place.line, place.column, std::move(ended.message)};
  }
  return {files.size() == 1 ? files[0].path : "", 0, 0, std::move(ended.message)};
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
