// A host's membership in a managed fleet, as `signalbox host --join` and `signalbox join` hold it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fleet/registration.h"

namespace signalbox::cli {

struct FleetMembershipOptions {
  std::string control;  // "HOST:PORT[,HOST:PORT...]"
  std::string shard;
  std::string host_id;        // empty: the address
  std::string address;        // at which others reach the host
  uint64_t memory_bytes = 0;  // 0: as the shard says
  double cores = 0;
};

// Joins, and says on standard error, as `role` ("signalbox host"), what becomes of it. `instance` is asked before each
// renewal. INVALID_ARGUMENT for options that cannot be; a control plane that is not there, or refuses, is asked again.
absl::StatusOr<std::unique_ptr<fleet::Registration>> JoinFleet(const FleetMembershipOptions& options,
                                                               const std::string& role,
                                                               std::function<absl::StatusOr<std::string>()> instance);

// Leaves; says on standard error when no control plane has heard of it.
void LeaveFleet(fleet::Registration& registration, const std::string& role);

}  // namespace signalbox::cli
