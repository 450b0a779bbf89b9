#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/rule_folder.h"
#include "cli/rule_set_source.h"
#include "cli/rule_set_text.h"
#include "cli/rules_subcommands.h"
#include "effect/lint.h"
#include "rules/rules.h"

namespace signalbox::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> files;
  RuleSetSources sources;
  std::string against;
  std::string at;
  bool strict = false;
  bool json = false;
};

std::string Count(size_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

rules::Diagnostic Diagnosed(const effect::Warning& warning) {
  return {warning.place.file(), warning.place.line(), warning.place.column(), warning.message};
}

nlohmann::ordered_json ToJson(const rules::Diagnostic& diagnostic) {
  return {{"file", diagnostic.file},
          {"line", diagnostic.line},
          {"column", diagnostic.column},
          {"message", diagnostic.message}};
}

// What is hardly meant. `rules` has no errors by itself; what compiling it finds is the error.
absl::StatusOr<std::vector<effect::Warning>> WarningsOf(const CheckOptions& options, const v1::RuleSet& rules) {
  ASSIGN_OR_RETURN(const int64_t at, ReadTime(options.at));
  v1::PublishedRuleSet after;
  *after.mutable_rule_set() = rules;
  ASSIGN_OR_RETURN(const auto snapshot, Compile(after));
  std::vector<effect::Warning> warnings = effect::Lint(*snapshot, at);
  if (options.against.empty()) return warnings;
  ASSIGN_OR_RETURN(const v1::PublishedRuleSet before, ReadRuleSet(options.sources, options.against));
  // What operators have set of shifts stays when rules are published.
  *after.mutable_traffic() = before.traffic();
  for (effect::Warning& warning : effect::LintAgainst(before, after, at)) warnings.push_back(std::move(warning));
  effect::Sort(warnings);
  return warnings;
}

// One JSON document for editors and CI: {"ok", "namespace", "diagnostics": [...], "warnings": [...], "rule_set":
// {...}}.
std::string CheckAsJson(const std::string& namespace_name, const rules::Evaluation& evaluation,
                        const std::vector<effect::Warning>& warnings, const std::string& rule_set_json) {
  nlohmann::ordered_json report;
  report["ok"] = evaluation.diagnostics.empty();
  report["namespace"] = namespace_name;
  report["diagnostics"] = nlohmann::ordered_json::array();
  for (const rules::Diagnostic& diagnostic : evaluation.diagnostics)
    report["diagnostics"].push_back(ToJson(diagnostic));
  report["warnings"] = nlohmann::ordered_json::array();
  report["notes"] = nlohmann::ordered_json::array();
  for (const effect::Warning& warning : warnings)
    report[warning.is_note ? "notes" : "warnings"].push_back(ToJson(Diagnosed(warning)));
  if (evaluation.diagnostics.empty()) report["rule_set"] = nlohmann::ordered_json::parse(rule_set_json);
  return report.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

int Check(const CheckOptions& options) {
  const absl::StatusOr<std::vector<std::string>> given = RuleFilesOf(options.files);
  if (!given.ok()) return FailToCompare(given.status(), options.json);
  absl::StatusOr<std::vector<rules::SourceFile>> files = rules::ReadSourceFiles(*given);
  if (!files.ok()) return FailToCompare(files.status(), options.json);
  rules::Evaluation evaluation = rules::EvaluateWithDiagnostics(options.sources.namespace_name, *files);
  absl::StatusOr<std::string> json = options.json ? CanonicalJson(evaluation.rule_set) : "";
  if (!json.ok()) return FailToCompare(json.status(), options.json);
  std::vector<effect::Warning> warnings;
  if (evaluation.diagnostics.empty()) {
    absl::StatusOr<std::vector<effect::Warning>> found = WarningsOf(options, evaluation.rule_set);
    if (!found.ok()) return FailToCompare(found.status(), options.json);
    warnings = *std::move(found);
  }
  const auto warning_count = static_cast<size_t>(
      std::count_if(warnings.begin(), warnings.end(), [](const effect::Warning& warning) { return !warning.is_note; }));
  const bool is_good = evaluation.diagnostics.empty() && (!options.strict || warning_count == 0);
  if (options.json) {
    fmt::print("{}\n", CheckAsJson(options.sources.namespace_name, evaluation, warnings, *json));
    return is_good ? 0 : 1;
  }
  for (const rules::Diagnostic& diagnostic : evaluation.diagnostics)
    fmt::print(stderr, "{}\n", rules::Format(diagnostic));
  for (const effect::Warning& warning : warnings) {
    rules::Diagnostic diagnostic = Diagnosed(warning);
    diagnostic.message.insert(0, warning.is_note ? "note: " : "warning: ");
    fmt::print(stderr, "{}\n", rules::Format(diagnostic));
  }
  if (!evaluation.diagnostics.empty()) {
    fmt::print(stderr, "{}\n", Count(evaluation.diagnostics.size(), "error"));
    return 1;
  }
  fmt::print("{}: {}{}\n", options.sources.namespace_name, CountsText(evaluation.rule_set),
             warning_count == 0 ? "" : fmt::format("; {}", Count(warning_count, "warning")));
  return is_good ? 0 : 1;
}

void AddCheck(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* check = rules.add_subcommand("check", "Evaluate rule files and report everything that is wrong with them");
  check
      ->add_option("FILE", options->files,
                   "Rule files (.js), or folders of them; together they are the rule set of one namespace")
      ->required();
  AddOptions(*check, options->sources);
  check->add_option(
      "--against", options->against,
      "Rules that run, as in `rules diff` (files, a folder, v3, newest): warn of what moves their users back");
  check->add_option("--at", options->at, "The time that counts as now, such as 2026-11-01T00:00:00Z");
  check->add_flag("--strict", options->strict, "Fail where there are warnings, too");
  check->add_flag("--json", options->json, "Print the diagnostics, or the rule set, as JSON, also for errors");
  check->callback([options, &outcome] { outcome.exit_code = Check(*options); });
}

}  // namespace

void AddRules(CLI::App& app, Outcome& outcome) {
  CLI::App* rules = app.add_subcommand("rules", "Check, test, publish and roll back rules");
  rules->require_subcommand(1);
  AddCheck(*rules, outcome);
  AddRulesDiff(*rules, outcome);
  AddRulesTest(*rules, outcome);
  AddRulesPublish(*rules, outcome);
  AddRulesHistory(*rules, outcome);
  AddRulesShow(*rules, outcome);
  AddRulesSimulate(*rules, outcome);
  AddRulesRollback(*rules, outcome);
  AddRulesPin(*rules, outcome);
  AddRulesWatch(*rules, outcome);
}

}  // namespace signalbox::cli
