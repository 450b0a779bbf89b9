#include <fcntl.h>
#include <fmt/format.h>
#include <httplib.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/demo/demo_models.h"
#include "cli/demo/demo_system.h"
#include "cli/demo/hints.h"
#include "cli/demo/progress.h"
#include "cli/rule_folder.h"
#include "cli/send/live_text.h"
#include "cli/send/traffic_sender.h"
#include "cli/stop_signal.h"

namespace signalbox::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A terminal is redrawn often; a log file gets a table now and then.
constexpr seconds kTerminalInterval{1};
constexpr seconds kLogInterval{5};
// A table is of the requests since then: long enough for shares that mean something, short enough to see a change.
constexpr seconds kWindow{5};
constexpr int kConnections = 4;

struct DemoCommand {
  std::string folder = ".demo";
  std::string data = "node_modules/vega-datasets/data";
  std::string rules = "examples/rules/demo";
  std::string listen = "127.0.0.1:0";
  std::string admin = "127.0.0.1:0";
  double rate = 200;
  double duration_s = 0;
  uint64_t seed = 1;
};

// Held until the process ends: two demos in one folder would tell each other's hosts apart by luck.
absl::Status LockFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return absl::UnavailableError(fmt::format("create {}: {}", folder, error.message()));
  const std::string path = folder + "/lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return absl::UnavailableError(fmt::format("open {}: {}", path, strerrordesc_np(errno)));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    close(file);
    return absl::UnavailableError(
        fmt::format("a demo runs in {} already: stop that one, or give this one another folder with --dir", folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> RuleFiles(const std::string& path) {
  ASSIGN_OR_RETURN(RuleFolder folder, ListRuleFolder(path));
  if (folder.rule_files.empty()) return absl::NotFoundError(fmt::format("{}: no rule file (*.js) in it", path));
  return std::move(folder.rule_files);
}

std::string OwnPath() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).string();
}

// As one would type it in this folder.
std::string AsTyped(const std::string& path) {
  std::error_code error;
  const std::string relative = fs::relative(path, fs::current_path(error), error).string();
  return error || relative.empty() || relative.starts_with("..") ? path : relative;
}

// Signals that came are remembered: the start asks at every step.
class Interruption {
 public:
  explicit Interruption(StopSignal& stop) : stop_(stop) {}
  bool Came() { return WaitFor(milliseconds(0)); }
  bool WaitFor(std::chrono::nanoseconds timeout) {
    if (!came_) came_ = stop_.WaitFor(timeout);
    return came_;
  }

 private:
  StopSignal& stop_;
  bool came_ = false;
};

absl::Status StartSystem(const DemoCommand& command, DemoSystem& system, Interruption& interruption) {
  Progress progress(stdout);
  auto step = [&](const char* name, const std::function<absl::StatusOr<std::string>()>& work) -> absl::Status {
    if (interruption.Came()) return absl::CancelledError("interrupted");
    progress.Begin(name);
    absl::StatusOr<std::string> result = work();
    result.ok() ? progress.Done(*result)
                : progress.Failed(absl::IsCancelled(result.status()) ? "interrupted" : "failed");
    return result.status();
  };
  RETURN_IF_ERROR(system.MakeFolders());
  RETURN_IF_ERROR(step("models", [&] { return TrainOnce(command.data, system.paths().models, command.seed); }));
  RETURN_IF_ERROR(step("control plane", [&] { return system.StartControlPlane(); }));
  RETURN_IF_ERROR(step("model hosts", [&] { return system.StartHosts(); }));
  RETURN_IF_ERROR(step("rules", [&] { return system.PublishRules(); }));
  return step("proxy", [&] { return system.StartProxy(); });
}

// One line: what the proxy runs now, in its own words.
std::string RunningSnapshot(httplib::Client& admin) {
  const httplib::Result page = admin.Get("/snapshot");
  if (!page || page->status != 200) return "the proxy's /snapshot page does not answer";
  const auto json = nlohmann::json::parse(page->body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return "the proxy's /snapshot page is no JSON";
  return fmt::format("snapshot version {}, hash {}", json.value("version", int64_t{0}),
                     json.value("hash", std::string()).substr(0, 16));
}

double Seconds(const TrafficReport& report) { return std::chrono::duration<double>(report.duration).count(); }

// Shows what was answered of late, until the end of the demo. An error when a process of the system ended.
absl::Status ShowTraffic(const DemoCommand& command, DemoSystem& system, const TrafficSender& sender,
                         Interruption& interruption) {
  LiveText live(stdout);
  httplib::Client admin("http://" + system.admin_address());
  const seconds interval = live.is_terminal() ? kTerminalInterval : kLogInterval;
  std::deque<TrafficReport> earlier(1);  // those of the window, oldest first
  std::chrono::nanoseconds shown{0};
  while (true) {
    const TrafficReport report = sender.Report();
    if (command.duration_s > 0 && Seconds(report) >= command.duration_s) return absl::OkStatus();
    if (interruption.WaitFor(milliseconds(100))) return absl::OkStatus();
    RETURN_IF_ERROR(system.Check());
    RETURN_IF_ERROR(system.RotateDecisionLog());
    if (report.duration - shown < interval) continue;
    const TrafficReport late = report.Since(earlier.front());
    live.Replace(fmt::format("{:.0f} s, {} answered, {} failed, {}; the last {:.0f} s:\n{}\n", Seconds(report),
                             report.answered(), report.failed(), RunningSnapshot(admin), Seconds(late), Table(late)));
    shown = report.duration;
    earlier.push_back(report);
    if (report.duration - earlier.front().duration >= kWindow) earlier.pop_front();
  }
}

absl::Status RunTraffic(const DemoCommand& command, DemoSystem& system, Interruption& interruption) {
  ASSIGN_OR_RETURN(
      RequestSource source,
      RequestSource::Load({.data_folder = command.data, .objectives = DemoObjectives(), .seed = command.seed}));
  ASSIGN_OR_RETURN(auto sender, TrafficSender::Start({.target = system.proxy_address(),
                                                      .rate_per_second = command.rate,
                                                      .connections = kConnections,
                                                      .tenant = "demo"},
                                                     std::move(source)));
  const absl::Status shown = ShowTraffic(command, system, *sender, interruption);
  sender->Stop();
  const TrafficReport report = sender->Report();
  fmt::print("\n{} requests, {} answered, {} failed\n{}", report.sent, report.answered(), report.failed(),
             Table(report));
  RETURN_IF_ERROR(shown);
  if (report.failed() == 0) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("{} of {} requests failed; the last lines above say how, and {} holds the "
                  "logs of all processes",
                  report.failed(), report.sent, system.paths().logs));
}

absl::Status Run(const DemoCommand& command) {
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  Interruption interruption(stop);
  ASSIGN_OR_RETURN(std::vector<std::string> rule_files, RuleFiles(command.rules));
  RETURN_IF_ERROR(LockFolder(command.folder));
  DemoSystem system({.program = OwnPath(),
                     .folder = command.folder,
                     .listen = command.listen,
                     .admin = command.admin,
                     .rule_files = std::move(rule_files)},
                    [&] { return interruption.Came(); });
  fmt::print(
      "signalbox demo: three model hosts in two shards, a control plane, a proxy, and traffic from real data\n\n");
  absl::Status result = StartSystem(command, system, interruption);
  if (result.ok()) {
    fmt::print("\n{}\n", Hints({.program = AsTyped(OwnPath()),
                                .rules_folder = command.rules,
                                .canary_folder = command.rules + "-canary"},
                               system));
    fmt::print("{:g} requests/s through {}; Ctrl-C ends the demo\n\n", command.rate, system.proxy_address());
    std::fflush(stdout);
    result = RunTraffic(command, system, interruption);
  }
  const absl::Status stopped = system.Stop();
  // Ctrl-C while it started. A child that began just now does not listen to SIGTERM yet, and simply ends by it.
  const bool started = !absl::IsCancelled(result);
  if (started) {
    RETURN_IF_ERROR(result);
    RETURN_IF_ERROR(stopped);
  }
  fmt::print("stopped; {} keeps the models and what was published\n", command.folder);
  return absl::OkStatus();
}

}  // namespace

void AddDemo(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<DemoCommand>();
  CLI::App* command = app.add_subcommand("demo", "Run a whole signalbox on this machine, with real models and traffic");
  command->add_option("--dir", options->folder, "Folder for everything that the demo keeps")->capture_default_str();
  command->add_option("--data", options->data, "Folder of the data")->capture_default_str();
  command->add_option("--rules", options->rules, "Folder of the rule files that are published")->capture_default_str();
  command->add_option("--listen", options->listen, "HOST:PORT of the proxy; port 0 takes a free one")
      ->capture_default_str();
  command->add_option("--admin", options->admin, "HOST:PORT of the proxy's pages for operators")->capture_default_str();
  command->add_option("--rate", options->rate, "Requests per second")->capture_default_str();
  command->add_option("--duration", options->duration_s, "Seconds of traffic; 0 goes on until Ctrl-C")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of training and traffic")->capture_default_str();
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      std::fflush(stdout);
      fmt::print(stderr, "signalbox demo: {}\n", Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
