#include "cli/fleet_membership.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/status.h"
#include "fleet/address.h"

namespace signalbox::cli {
namespace {

// The control plane answers when the host is out of the placement.
constexpr std::chrono::milliseconds kLeaveMax{10'000};

}  // namespace

absl::StatusOr<std::unique_ptr<fleet::Registration>> JoinFleet(const FleetMembershipOptions& options,
                                                               const std::string& role,
                                                               std::function<absl::StatusOr<std::string>()> instance) {
  RETURN_IF_ERROR(fleet::CheckAddress("address for others", options.address));
  if (fleet::IsAnyInterface(options.address)) {
    return absl::InvalidArgumentError(fmt::format(
        "{} is all interfaces of this machine: say with --advertise HOST:PORT at which address others reach it",
        options.address));
  }
  if (options.shard.empty()) return absl::InvalidArgumentError("--shard: expected the name of a shard of the fleet");
  auto identity = [options, instance = std::move(instance)]() -> absl::StatusOr<v1::HostIdentity> {
    v1::HostIdentity host;
    ASSIGN_OR_RETURN(*host.mutable_instance(), instance());
    host.set_id(options.host_id.empty() ? options.address : options.host_id);
    host.set_address(options.address);
    host.set_shard(options.shard);
    host.set_memory_bytes(options.memory_bytes);
    host.set_cores(options.cores);
    return host;
  };
  const std::string member = fmt::format("{} as host {} at {}", options.shard,
                                         options.host_id.empty() ? options.address : options.host_id, options.address);
  return fleet::Registration::Start(
      {.control = options.control, .identity = std::move(identity)},
      [role, member](const fleet::RegistrationStatus& status) {
        if (status.registered) {
          fmt::print(stderr, "{}: member of shard {}, by control plane {}\n", role, member, status.control);
        } else {
          fmt::print(stderr, "{}: not a member of shard {}, and tries again: {}\n", role, member, status.trouble);
        }
      });
}

void LeaveFleet(fleet::Registration& registration, const std::string& role) {
  if (absl::Status status = registration.Leave(kLeaveMax); !status.ok()) {
    fmt::print(stderr, "{}: {}; its lease runs out by itself\n", role, Message(status));
  }
}

}  // namespace signalbox::cli
