#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/printable.h"
#include "base/status.h"
#include "cli/published_rules.h"
#include "cli/rules_subcommands.h"
#include "cli/stop_signal.h"

namespace signalbox::cli {
namespace {

// How long a Ctrl-C may have to wait.
constexpr std::chrono::milliseconds kLookInterval{100};

struct WatchOptions {
  PublishedRulesOptions common;
  int64_t changes_max = 0;  // 0: no end
};

std::string ChangeLine(const store::VersionInfo& info, bool json) {
  if (json) return ToJson(info).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string back = info.rollback_of == 0 ? "" : fmt::format(" (rollback to version {})", info.rollback_of);
  return fmt::format("{}  {} version {}{} by {}{}{}", TimeText(info.unix_ms), info.topic, info.version, back,
                     EscapeControlCharacters(info.author), info.message.empty() ? "" : ": ",
                     EscapeControlCharacters(info.message));
}

absl::Status WatchRules(const WatchOptions& options) {
  StopSignal stop;
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(store::LatestVersions latest, store->Latest());
  ASSIGN_OR_RETURN(std::unique_ptr<store::Watch> watch, store->WatchChanges(latest.sequence));
  if (!options.common.json) {
    fmt::print(stderr, "watching {} from sequence {}; Ctrl-C ends\n", store->name(), latest.sequence);
  }
  const std::string topic = store::RulesTopic(options.common.namespace_name);
  for (int64_t seen = 0; !stop.WaitFor(std::chrono::nanoseconds(0));) {
    ASSIGN_OR_RETURN(std::vector<store::VersionInfo> changes, watch->Next(kLookInterval));
    for (const store::VersionInfo& change : changes) {
      if (change.topic != topic) continue;
      fmt::print("{}\n", ChangeLine(change, options.common.json));
      std::fflush(stdout);
      if (++seen == options.changes_max) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddRulesWatch(CLI::App& rules, Outcome& outcome) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* command = rules.add_subcommand("watch", "Print every version as it is published, one a line");
  AddOptions(*command, options->common);
  command->add_option("--count", options->changes_max, "End after this many versions")->check(CLI::PositiveNumber);
  command->callback([options, &outcome] {
    if (absl::Status status = WatchRules(*options); !status.ok()) {
      outcome.exit_code = Fail("rules watch", status, options->common.json);
    }
  });
}

}  // namespace signalbox::cli
