#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/percent.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "cli/commands.h"
#include "cli/published_rules.h"
#include "cli/stop_signal.h"
#include "cli/traffic_text.h"
#include "control/publish_traffic.h"

namespace signalbox::cli {
namespace {

struct ShowOptions {
  PublishedRulesOptions common;
  bool history = false;
  size_t versions_max = 20;
  bool watch = false;
  int64_t states_max = 0;  // that --watch shows; 0: no end
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

// What is shown of a namespace until it is stopped, again whenever it is something else than before.
class TrafficWatch {
 public:
  explicit TrafficWatch(const ShowOptions& options) : options_(options) {}

  absl::Status Run(store::Store& store) {
    StopSignal stop;
    ASSIGN_OR_RETURN(const store::LatestVersions latest, store.Latest());
    ASSIGN_OR_RETURN(const std::unique_ptr<store::Watch> watch, store.WatchChanges(latest.sequence));
    RETURN_IF_ERROR(Look(store));
    while (!IsOver() && !stop.WaitFor(std::chrono::nanoseconds(0))) {
      ASSIGN_OR_RETURN(const std::vector<store::VersionInfo> changes, watch->Next(kLookInterval));
      // A step of a schedule comes without a change of the store.
      if (!changes.empty() || NowUnixMs() >= next_step_unix_ms_) RETURN_IF_ERROR(Look(store));
    }
    return absl::OkStatus();
  }

 private:
  bool IsOver() const { return options_.states_max > 0 && shown_ >= options_.states_max; }

  absl::Status Look(store::Store& store) {
    const int64_t now = NowUnixMs();
    ASSIGN_OR_RETURN(const control::TrafficView view, control::ViewTraffic(store, options_.common.namespace_name, now));
    next_step_unix_ms_ = std::numeric_limits<int64_t>::max();
    for (const control::ShiftView& shift : view.shifts) {
      if (shift.state.next) next_step_unix_ms_ = std::min(next_step_unix_ms_, shift.state.next->at_unix_ms);
    }
    nlohmann::ordered_json state = ToJson(view, now);
    state.erase("now_unix_ms");
    // Something of another namespace, or a publish that changes nothing here.
    if (shown_ > 0 && state == state_) return absl::OkStatus();
    state_ = std::move(state);
    ++shown_;
    Print(view, now);
    return absl::OkStatus();
  }

  void Print(const control::TrafficView& view, int64_t now) const {
    const std::string& name = options_.common.namespace_name;
    if (options_.common.json) {
      nlohmann::ordered_json json = {{"ok", true}, {"namespace", name}};
      json.update(ToJson(view, now));
      fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      // The new state in place of the old one; where it goes to a file, one behind the other.
      constexpr std::string_view kClearScreen = "\x1b[2J\x1b[H";
      const bool is_terminal = isatty(STDOUT_FILENO) == 1;
      fmt::print("{}{}\n{}",
                 is_terminal  ? kClearScreen
                 : shown_ > 1 ? "\n"
                              : "",
                 TimeText(now), DescribeTraffic(name, view, now));
    }
    std::fflush(stdout);
  }

  // How long a Ctrl-C, or a step of a schedule, may have to wait.
  static constexpr std::chrono::milliseconds kLookInterval{100};

  const ShowOptions& options_;
  nlohmann::ordered_json state_;
  int64_t shown_ = 0;
  int64_t next_step_unix_ms_ = 0;
};

absl::Status Show(const ShowOptions& options) {
  ASSIGN_OR_RETURN(auto store, OpenExisting(options.common));
  if (options.history) return ShowHistory(options, *store);
  if (options.watch) return TrafficWatch(options).Run(*store);
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
  CLI::Option* watch =
      command
          ->add_flag("--watch", options->watch,
                     "Show it again at every change, until stopped; with --json one object a line for each")
          ->excludes(history);
  command->add_option("--count", options->states_max, "End --watch when so many states have been shown")
      ->needs(watch)
      ->check(CLI::PositiveNumber);
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
