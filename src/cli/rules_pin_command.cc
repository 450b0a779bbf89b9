#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/status.h"
#include "cli/operator_options.h"
#include "cli/rules_subcommands.h"
#include "control/release_hold.h"

namespace signalbox::cli {
namespace {

struct PinOptions {
  PublishedRulesOptions common;
  SignatureOptions signature;
  int64_t version = 0;
};

// What runs after it. Not the newest, where that was cancelled.
absl::StatusOr<std::string> UnpinnedText(store::Store& store, const std::string& name, const v1::ReleasePlan& plan) {
  ASSIGN_OR_RETURN(const auto history, store.History(store::RulesTopic(name), 1));
  const int64_t newest = history[0].version;
  if (plan.cancelled_version() != newest) return fmt::format("not pinned: version {}, the newest, runs", newest);
  return fmt::format(
      "not pinned; version {}, the newest, does not run, because its rollout was cancelled{}: {} begins it, or publish "
      "other rules",
      newest,
      control::WhoSet(store, name, [&](const v1::ReleasePlan& then) { return then.cancelled_version() == newest; }),
      control::CommandText(store, "rollout retry", name));
}

absl::Status Pin(const PinOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(
      const control::ChangedRelease changed,
      control::PinVersion(*store, options.common.namespace_name, options.version, options.signature.signature()));
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(changed.published.info));
    json["pinned_version"] = changed.after.pinned_version();
    json["unchanged"] = changed.published.unchanged;
    fmt::print("{}\n", Dump(json));
    return absl::OkStatus();
  }
  std::string sentence = fmt::format("pinned to version {}: what is published waits", options.version);
  if (options.version == 0) {
    ASSIGN_OR_RETURN(sentence, UnpinnedText(*store, options.common.namespace_name, changed.after));
  }
  fmt::print("{}: {}{}\n", options.common.namespace_name, sentence,
             changed.published.unchanged ? "; it was so already" : "");
  return absl::OkStatus();
}

CLI::App* Add(CLI::App& rules, Outcome& outcome, const std::string& name, const std::string& description,
              const std::shared_ptr<PinOptions>& options) {
  CLI::App* command = rules.add_subcommand(name, description);
  AddOptions(*command, options->common);
  AddOptions(*command, options->signature);
  command->callback([options, name, &outcome] {
    if (absl::Status status = Pin(*options); !status.ok()) {
      outcome.exit_code = Fail("rules " + name, status, options->common.json);
    }
  });
  return command;
}

}  // namespace

void AddRulesPin(CLI::App& rules, Outcome& outcome) {
  auto pin = std::make_shared<PinOptions>();
  Add(rules, outcome, "pin", "Run one version, and let what is published wait until `unpin`", pin)
      ->add_option("VERSION", pin->version, "Version of the rules")
      ->required()
      ->check(CLI::PositiveNumber);
  Add(rules, outcome, "unpin", "Run the newest version again", std::make_shared<PinOptions>());
}

}  // namespace signalbox::cli
