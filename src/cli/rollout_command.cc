#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/operator_options.h"
#include "cli/rollout_text.h"
#include "cli/stop_signal.h"
#include "control/placement_text.h"
#include "control/release_hold.h"

namespace signalbox::cli {
namespace {

// How often `--watch` looks, and how long a Ctrl-C may have to wait.
constexpr std::chrono::milliseconds kLookInterval{100};

struct StatusOptions {
  PublishedRulesOptions common;
  bool watch = false;
};

struct ChangeOptions {
  PublishedRulesOptions common;
  SignatureOptions signature;
};

struct StepsOptions {
  ChangeOptions change;
  std::vector<std::string> steps;
};

absl::Status List(const PublishedRulesOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options));
  ASSIGN_OR_RETURN(const std::vector<v1::Rollouts> all, control::ReadRollouts(*store));
  if (!options.json) {
    fmt::print("{}", RolloutTable(all));
    return absl::OkStatus();
  }
  nlohmann::ordered_json json = {{"ok", true}, {"namespaces", nlohmann::ordered_json::array()}};
  for (const v1::Rollouts& rollouts : all) json["namespaces"].push_back(ToJson(rollouts));
  fmt::print("{}\n", Dump(json));
  return absl::OkStatus();
}

struct Shown {
  v1::Rollouts rollouts;
  v1::ReleasePlan plan;
  RolloutNotes notes;
};

// What stands beside the rollout itself: without it, that would be told all the same.
RolloutNotes NotesOf(store::Store& store, const Shown& shown) {
  RolloutNotes notes;
  notes.holds = control::ReleaseStateText(store, shown.plan);
  const auto facts = control::ReadPlacementFacts(store);
  if (!facts.ok()) return notes;
  for (const v1::ModelProgress& model : shown.rollouts.current().models()) {
    notes.places[model.model()] = control::PlacesOf(*facts, model.model());
  }
  return notes;
}

absl::StatusOr<Shown> Read(store::Store& store, const std::string& namespace_name) {
  Shown shown;
  ASSIGN_OR_RETURN(shown.rollouts, control::ReadRollouts(store, namespace_name));
  ASSIGN_OR_RETURN(shown.plan, control::ReadRelease(store, namespace_name));
  shown.notes = NotesOf(store, shown);
  return shown;
}

void Print(const StatusOptions& options, const Shown& shown) {
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(shown.rollouts));
    json["release"] = ToJson(shown.plan);
    json["places"] = shown.notes.places;
    json["holds"] = shown.notes.holds;
    // One line for each change when it is watched: programs read lines.
    fmt::print("{}\n",
               options.watch ? json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) : Dump(json));
  } else {
    fmt::print("{}", DescribeRollout(shown.rollouts, shown.plan, shown.notes, NowUnixMs()));
  }
  std::fflush(stdout);
}

// Fails with the rollout's own reason where it did: for scripts that publish and wait.
absl::Status EndOf(const v1::Rollout& rollout) {
  if (rollout.state() != v1::Rollout::FAILED && rollout.state() != v1::Rollout::CANCELLED) return absl::OkStatus();
  return absl::AbortedError(
      fmt::format("version {} {}: {}", rollout.rules_version(), StateText(rollout.state()), rollout.reason()));
}

// Whether the rules that should run do, or are known not to.
absl::StatusOr<bool> IsSettled(store::Store& store, const std::string& name, const Shown& shown) {
  if (control::IsUnderWay(shown.rollouts.current())) return false;
  int64_t wanted = shown.plan.pinned_version();
  if (wanted == 0) {
    ASSIGN_OR_RETURN(const auto history, store.History(store::RulesTopic(name), 1));
    wanted = history[0].version;
  }
  if (shown.rollouts.current().rules_version() == wanted) return true;
  // It was taken over as it ran: there was no rollout.
  absl::StatusOr<store::Version> stored = store.Get(store::ActiveTopic(name), std::nullopt);
  v1::ActiveRules active;
  return stored.ok() && ParseJson(stored->content, active).ok() && active.rules_version() == wanted;
}

absl::Status ShowStatus(const StatusOptions& options) {
  StopSignal stop;
  const std::string& name = options.common.namespace_name;
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  std::string printed;
  do {
    absl::StatusOr<Shown> shown = Read(*store, name);
    // Waiting makes sense only where something can come.
    const bool may_begin = absl::IsNotFound(shown.status()) && options.watch &&
                           store->History(store::kFleetTopic, 1).ok() &&
                           store->History(store::RulesTopic(name), 1).ok();
    if (may_begin) {
      shown = Shown{};
      shown->rollouts.set_namespace_(name);
      shown->plan.set_namespace_(name);
      shown->notes = NotesOf(*store, *shown);
    }
    RETURN_IF_ERROR(shown.status());
    std::string bytes = shown->rollouts.SerializeAsString() + shown->plan.SerializeAsString();
    for (const std::string& hold : shown->notes.holds) bytes += hold;
    if (bytes != printed) {
      Print(options, *shown);
      printed = std::move(bytes);
    }
    if (!options.watch) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool is_settled, IsSettled(*store, name, *shown));
    if (is_settled) return EndOf(shown->rollouts.current());
  } while (!stop.WaitFor(kLookInterval));
  return absl::CancelledError("interrupted; the rollout goes on");
}

void PrintChange(const PublishedRulesOptions& options, const control::ChangedRelease& changed,
                 const std::string& sentence) {
  if (options.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(changed.published.info));
    json["unchanged"] = changed.published.unchanged;
    json["release"] = ToJson(changed.after);
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{}: {}{}\n", options.namespace_name, sentence,
               changed.published.unchanged ? "; it was so already" : "");
  }
}

using Change = std::function<absl::StatusOr<control::ChangedRelease>(store::Store&, const std::string&,
                                                                     const control::Signature&)>;

absl::Status Apply(const ChangeOptions& options, const Change& change, const std::string& sentence) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(const control::ChangedRelease changed,
                   change(*store, options.common.namespace_name, options.signature.signature()));
  PrintChange(options.common, changed, sentence);
  return absl::OkStatus();
}

// Promoting ends a pause, which may be somebody else's: that must not go unsaid.
absl::Status Promote(const ChangeOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  const std::string& name = options.common.namespace_name;
  const std::string paused_by =
      control::WhoSet(*store, name, [](const v1::ReleasePlan& plan) { return plan.paused(); });
  ASSIGN_OR_RETURN(const control::ChangedRelease changed,
                   control::PromoteRollout(*store, name, options.signature.signature()));
  PrintChange(options.common, changed,
              changed.before.paused()
                  ? fmt::format("the rollout goes everywhere, and is not paused any more; it was paused{}", paused_by)
                  : "the rollout goes everywhere");
  return absl::OkStatus();
}

void AddPromote(CLI::App& rollout, Outcome& outcome) {
  auto options = std::make_shared<ChangeOptions>();
  CLI::App* command = rollout.add_subcommand(
      "promote", "Let the rollout under way take effect everywhere, whatever steps are left; ends a pause");
  AddOptions(*command, options->common);
  AddOptions(*command, options->signature);
  command->callback([options, &outcome] {
    if (absl::Status status = Promote(*options); !status.ok()) {
      outcome.exit_code = Fail("rollout promote", status, options->common.json);
    }
  });
}

void AddChange(CLI::App& rollout, Outcome& outcome, const std::string& name, const std::string& description,
               Change change, const std::string& sentence) {
  auto options = std::make_shared<ChangeOptions>();
  CLI::App* command = rollout.add_subcommand(name, description);
  AddOptions(*command, options->common);
  AddOptions(*command, options->signature);
  command->callback([options, name, change = std::move(change), sentence, &outcome] {
    if (absl::Status status = Apply(*options, change, sentence); !status.ok()) {
      outcome.exit_code = Fail("rollout " + name, status, options->common.json);
    }
  });
}

// "region=eu:10m", "region=eu": for so long before the next step.
absl::StatusOr<v1::ReleaseStep> ParseStep(const std::string& text) {
  v1::ReleaseStep step;
  const size_t colon = text.rfind(':');
  step.set_scope(text.substr(0, colon));
  if (colon == std::string::npos) return step;
  CLI::AsNumberWithUnit unit(std::map<std::string, int64_t>{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}},
                             CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME");
  std::string hold = text.substr(colon + 1);
  std::string error;
  try {
    error = unit(hold);
  } catch (const CLI::ValidationError& invalid) {
    error = invalid.what();
  }
  int64_t ms = 0;
  if (!error.empty() || !CLI::detail::lexical_cast(hold, ms) || ms < 0) {
    return absl::InvalidArgumentError(
        fmt::format("step '{}': '{}' is no time, expected for example 30s, 10m or 2h", text, text.substr(colon + 1)));
  }
  step.set_hold_ms(ms);
  return step;
}

absl::Status SetSteps(const StepsOptions& options) {
  std::vector<v1::ReleaseStep> steps;
  for (const std::string& text : options.steps) {
    ASSIGN_OR_RETURN(v1::ReleaseStep step, ParseStep(text));
    steps.push_back(std::move(step));
  }
  v1::ReleasePlan plan;
  plan.mutable_steps()->Assign(steps.begin(), steps.end());
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.change.common));
  ASSIGN_OR_RETURN(const control::ChangedRelease changed,
                   control::SetReleaseSteps(*store, options.change.common.namespace_name, steps,
                                            options.change.signature.signature()));
  PrintChange(options.change.common, changed, "releases go " + StepsText(plan));
  std::fflush(stdout);
  // They are set; who is there is a help, and nothing to fail for.
  const absl::StatusOr<std::vector<std::string>> warnings = control::StepWarnings(*store, steps);
  if (!warnings.ok()) return absl::OkStatus();
  for (const std::string& warning : *warnings) fmt::print(stderr, "warning: {}\n", warning);
  return absl::OkStatus();
}

void AddSteps(CLI::App& rollout, Outcome& outcome) {
  auto options = std::make_shared<StepsOptions>();
  CLI::App* command = rollout.add_subcommand(
      "steps", "To which data planes new rules go first, and for how long, before they run everywhere");
  command->add_option("STEP", options->steps,
                      "KEY=VALUE[:TIME], in order; none: everywhere at once. Example: region=eu:10m");
  AddOptions(*command, options->change.common);
  AddOptions(*command, options->change.signature);
  command->callback([options, &outcome] {
    if (absl::Status status = SetSteps(*options); !status.ok()) {
      outcome.exit_code = Fail("rollout steps", status, options->change.common.json);
    }
  });
}

void AddStatus(CLI::App& rollout, Outcome& outcome) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command = rollout.add_subcommand(
      "status",
      "How far the rollout of a namespace is: its states, its models on their hosts, and why it waits or failed");
  AddOptions(*command, options->common);
  command->add_flag(
      "--watch", options->watch,
      "Print each change until the newest rules are in effect; exit code 1 when they failed or were cancelled");
  command->callback([options, &outcome] {
    if (absl::Status status = ShowStatus(*options); !status.ok()) {
      const bool ended_badly = absl::IsAborted(status);
      outcome.exit_code = Fail("rollout status", status, options->common.json);
      if (ended_badly) outcome.exit_code = 1;
    }
  });
}

}  // namespace

void AddRollout(CLI::App& app, Outcome& outcome) {
  CLI::App* rollout = app.add_subcommand("rollout", "What becomes of published rules: loaded, tried, in effect");
  rollout->require_subcommand(1);
  auto list_options = std::make_shared<PublishedRulesOptions>();
  CLI::App* list = rollout->add_subcommand("list", "The newest rollout of every namespace");
  AddStoreOptions(*list, *list_options);
  list->callback([list_options, &outcome] {
    if (absl::Status status = List(*list_options); !status.ok()) {
      outcome.exit_code = Fail("rollout list", status, list_options->json);
    }
  });
  AddStatus(*rollout, outcome);
  AddSteps(*rollout, outcome);
  AddChange(*rollout, outcome, "cancel", "End the rollout under way; what ran before goes on, or is back",
            control::CancelRollout, "the rollout is cancelled");
  AddPromote(*rollout, outcome);
  AddChange(*rollout, outcome, "retry",
            "Begin a rollout again that failed, after what made it fail was put right, or that was cancelled",
            control::RetryRollout, "the rollout begins again");
  AddChange(
      *rollout, outcome, "pause", "Let no rollout of the namespace go a step further",
      [](store::Store& store, const std::string& name, const control::Signature& signature) {
        return control::PauseRelease(store, name, true, signature);
      },
      "rollouts are paused");
  AddChange(
      *rollout, outcome, "resume", "Let rollouts go on",
      [](store::Store& store, const std::string& name, const control::Signature& signature) {
        return control::PauseRelease(store, name, false, signature);
      },
      "rollouts go on");
}

}  // namespace signalbox::cli
