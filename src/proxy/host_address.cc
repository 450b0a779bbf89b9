#include "proxy/host_address.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstring>

#include "base/status.h"

namespace signalbox::proxy {
namespace {

absl::Status Resolve(const std::string& text, HostAddress& out) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is no address, expected HOST:PORT or [IPv6]:PORT", text));
  }
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found);
  if (error != 0) return absl::UnavailableError(fmt::format("address {}: {}", text, gai_strerror(error)));
  std::memcpy(&out.address, found->ai_addr, found->ai_addrlen);
  out.length = found->ai_addrlen;
  freeaddrinfo(found);
  return absl::OkStatus();
}

}  // namespace

HostAddress ResolveHostAddress(const std::string& text) {
  HostAddress address;
  address.text = text;
  address.status = Resolve(text, address);
  return address;
}

absl::StatusOr<HostAddress> ParseListenAddress(const std::string& text) {
  HostAddress address = ResolveHostAddress(text);
  if (!address.status.ok()) return address.status;
  return address;
}

void PrepareSocket(int socket) {
  const int on = 1;
  const int idle_s = 60;
  const int interval_s = 10;
  const int probes = 3;
  const int unacknowledged_ms = 30'000;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
}

int PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

}  // namespace signalbox::proxy
