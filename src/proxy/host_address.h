// Where a host listens.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::proxy {

struct HostAddress {
  std::string text;     // "HOST:PORT" as in the placement
  absl::Status status;  // why the name could not be resolved
  sockaddr_storage address{};
  socklen_t length = 0;
};

// Splits "HOST:PORT" and "[IPv6]:PORT" and looks the host up, which may block for seconds when it is a name. A failure
// is in `status`.
HostAddress ResolveHostAddress(const std::string& text);

// The same as an error, with `text` in it: for addresses to listen on.
absl::StatusOr<HostAddress> ParseListenAddress(const std::string& text);

// What every connection's socket gets: no delay of small writes, and an end when the other machine is gone without a
// word (a minute of silence, or 30 s without an acknowledgement of what was sent).
void PrepareSocket(int socket);

// The port of a bound socket.
int PortOf(int socket);

}  // namespace signalbox::proxy
