#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "base/status.h"
#include "cli/commands.h"
#include "cli/fleet_membership.h"
#include "cli/stop_signal.h"
#include "fleet/address.h"
#include "fleet/live_host.h"

namespace signalbox::cli {
namespace {

constexpr char kRole[] = "signalbox join";
// Of ServerLive, before each renewal of the lease.
constexpr std::chrono::milliseconds kLiveMax{1'000};

struct JoinCommand {
  FleetMembershipOptions membership;
  std::string host;
};

absl::Status Run(JoinCommand command) {
  StopSignal stop;  // before the first thread starts: threads inherit what is blocked
  RETURN_IF_ERROR(fleet::CheckAddress("--host", command.host));
  if (command.membership.address.empty()) command.membership.address = command.host;
  auto host = std::make_shared<fleet::LiveHost>(command.host);
  ASSIGN_OR_RETURN(std::unique_ptr<fleet::Registration> registration,
                   JoinFleet(command.membership, kRole, [host] { return host->Instance(kLiveMax); }));
  stop.Wait();
  LeaveFleet(*registration, kRole);
  return absl::OkStatus();
}

}  // namespace

void AddJoin(CLI::App& app, Outcome& outcome) {
  auto options = std::make_shared<JoinCommand>();
  CLI::App* command = app.add_subcommand(
      "join", "Register any server of the Open Inference Protocol with a control plane, for as long as it lives");
  FleetMembershipOptions& membership = options->membership;
  command->add_option("--control", membership.control, "HOST:PORT[,HOST:PORT...] of control planes, tried in turn")
      ->required();
  command->add_option("--host", options->host, "HOST:PORT of the server, as it is reached from here")->required();
  command->add_option("--shard", membership.shard, "Shard of the fleet that it joins")->required();
  command->add_option("--host-id", membership.host_id, "Its name, the same after a restart; default: its address");
  command->add_option("--advertise", membership.address,
                      "HOST:PORT at which control planes and data planes reach it; default: --host");
  command->add_option("--memory-bytes", membership.memory_bytes, "For models; default: as the shard says");
  command->add_option("--cores", membership.cores,
                      "Seconds of work that it does in a second; default: as the shard says");
  command->callback([options, &outcome] {
    if (absl::Status status = Run(*options); !status.ok()) {
      fmt::print(stderr, "{}: {}\n", kRole, Message(status));
      outcome.exit_code = ExitCodeOf(status);
    }
  });
}

}  // namespace signalbox::cli
