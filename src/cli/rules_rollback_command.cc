#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rules_subcommands.h"

namespace signalbox::cli {
namespace {

struct RollbackOptions {
  PublishedRulesOptions common;
  std::optional<int64_t> to_version;
  std::string author = DefaultAuthor();
  std::string message;
  std::optional<int64_t> expected_version;
};

absl::StatusOr<control::PublishedRules> RollBack(const RollbackOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  return control::RollBackRules(*store, {options.common.namespace_name, options.to_version, options.author,
                                         options.message, options.expected_version});
}

}  // namespace

void AddRulesRollback(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<RollbackOptions>();
  CLI::App* command = rules.add_subcommand("rollback", "Publish the content of an older version again");
  AddOptions(*command, options->common);
  command->add_option("--to", options->to_version,
                      "The version to go back to; not given: one step further back than what runs, so that two "
                      "rollbacks go two steps back");
  command->add_option("--author", options->author, "Who rolls back")->capture_default_str();
  command->add_option("--message", options->message, "Why, for the history: one line");
  command->add_option("--expect-version", options->expected_version, "Roll back only when this is the newest version");
  command->callback([options, &outcome] {
    absl::StatusOr<control::PublishedRules> result = RollBack(*options);
    if (result.ok()) return PrintResult(options->common, *result);
    outcome.exit_code = Fail("rules rollback", result.status(), options->common.json);
  });
}

}  // namespace signalbox::cli
