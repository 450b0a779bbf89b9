#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/printable.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/operator_options.h"

namespace signalbox::cli {
namespace {

struct AuditOptions {
  PublishedRulesOptions common;
  std::string topic;
  int64_t after = 0;
  size_t limit = 50;
};

bool IsOf(const store::VersionInfo& info, const std::string& topic) {
  return topic.empty() || info.topic == topic || info.topic.starts_with(topic + "/");
}

// All changes in order, the newest `limit` of them.
absl::StatusOr<std::deque<store::VersionInfo>> Changes(store::Store& store, const AuditOptions& options) {
  std::deque<store::VersionInfo> changes;
  for (int64_t after = options.after;;) {
    ASSIGN_OR_RETURN(std::vector<store::VersionInfo> more, store.Changes(after, store::kHistoryVersionsMax));
    if (more.empty()) return changes;
    after = more.back().sequence;
    for (store::VersionInfo& info : more) {
      if (!IsOf(info, options.topic)) continue;
      changes.push_back(std::move(info));
      if (changes.size() > options.limit) changes.pop_front();
    }
  }
}

std::string Line(const store::VersionInfo& info) {
  const std::string from = info.version == 1 ? "first" : fmt::format("{} ->", info.version - 1);
  const std::string back = info.rollback_of == 0 ? "" : fmt::format(", version {} again", info.rollback_of);
  return fmt::format("{:>8}  {}  {:<24} {:>8} {:<6} {}{}{}\n", info.sequence, TimeText(info.unix_ms), info.topic, from,
                     info.version, EscapeControlCharacters(info.author), back,
                     info.message.empty() ? "" : ": " + EscapeControlCharacters(info.message));
}

absl::Status Audit(const AuditOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(const std::deque<store::VersionInfo> changes, Changes(*store, options));
  if (!options.common.json) {
    fmt::print("sequence  time                  topic                      from to     who: why\n");
    for (const store::VersionInfo& info : changes) fmt::print("{}", Line(info));
    return absl::OkStatus();
  }
  nlohmann::ordered_json json = {{"ok", true}, {"changes", nlohmann::ordered_json::array()}};
  for (const store::VersionInfo& info : changes) json["changes"].push_back(ToJson(info));
  fmt::print("{}\n", Dump(json));
  return absl::OkStatus();
}

}  // namespace

void AddAudit(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* command = app.add_subcommand(
      "audit",
      "Who changed what and when, of everything in a store: rules, traffic, releases, fleet, what took effect");
  AddStoreOptions(*command, options->common);
  command->add_option("--topic", options->topic,
                      "Only this topic, or those below it: rules, rules/home, active, placement");
  command->add_option("--after", options->after, "Only changes with a higher sequence")->check(CLI::NonNegativeNumber);
  command->add_option("--limit", options->limit, "The newest so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->callback([options, &outcome] {
    if (absl::Status status = Audit(*options); !status.ok()) {
      outcome.exit_code = Fail("audit", status, options->common.json);
    }
  });
}

}  // namespace signalbox::cli
