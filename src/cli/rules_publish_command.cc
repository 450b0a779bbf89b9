#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rule_folder.h"
#include "cli/rules_subcommands.h"
#include "rules/rules.h"
#include "rules/source_folder.h"

namespace signalbox::cli {
namespace {

struct PublishOptions {
  PublishedRulesOptions common;
  std::vector<std::string> files;
  std::string author = DefaultAuthor();
  std::string message;
  std::optional<int64_t> expected_version;
};

absl::StatusOr<control::PublishedRules> Publish(const PublishOptions& options) {
  RETURN_IF_ERROR(store::CheckNamespace(options.common.namespace_name));
  ASSIGN_OR_RETURN(const std::vector<std::string> given, RuleFilesOf(options.files));
  absl::StatusOr<std::vector<rules::SourceFile>> files = rules::ReadSourceFiles(given);
  // Elsewhere NOT_FOUND is a namespace or a version: an answer, and no trouble with the environment.
  if (absl::IsNotFound(files.status())) return absl::UnavailableError(files.status().message());
  RETURN_IF_ERROR(files.status());
  ASSIGN_OR_RETURN(v1::RuleSet rule_set, rules::Evaluate(options.common.namespace_name, *files));
  std::vector<std::string> paths;
  for (const rules::SourceFile& file : *files) paths.push_back(file.path);
  rules::NameSourcesBelowTheirFolder(rule_set, paths);
  // Only now: rules with errors leave no trace, not even an empty store.
  ASSIGN_OR_RETURN(auto store, Open(options.common.store, store::OpenMode::kCreateIfMissing));
  return control::PublishRules(*store,
                               {std::move(rule_set), options.author, options.message, options.expected_version});
}

}  // namespace

void AddRulesPublish(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<PublishOptions>();
  CLI::App* command =
      rules.add_subcommand("publish", "Check rule files and publish them as the namespace's newest version");
  command
      ->add_option("FILE", options->files,
                   "Rule files (.js), or folders of them; together they replace all rules of the namespace")
      ->required();
  AddOptions(*command, options->common);
  command->add_option("--author", options->author, "Who publishes")->capture_default_str();
  command->add_option("--message", options->message, "Why, for the history: one line");
  command->add_option("--expect-version", options->expected_version,
                      "Publish only when this is the newest version (0: there is none yet)");
  command->callback([options, &outcome] {
    absl::StatusOr<control::PublishedRules> result = Publish(*options);
    if (result.ok()) return PrintResult(options->common, *result);
    outcome.exit_code = Fail("rules publish", result.status(), options->common.json);
  });
}

}  // namespace signalbox::cli
