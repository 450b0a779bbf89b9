// `signalbox rules test`: what NAME.test.js beside the rules expects of them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cli/rule_set_source.h"
#include "cli/rule_test_report.h"
#include "cli/rule_test_targets.h"
#include "cli/rules_subcommands.h"
#include "effect/expectation_run.h"
#include "rules/rule_tests.h"
#include "rules/rules.h"

namespace signalbox::cli {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  std::string namespace_name = "default";
  std::string filter;
  effect::ExpectationRunOptions run;
  bool json = false;
};

void RunFile(const decide::Snapshot& snapshot, const rules::TestFile& file, const TestOptions& options,
             TestReport& report) {
  report.BeginFile(file);
  for (const rules::RuleTest& test : file.tests) {
    if (test.name.find(options.filter) == std::string::npos) {
      report.LeaveOut();
    } else {
      report.Add(test, effect::RunExpectations(snapshot, test, options.run));
    }
  }
}

absl::Status RunTarget(const TestTarget& target, const TestOptions& options, TestReport& report) {
  ASSIGN_OR_RETURN(const std::vector<rules::SourceFile> rule_files, rules::ReadSourceFiles(target.rule_files));
  ASSIGN_OR_RETURN(v1::RuleSet rule_set, rules::Evaluate(options.namespace_name, rule_files));
  ASSIGN_OR_RETURN(const auto snapshot, effect::CompileForTests(std::move(rule_set)));
  for (const std::string& path : target.test_files) {
    ASSIGN_OR_RETURN(const std::vector<rules::SourceFile> files, rules::ReadTestFile(path, target.rule_files));
    RunFile(*snapshot, rules::EvaluateTests(files), options, report);
  }
  return absl::OkStatus();
}

int Test(const TestOptions& options) {
  const absl::StatusOr<std::vector<TestTarget>> targets = FindTestTargets(options.paths);
  if (!targets.ok()) return FailToCompare(targets.status(), options.json);
  TestReport report(options.run.seed);
  int environment = 0;
  for (const TestTarget& target : *targets) {
    const absl::Status status = RunTarget(target, options, report);
    if (status.ok()) continue;
    report.Refuse(target, Message(status));
    environment = std::max(environment, ExitCodeOf(status) == 2 ? 2 : 0);
  }
  const bool passed = options.json ? report.PrintJson() : report.PrintText();
  return environment != 0 ? environment : passed ? 0 : 1;
}

}  // namespace

void AddRulesTest(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* command = rules.add_subcommand("test", "Run the tests beside rule files (NAME.test.js)");
  command->add_option("PATH", options->paths, "Rule files, files of tests, or folders")->required();
  command->add_option("--namespace", options->namespace_name, "Namespace of the rules")->capture_default_str();
  command->add_option("--filter", options->filter, "Only tests whose names contain this text");
  command->add_option("--users", options->run.users, "Users of every distribution, instead of what the tests say")
      ->check(CLI::Range(uint32_t{1}, rules::kUsersMax));
  command->add_option("--seed", options->run.seed, "Other numbers make other generated users")->capture_default_str();
  command->add_flag("--json", options->json, "Print the results as JSON, also for errors");
  command->footer(
      "Which rules are tested:\n"
      "  rules/home.js        together with all other rule files given, as one rule set; by home.test.js beside it\n"
      "  rules/home.test.js   the rule files given; if there are none home.js beside it, or else all of its folder\n"
      "  rules/               all rule files in that folder, as one rule set; by all files of tests in it\n"
      "What rule files import belongs to them. A test:\n"
      "  test('TVs in the US get the TV model', () => {\n"
      "    expect({ objective: 'Home', user: 'u1', country: 'US', device: 'tv' }).model('home-tv@2').cell('12345', "
      "'2');\n"
      "    distribution({ objective: 'Home' }, { users: 100000 }).model('home@3', { share: 10, tolerance: 0.5 });\n"
      "  });\n"
      "Exit code 1 when a test fails or the rules have errors, 2 when a file cannot be read.");
  command->callback([options, &outcome] { outcome.exit_code = Test(*options); });
}

}  // namespace signalbox::cli
