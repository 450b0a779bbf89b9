#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/send/live_text.h"
#include "cli/send/traffic_sender.h"
#include "cli/stop_signal.h"

namespace signalbox::cli {
namespace {

using std::chrono::seconds;

// A terminal is redrawn often; a log file gets a table now and then.
constexpr seconds kTerminalInterval{1};
constexpr seconds kLogInterval{10};

struct SendCommand {
  SenderOptions sender;
  SourceOptions source{.data_folder = "node_modules/vega-datasets/data", .objectives = {}};
  std::vector<std::string> objectives;
  double duration_s = 0;
  bool json = false;
};

// Shows what came in since the last time, until `duration` is over or a signal comes.
void ShowUntilEnd(const SendCommand& command, const TrafficSender& sender, StopSignal& stop) {
  LiveText live(command.json ? stderr : stdout);
  const seconds interval = live.is_terminal() ? kTerminalInterval : kLogInterval;
  const std::chrono::duration<double> duration(command.duration_s);
  TrafficReport last;
  while (true) {
    std::chrono::duration<double> wait = interval;
    if (command.duration_s > 0) {
      wait = std::min<std::chrono::duration<double>>(wait, duration - sender.Report().duration);
    }
    if (wait.count() <= 0) return;
    if (stop.WaitFor(std::chrono::duration_cast<std::chrono::nanoseconds>(wait))) return;
    if (wait < interval) continue;  // the end; the summary follows
    const TrafficReport report = sender.Report();
    live.Replace(Table(report.Since(last)) + "\n");
    last = report;
  }
}

// True when every request was answered.
absl::StatusOr<bool> Run(SendCommand command) {
  for (const std::string& text : command.objectives) {
    ASSIGN_OR_RETURN(ObjectiveTraffic traffic, ParseObjectiveTraffic(text));
    command.source.objectives.push_back(std::move(traffic));
  }
  if (command.objectives.empty()) command.source.objectives = DemoObjectives();
  if (!(command.duration_s >= 0 && command.duration_s < 1e9)) {
    return absl::InvalidArgumentError(fmt::format("--duration {}: expected seconds, 0 for no end", command.duration_s));
  }
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  ASSIGN_OR_RETURN(RequestSource source, RequestSource::Load(command.source));
  ASSIGN_OR_RETURN(auto sender, TrafficSender::Start(command.sender, std::move(source)));
  ShowUntilEnd(command, *sender, stop);
  sender->Stop();

  const TrafficReport report = sender->Report();
  if (command.json) {
    nlohmann::ordered_json json = Json(report);
    json["seed"] = command.source.seed;
    json["rate"] = command.sender.rate_per_second;
    fmt::print("{}\n", json.dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{:.1f} s, {} requests, {} answered, {} failed, seed {}\n\n{}",
               std::chrono::duration<double>(report.duration).count(), report.sent, report.answered(), report.failed(),
               command.source.seed, Table(report));
  }
  return report.failed() == 0;
}

}  // namespace

void AddSend(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<SendCommand>();
  CLI::App* command = app.add_subcommand(
      "send", "Send Open Inference requests made from real films and flights, and report who answered them");
  command->add_option("--target", options->sender.target, "HOST:PORT of a proxy")->required();
  command->add_option("--data", options->source.data_folder, "Folder of the data")->capture_default_str();
  command->add_option("--objective", options->objectives,
                      "NAME=films or NAME=flights; repeat for several. Those of examples/rules/demo when absent");
  command->add_option("--rate", options->sender.rate_per_second, "Requests per second, whether answered or not")
      ->capture_default_str();
  command->add_option("--connections", options->sender.connections, "HTTP/2 connections")->capture_default_str();
  command->add_option("--duration", options->duration_s, "Seconds; 0 goes on until Ctrl-C")->capture_default_str();
  command->add_option("--traffic-type", options->sender.traffic_type, "live or synthetic")->capture_default_str();
  command->add_option("--tenant", options->sender.tenant, "Value of sb-tenant");
  command->add_option("--users", options->source.users, "Users that the requests are of")->capture_default_str();
  command->add_option("--seed", options->source.seed, "Equal seeds send equal requests")->capture_default_str();
  command->add_flag("--json", options->json, "Print the final summary as JSON; live tables go to standard error");
  command->callback([options, &outcome] {
    absl::StatusOr<bool> all_answered = Run(*options);
    if (!all_answered.ok()) {
      fmt::print(stderr, "signalbox send: {}\n", Message(all_answered.status()));
      outcome.exit_code = ExitCodeOf(all_answered.status());
    } else if (!*all_answered) {
      outcome.exit_code = 2;
    }
  });
}

}  // namespace signalbox::cli
