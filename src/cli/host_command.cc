#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/fleet_membership.h"
#include "cli/stop_signal.h"
#include "host/host.h"

namespace signalbox::cli {
namespace {

// Requests take milliseconds; what is left after this is a client that does not read.
constexpr std::chrono::seconds kStopGrace{10};
constexpr std::chrono::milliseconds kStopCheckInterval{50};
constexpr char kRole[] = "signalbox host";
// After it has left, data planes still send until they have heard of it. Who sends longer than this does so for ever.
constexpr std::chrono::milliseconds kQuiet{500};
constexpr std::chrono::milliseconds kQuietMax{10'000};

struct HostCommand {
  host::HostOptions host;
  FleetMembershipOptions membership;  // without a control plane: of none
  std::string port_file;
};

absl::StatusOr<std::unique_ptr<fleet::Registration>> Join(const HostCommand& command, const host::Host& host) {
  FleetMembershipOptions membership = command.membership;
  if (membership.address.empty()) membership.address = host.address();
  membership.memory_bytes = command.host.memory_bytes;
  return JoinFleet(membership, kRole, [instance = host.instance()] { return instance; });
}

absl::Status CheckMembership(const HostCommand& command) {
  const FleetMembershipOptions& membership = command.membership;
  if (!membership.control.empty() ||
      (membership.shard.empty() && membership.host_id.empty() && membership.address.empty() && membership.cores == 0)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "--shard, --host-id, --advertise and --cores are of hosts that join a fleet: expected --join HOST:PORT with "
      "them");
}

absl::Status Run(const HostCommand& command) {
  RETURN_IF_ERROR(CheckMembership(command));
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  ASSIGN_OR_RETURN(std::unique_ptr<host::Host> host, host::Host::Start(command.host));
  std::optional<host::LoadResult> loaded;
  while (!(loaded = host->WaitUntilLoaded(kStopCheckInterval))) {
    if (!stop.WaitFor(std::chrono::nanoseconds(0))) continue;
    fmt::print("stopping: not all models were loaded\n");
    host->Stop(kStopGrace);
    return absl::OkStatus();
  }
  for (const std::string& failure : loaded->failures) fmt::print(stderr, "signalbox host: not loaded: {}\n", failure);
  if (!loaded->ready) {
    return absl::FailedPreconditionError(
        fmt::format("{}: no model could be loaded; `--load none` starts a host without any", command.host.repository));
  }
  if (!command.port_file.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(command.port_file, fmt::format("{}\n", host->port())));
  }
  fmt::print("listening on {}\n", host->address());
  std::fflush(stdout);
  std::unique_ptr<fleet::Registration> registration;
  if (!command.membership.control.empty()) {
    ASSIGN_OR_RETURN(registration, Join(command, *host));
  }

  stop.Wait();
  if (registration != nullptr) {
    fmt::print("leaving the fleet: serving until nobody asks any more\n");
    std::fflush(stdout);
    LeaveFleet(*registration, kRole);
    host->WaitUntilQuiet(kQuiet, kQuietMax);
  }
  fmt::print("stopping: no new requests, waiting for those in flight\n");
  std::fflush(stdout);
  host->Stop(kStopGrace);
  return absl::OkStatus();
}

}  // namespace

void AddHost(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<HostCommand>();
  CLI::App* command = app.add_subcommand("host", "Serve models from a repository over the Open Inference Protocol");
  command->add_option("--repository", options->host.repository, "Model repository, as `signalbox train` writes it")
      ->required();
  command->add_option("--listen", options->host.listen, "HOST:PORT; port 0 takes a free one")->required();
  command->add_option("--port-file", options->port_file, "Write the bound port here once the models are loaded");
  command->add_option("--load", options->host.load, "What to load at the start: all, none, or name[@version],...")
      ->delimiter(',')
      ->default_str("all");
  command->add_option("--memory-bytes", options->host.memory_bytes,
                      "What the files of all loaded models may have together; loads beyond it are refused");
  FleetMembershipOptions& membership = options->membership;
  command->add_option("--join", membership.control,
                      "HOST:PORT[,HOST:PORT...] of control planes whose fleet it joins, tried in turn");
  command->add_option("--shard", membership.shard, "Shard that it joins");
  command->add_option("--host-id", membership.host_id, "Its name, the same after a restart; default: its address");
  command->add_option("--advertise", membership.address,
                      "HOST:PORT at which control planes and data planes reach it; default: --listen");
  command->add_option("--cores", membership.cores,
                      "Seconds of work that it does in a second; default: as the shard says");
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      fmt::print(stderr, "signalbox host: {}\n", Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
