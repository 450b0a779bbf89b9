// Addresses of hosts and control planes, as people write them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::fleet {

// INVALID_ARGUMENT unless it is "HOST:PORT" or "[IPv6]:PORT" with a port from 1 to 65535. `what` it is, for the
// message.
absl::Status CheckAddress(std::string_view what, std::string_view address);

// 1 to 16 addresses, separated by commas.
absl::StatusOr<std::vector<std::string>> ReadAddresses(std::string_view what, std::string_view list);

// Whether all interfaces are meant ("0.0.0.0:8001", "[::]:8001"): good to listen on, and nothing that others can reach.
bool IsAnyInterface(std::string_view address);

}  // namespace signalbox::fleet
