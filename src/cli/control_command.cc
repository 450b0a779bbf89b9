#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/control_metrics.h"
#include "cli/stop_signal.h"
#include "control/control_plane.h"
#include "telemetry/admin_server.h"

namespace signalbox::cli {
namespace {

struct ControlCommand {
  control::ControlOptions control;
  std::string port_file;
  std::string admin;
  std::string admin_port_file;
};

// The log goes to standard error, as systemd and containers want it; times in UTC.
void LogToStandardError() {
  auto logger = std::make_shared<spdlog::logger>("control", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l: %v", spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  // gRPC would tell in its own words, and many of them, what our messages say.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
}

// A connection for each data plane: the usual soft limit of 1024 files would end that early.
void UseAllPermittedFiles() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

// Another one for each control plane of a store, and the same after a restart where it listens on the same port.
std::string DefaultNodeId(const ControlCommand& command) {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '?';
  const std::string& listen = command.control.distribution.listen;
  const std::string port = listen.substr(listen.rfind(':') + 1);
  return fmt::format("{}:{}", std::string_view(host).substr(0, 200), port == "0" ? fmt::format("{}", getpid()) : port);
}

absl::StatusOr<std::unique_ptr<telemetry::AdminServer>> StartAdmin(const ControlCommand& command,
                                                                   const control::ControlPlane& control,
                                                                   const ControlMetrics& metrics) {
  telemetry::AdminPages pages;
  pages.healthz = [] { return absl::OkStatus(); };
  // What was read last stays out without the store, but nothing new would come.
  pages.readyz = [&control] { return control.status().store; };
  pages.snapshot = [&control] {
    const control::ControlStatus status = control.status();
    return telemetry::SnapshotStatus{.hash = status.hash,
                                     .version = status.version,
                                     .created_unix_ms = status.created_unix_ms,
                                     .source = "store",
                                     .node_id = "control",
                                     .last_refusal = DescribeHeldBack(status)};
  };
  ASSIGN_OR_RETURN(auto admin, telemetry::AdminServer::Start(command.admin, {&metrics}, std::move(pages)));
  if (!command.admin_port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(command.admin_port_file, fmt::format("{}\n", admin->port())));
  }
  return admin;
}

absl::Status CheckOptions(const ControlCommand& command) {
  const std::string& node_id = command.control.leader.node_id;
  const bool printable = std::all_of(node_id.begin(), node_id.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!printable || node_id.size() > 128) {
    return absl::InvalidArgumentError(
        fmt::format("--node-id '{}': expected at most 128 printable ASCII characters without spaces", node_id));
  }
  if (command.control.leader.lease >= std::chrono::seconds(1)) return absl::OkStatus();
  return absl::InvalidArgumentError("--lease: expected at least 1s");
}

absl::Status Run(ControlCommand command) {
  RETURN_IF_ERROR(CheckOptions(command));
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  LogToStandardError();
  UseAllPermittedFiles();
  if (command.control.leader.node_id.empty()) command.control.leader.node_id = DefaultNodeId(command);
  ASSIGN_OR_RETURN(std::unique_ptr<control::ControlPlane> control, control::ControlPlane::Start(command.control));
  const ControlMetrics metrics(*control);
  std::unique_ptr<telemetry::AdminServer> admin;
  if (!command.admin.empty()) {
    ASSIGN_OR_RETURN(admin, StartAdmin(command, *control, metrics));
  }
  if (!command.port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(command.port_file, fmt::format("{}\n", control->port())));
  }
  const control::ControlStatus status = control->status();
  spdlog::info("listening on port {}; version {} ({:.12}) of {}", control->port(), status.version, status.hash,
               command.control.store);
  if (admin != nullptr) spdlog::info("admin pages on port {}", admin->port());

  stop.Wait();
  spdlog::info("stopping: data planes go on with what they have");
  admin.reset();
  control->Stop();
  return absl::OkStatus();
}

void AddDuration(CLI::App& command, const std::string& name, std::chrono::milliseconds& value,
                 const std::string& description) {
  command
      .add_option_function<int64_t>(
          name, [&value](int64_t ms) { value = std::chrono::milliseconds(ms); }, description)
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, int64_t>{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}},
                                CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
      ->check(CLI::Range(int64_t{1}, int64_t{7 * 24 * 3'600'000}))
      ->option_text(fmt::format("TIME={}s (500ms, 30s, 10m, 2h, at most 168h)", value.count() / 1000));
}

}  // namespace

void AddControl(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<ControlCommand>();
  CLI::App* command = app.add_subcommand(
      "control",
      "Send what is published in a store to every data plane; with --fleet, place, load and try models before");
  command->add_option("--store", options->control.store, fmt::format("{}; made when it is missing", store::kStoreSpecs))
      ->required();
  command->add_option("--listen", options->control.distribution.listen, "HOST:PORT; port 0 takes a free one")
      ->required();
  CLI::Option* placement = command->add_option(
      "--placement", options->control.placement.file,
      "Which models are on which hosts (JSON); watched, and published when it changes. Nothing is loaded or checked");
  command
      ->add_option(
          "--fleet", options->control.fleet.file,
          "Shards, hosts and what models need (JSON); watched. Models are placed, loaded and tried before rules "
          "that name them take effect")
      ->excludes(placement);
  command->add_option("--node-id", options->control.leader.node_id,
                      "Name of this control plane among those of the store; default: host name and port");
  AddDuration(*command, "--lease", options->control.leader.lease,
              "How long a leading control plane that says nothing is waited for");
  AddDuration(*command, "--retention", options->control.leader.controller.retention,
              "How long the models of the rules before stay loaded, for a rollback");
  AddDuration(*command, "--rollout-timeout", options->control.leader.controller.rollout_timeout,
              "How long a rollout may take from being seen to having loaded and tried its models");
  AddDuration(*command, "--forget-data-plane-after", options->control.leader.controller.forget_data_plane_after,
              "How long a data plane that is away keeps models on their hosts");
  AddDuration(*command, "--move-hold", options->control.leader.controller.move_hold,
              "How long each part of the traffic of a model that moves to another shard is held: 10 %, then 50 %");
  command->add_option("--port-file", options->port_file, "Write the bound port here once it is listened on");
  command->add_option("--admin", options->admin, "HOST:PORT for /metrics, /healthz, /readyz and /snapshot");
  command->add_option("--admin-port-file", options->admin_port_file, "Write the bound port of --admin here");
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      fmt::print(stderr, "signalbox control: {}\n", Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
