#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/printable.h"
#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rules_subcommands.h"

namespace signalbox::cli {
namespace {

struct HistoryOptions {
  PublishedRulesOptions common;
  size_t versions_max = 20;
};

std::string WhyText(const store::VersionInfo& info) {
  const std::string message = EscapeControlCharacters(info.message);
  if (info.rollback_of == 0) return message;
  return fmt::format("rollback to version {}{}{}", info.rollback_of, message.empty() ? "" : ": ", message);
}

void PrintTable(const HistoryOptions& options, const std::vector<store::VersionInfo>& history) {
  size_t author_width = 6;
  for (const store::VersionInfo& info : history) {
    author_width = std::max(author_width, EscapeControlCharacters(info.author).size());
  }
  fmt::print("{}: {} version{}\n\n", options.common.namespace_name, history[0].version,
             history[0].version == 1 ? "" : "s");
  fmt::print("  version  published             {:<{}}  message\n", "author", author_width);
  for (const store::VersionInfo& info : history) {
    fmt::print("{} {:>7}  {}  {:<{}}  {}\n", info.version == history[0].version ? '*' : ' ', info.version,
               TimeText(info.unix_ms), EscapeControlCharacters(info.author), author_width, WhyText(info));
  }
  if (static_cast<int64_t>(history.size()) < history[0].version) {
    fmt::print("\n{} older versions: --limit {}\n", history[0].version - static_cast<int64_t>(history.size()),
               history[0].version);
  }
}

absl::Status ShowHistory(const HistoryOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(std::vector<store::VersionInfo> history,
                   store->History(store::RulesTopic(options.common.namespace_name), options.versions_max));
  if (!options.common.json) {
    PrintTable(options, history);
    return absl::OkStatus();
  }
  nlohmann::ordered_json json = {{"ok", true}, {"namespace", options.common.namespace_name}};
  json["versions"] = nlohmann::ordered_json::array();
  for (const store::VersionInfo& info : history) json["versions"].push_back(ToJson(info));
  fmt::print("{}\n", Dump(json));
  return absl::OkStatus();
}

}  // namespace

void AddRulesHistory(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<HistoryOptions>();
  CLI::App* command = rules.add_subcommand("history", "List the published versions of a namespace, newest first");
  AddOptions(*command, options->common);
  command->add_option("--limit", options->versions_max, "How many versions to list")
      ->capture_default_str()
      ->check(CLI::Range(size_t{1}, store::kHistoryVersionsMax));
  command->callback([options, &outcome] {
    if (absl::Status status = ShowHistory(*options); !status.ok()) {
      outcome.exit_code = Fail("rules history", status, options->common.json);
    }
  });
}

}  // namespace signalbox::cli
