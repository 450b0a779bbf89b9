#include "rules/rules.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"

namespace signalbox::rules {

std::string Format(const Diagnostic& diagnostic) {
  if (diagnostic.file.empty()) return diagnostic.message;
  if (diagnostic.line == 0) return fmt::format("{}: {}", diagnostic.file, diagnostic.message);
  return fmt::format("{}:{}:{}: {}", diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.message);
}

absl::StatusOr<std::vector<SourceFile>> ReadSourceFiles(const std::vector<std::string>& paths, const Limits& limits) {
  std::vector<SourceFile> files;
  absl::Status failure;
  std::string messages;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadFile(path, limits.source_bytes_max);
    if (text.ok()) {
      files.push_back({path, *std::move(text)});
      continue;
    }
    if (failure.ok()) failure = text.status();
    messages += fmt::format("{}{}", messages.empty() ? "" : "\n", Message(text.status()));
  }
  if (!failure.ok()) return absl::Status(failure.code(), messages);
  return files;
}

Evaluation EvaluateWithDiagnostics(std::string_view namespace_name, std::span<const SourceFile>, const Limits&) {
  Evaluation evaluation;
  evaluation.rule_set.set_namespace_(std::string(namespace_name));
  evaluation.diagnostics.push_back({"", 0, 0, "the evaluation of rules is not built yet"});
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
