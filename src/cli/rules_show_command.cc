#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "base/canonical_json.h"
#include "base/printable.h"
#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rule_set_text.h"
#include "cli/rules_subcommands.h"

namespace signalbox::cli {
namespace {

struct ShowOptions {
  PublishedRulesOptions common;
  std::optional<int64_t> version;
};

absl::Status Show(const ShowOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(store::Version version,
                   store->Get(store::RulesTopic(options.common.namespace_name), options.version));
  const store::VersionInfo& info = version.info;
  v1::RuleSet rules;
  if (absl::Status status = ParseJson(version.content, rules); !status.ok()) {
    return absl::DataLossError(fmt::format("{} version {} holds no rules that this release understands: {}",
                                           options.common.namespace_name, info.version, Message(status)));
  }
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(info));
    json["rule_set"] = nlohmann::ordered_json::parse(version.content);
    fmt::print("{}\n", Dump(json));
    return absl::OkStatus();
  }
  fmt::print("{} version {}, published {} by {}\n", options.common.namespace_name, info.version, TimeText(info.unix_ms),
             EscapeControlCharacters(info.author));
  if (info.rollback_of != 0) fmt::print("rollback to version {}\n", info.rollback_of);
  if (!info.message.empty()) fmt::print("{}\n", EscapeControlCharacters(info.message));
  fmt::print("\n{}", DescribeRules(rules));
  return absl::OkStatus();
}

}  // namespace

void AddRulesShow(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command = rules.add_subcommand("show", "Show a published version");
  AddOptions(*command, options->common);
  command->add_option("--version", options->version, "The version to show; the newest when not given");
  command->callback([options, &outcome] {
    if (absl::Status status = Show(*options); !status.ok()) {
      outcome.exit_code = Fail("rules show", status, options->common.json);
    }
  });
}

}  // namespace signalbox::cli
