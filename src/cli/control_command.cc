#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cstdio>
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

absl::Status Run(const ControlCommand& command) {
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  LogToStandardError();
  UseAllPermittedFiles();
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

}  // namespace

void AddControl(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<ControlCommand>();
  CLI::App* command = app.add_subcommand("control", "Send what is published in a store to every data plane");
  command->add_option("--store", options->control.store, "sqlite:PATH; made when it is missing")->required();
  command->add_option("--listen", options->control.distribution.listen, "HOST:PORT; port 0 takes a free one")
      ->required();
  command
      ->add_option("--placement", options->control.placement.file,
                   "Which models are on which hosts (JSON); watched, and published when it changes")
      ->required();
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
