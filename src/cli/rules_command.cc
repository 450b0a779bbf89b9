#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/rule_set_text.h"
#include "cli/rules_subcommands.h"
#include "rules/rules.h"

namespace signalbox::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> files;
  std::string namespace_name = "default";
  bool json = false;
};

// One JSON document for editors and CI: {"ok", "namespace", "diagnostics": [...], "rule_set": {...}}.
std::string CheckAsJson(const std::string& namespace_name, const rules::Evaluation& evaluation,
                        const std::string& rule_set_json) {
  nlohmann::ordered_json report;
  report["ok"] = evaluation.diagnostics.empty();
  report["namespace"] = namespace_name;
  report["diagnostics"] = nlohmann::ordered_json::array();
  for (const rules::Diagnostic& diagnostic : evaluation.diagnostics) {
    report["diagnostics"].push_back({{"file", diagnostic.file},
                                     {"line", diagnostic.line},
                                     {"column", diagnostic.column},
                                     {"message", diagnostic.message}});
  }
  if (evaluation.diagnostics.empty()) report["rule_set"] = nlohmann::ordered_json::parse(rule_set_json);
  return report.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

int Check(const CheckOptions& options) {
  absl::StatusOr<std::vector<rules::SourceFile>> files = rules::ReadSourceFiles(options.files);
  if (!files.ok()) {
    fmt::print(stderr, "{}\n", Message(files.status()));
    return ExitCodeOf(files.status());
  }
  rules::Evaluation evaluation = rules::EvaluateWithDiagnostics(options.namespace_name, *files);
  absl::StatusOr<std::string> json = CanonicalJson(evaluation.rule_set);
  if (!json.ok()) {
    fmt::print(stderr, "{}\n", Message(json.status()));
    return 2;
  }
  if (options.json) {
    fmt::print("{}\n", CheckAsJson(options.namespace_name, evaluation, *json));
    return evaluation.diagnostics.empty() ? 0 : 1;
  }
  for (const rules::Diagnostic& diagnostic : evaluation.diagnostics)
    fmt::print(stderr, "{}\n", rules::Format(diagnostic));
  if (!evaluation.diagnostics.empty()) {
    fmt::print(stderr, "{} error{}\n", evaluation.diagnostics.size(), evaluation.diagnostics.size() == 1 ? "" : "s");
    return 1;
  }
  fmt::print("{}: {}\n", options.namespace_name, CountsText(evaluation.rule_set));
  return 0;
}

void AddCheck(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* check = rules.add_subcommand("check", "Evaluate rule files and report everything that is wrong with them");
  check->add_option("FILE", options->files, "Rule files (.js); together they are the rule set of one namespace")
      ->required();
  check->add_option("--namespace", options->namespace_name, "Namespace of the rule set")->capture_default_str();
  check->add_flag("--json", options->json, "Print the diagnostics, or the rule set, as JSON");
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
  AddRulesRollback(*rules, outcome);
  AddRulesWatch(*rules, outcome);
}

}  // namespace signalbox::cli
