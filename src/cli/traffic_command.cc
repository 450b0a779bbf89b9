#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/percent.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/published_rules.h"
#include "cli/traffic_text.h"
#include "control/publish_traffic.h"

namespace signalbox::cli {
namespace {

struct ShowOptions {
  PublishedRulesOptions common;
  bool history = false;
  size_t versions_max = 20;
};

struct MoveOptions {
  PublishedRulesOptions common;
  std::string shift;
  std::string percent;
  bool without_delay = false;
  std::string author = DefaultAuthor();
  std::string message;
  std::optional<int64_t> expected_version;
  bool replace_held_back = false;
};

absl::Status ShowHistory(const ShowOptions& options, store::Store& store) {
  const std::string& name = options.common.namespace_name;
  ASSIGN_OR_RETURN(auto versions, control::TrafficHistory(store, name, options.versions_max));
  if (options.common.json) {
    fmt::print("{}\n", Dump({{"ok", true}, {"namespace", name}, {"versions", ToJson(versions)}}));
  } else {
    fmt::print("{}", DescribeHistory(name, versions));
  }
  return absl::OkStatus();
}

absl::Status Show(const ShowOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  if (options.history) return ShowHistory(options, *store);
  const std::string& name = options.common.namespace_name;
  const int64_t now = NowUnixMs();
  ASSIGN_OR_RETURN(const control::TrafficView view, control::ViewTraffic(*store, name, now));
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}, {"namespace", name}};
    json.update(ToJson(view, now));
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{}", DescribeTraffic(name, view, now));
  }
  return absl::OkStatus();
}

absl::Status Move(const MoveOptions& options, const control::ShiftCommand& command) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  ASSIGN_OR_RETURN(const control::PublishedTraffic moved,
                   control::PublishTraffic(*store,
                                           {options.common.namespace_name, options.shift, command, options.author,
                                            options.message, options.expected_version, options.replace_held_back},
                                           NowUnixMs()));
  if (options.common.json) {
    nlohmann::ordered_json json = {{"ok", true}};
    json.update(ToJson(moved));
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{}", DescribeMove(options.common.namespace_name, moved));
  }
  return absl::OkStatus();
}

absl::Status FixShare(const MoveOptions& options) {
  ASSIGN_OR_RETURN(const uint32_t share_ppm, ParsePercent(options.percent));
  return Move(options, control::FixShare{share_ppm});
}

void AddShow(CLI::App& traffic, Outcome& outcome) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command = traffic.add_subcommand(
      "show", "Every traffic shift: what the rules say, what is set, by whom, what is in effect, and what comes next");
  AddOptions(*command, options->common);
  CLI::Option* history =
      command->add_flag("--history", options->history, "List who moved what and when instead, newest first");
  command->add_option("--limit", options->versions_max, "How many versions --history lists")
      ->capture_default_str()
      ->needs(history)
      ->check(CLI::Range(size_t{1}, store::kHistoryVersionsMax));
  command->callback([options, &outcome] {
    if (absl::Status status = Show(*options); !status.ok()) {
      outcome.exit_code = Fail("traffic show", status, options->common.json);
    }
  });
}

// A command that moves one shift.
template <typename Run>
std::pair<CLI::App*, std::shared_ptr<MoveOptions>> AddMove(CLI::App& traffic, Outcome& outcome, const std::string& name,
                                                           const std::string& description, Run run) {
  auto options = std::make_shared<MoveOptions>();
  CLI::App* command = traffic.add_subcommand(name, description);
  command->add_option("SHIFT", options->shift, "Id of the traffic shift")->required();
  AddOptions(*command, options->common);
  command->add_option("--author", options->author, "Who moves it")->capture_default_str();
  command->add_option("--message", options->message, "Why, for the history: one line");
  command->add_option("--expect-version", options->expected_version,
                      "Only when this is the newest version of what is set in the namespace (0: nothing is yet)");
  command->add_flag("--replace-held-back", options->replace_held_back,
                    "Also when newer settings are held back: what they say is given up");
  command->callback([options, name, run, &outcome] {
    if (absl::Status status = run(*options); !status.ok()) {
      outcome.exit_code = Fail("traffic " + name, status, options->common.json);
    }
  });
  return {command, options};
}

}  // namespace

void AddTraffic(CLI::App& app, Outcome& outcome) {
  CLI::App* traffic =
      app.add_subcommand("traffic", "Move traffic shifts at once, without touching the rules; each move is a version");
  traffic->require_subcommand(1);
  AddShow(*traffic, outcome);
  const auto [set, set_options] =
      AddMove(*traffic, outcome, "set", "Fix the share of a shift; the rules do not count until `resume`", FixShare);
  set->add_option("PERCENT", set_options->percent, "0 to 100, at most four decimals")->required();
  AddMove(*traffic, outcome, "pause", "Hold a shift with a schedule at what it has reached",
          [](const MoveOptions& options) { return Move(options, control::PauseSchedule{}); });
  const auto [resume, resume_options] =
      AddMove(*traffic, outcome, "resume",
              "Let a paused schedule go on, as much later as it was paused; or the rules count again after `set`",
              [](const MoveOptions& options) { return Move(options, control::Resume{options.without_delay}); });
  resume->add_flag("--without-delay", resume_options->without_delay,
                   "Go to where the rules' schedule is now, as if it had never been paused");
}

}  // namespace signalbox::cli
