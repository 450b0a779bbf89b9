#include "proxy/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/status.h"
#include "proxy/host_connection.h"
#include "proxy/worker.h"

namespace signalbox::proxy {

Host::~Host() { CloseConnections(); }

void Host::SetAddress(HostAddress address) {
  if (!address.status.ok() && address_.status.ok()) return;  // what once was found is better than nothing
  address_ = std::move(address);
}

absl::Status Host::Submit(Attempt& attempt) {
  HostConnection* best = BestConnection();
  if (best != nullptr && best->HasWindow()) return best->Open(attempt);
  absl::Status status;
  const bool may_connect = UsableConnections() < kConnectionsPerHostMax && worker_.now() >= retry_at_;
  if (!connecting() && may_connect) status = Connect();
  // A stream that the host does not read can hold the whole window of its connection: better to wait for the next.
  if (best != nullptr && !connecting()) return best->Open(attempt);
  if (UsableConnections() == 0) {
    return status.ok() ? absl::UnavailableError(fmt::format("host {} cannot be reached", name())) : status;
  }
  if (waiting_.size() >= kWaitingRequestsMax) {
    return absl::UnavailableError(fmt::format("host {}: {} requests wait for it already", name(), waiting_.size()));
  }
  waiting_.PushBack(attempt);
  return absl::OkStatus();
}

void Host::OnConnected() {
  backoff_ = kBackoffFirst;
  ServeWaiting();
}

void Host::OnConnectFailed(HostConnection& connection, const absl::Status& why) {
  std::erase(connections_, &connection);
  BackOff();
  Reconsider(why);
}

void Host::BackOff() {
  retry_at_ = worker_.now() + backoff_;
  backoff_ = std::min(backoff_ * 2, kBackoffMax);
}

void Host::OnConnectionClosed(HostConnection& connection, const absl::Status& why) {
  std::erase(connections_, &connection);
  Reconsider(why);
}

void Host::OnConnectionUnusable() { Reconsider(absl::UnavailableError(fmt::format("host {} is going away", name()))); }

void Host::Reconsider(const absl::Status& why) {
  ServeWaiting();
  if (UsableConnections() == 0) FailWaiting(why);
}

size_t Host::UsableConnections() const {
  return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                           [](const HostConnection* connection) { return connection->Usable(); }));
}

void Host::CloseConnections() {
  while (!connections_.empty()) {
    HostConnection* connection = connections_.back();
    connections_.pop_back();
    connection->Abandon();
  }
  FailWaiting(absl::UnavailableError(fmt::format("host {} is not in use any more", name())));
}

HostConnection* Host::BestConnection() const {
  HostConnection* best = nullptr;
  for (HostConnection* connection : connections_) {
    if (!connection->HasRoom()) continue;
    const bool better = best == nullptr || (connection->HasWindow() && !best->HasWindow()) ||
                        (connection->HasWindow() == best->HasWindow() && connection->streams() < best->streams());
    if (better) best = connection;
  }
  return best;
}

bool Host::connecting() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const HostConnection* connection) { return connection->connecting(); });
}

absl::Status Host::Connect() {
  if (!address_.status.ok()) return address_.status;
  absl::StatusOr<int> socket = HostConnection::StartConnecting(address_);
  if (!socket.ok()) {
    BackOff();
    return socket.status();
  }
  connections_.push_back(new HostConnection(worker_, *this, *socket));  // owned by the worker, which buries it
  return absl::OkStatus();
}

void Host::ServeWaiting() {
  while (!waiting_.empty()) {
    HostConnection* best = BestConnection();
    // With a connection on its way, one without a window is not better than waiting.
    if (best == nullptr || (!best->HasWindow() && connecting())) return;
    Attempt& attempt = *waiting_.PopFront();
    if (absl::Status status = best->Open(attempt); !status.ok()) attempt.OnHostGone(status, Processed::kNo);
  }
}

void Host::FailWaiting(const absl::Status& why) {
  // Only those that wait now: a request that fails here may come back.
  for (size_t count = waiting_.size(); count > 0 && !waiting_.empty(); --count)
    waiting_.PopFront()->OnHostGone(why, Processed::kNo);
}

}  // namespace signalbox::proxy
