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

// All Objectives share connections: a hundred of them on one host would else need a hundred connections, each with its
// own system calls, for what now leaves in one. Where the shared ones have no room for an Objective's request, or its
// streams kept others waiting, it gets its own.
absl::Status Host::Submit(Attempt& attempt) {
  const Lane& lane = attempt.lane();
  if (IsIsolated(lane.objective)) return SubmitTo(lane.objective, lane.connections_max, attempt);
  HostConnection* shared = BestConnection(nullptr);
  const bool has_room = shared != nullptr && shared->HasWindow();
  const bool may_grow = connecting(nullptr) || UsableConnections(nullptr) < kConnectionsPerHostMax;
  if (has_room || may_grow || lane.objective == nullptr) return SubmitTo(nullptr, kConnectionsPerHostMax, attempt);
  return SubmitTo(lane.objective, lane.connections_max, attempt);
}

absl::Status Host::SubmitTo(Objective lane, size_t connections_max, Attempt& attempt) {
  HostConnection* best = BestConnection(lane);
  if (best != nullptr && best->HasWindow()) return best->Open(attempt);
  absl::Status status;
  const bool may_connect = UsableConnections(lane) < connections_max && worker_.now() >= retry_at_;
  if (!connecting(lane) && may_connect) status = Connect(lane);
  // A stream that the host does not read can hold the whole window of its connection: better to wait for the next.
  if (best != nullptr && !connecting(lane)) return best->Open(attempt);
  if (UsableConnections(lane) == 0) {
    return status.ok() ? absl::UnavailableError(fmt::format("host {} cannot be reached", name())) : status;
  }
  if (waiting_.size() >= kWaitingRequestsMax) {
    return absl::UnavailableError(fmt::format("host {}: {} requests wait for it already", name(), waiting_.size()));
  }
  waiting_.PushBack(attempt);
  return absl::OkStatus();
}

void Host::Isolate(const limit::Bulkhead& objective) {
  const Time now = worker_.now();
  std::erase_if(isolated_, [&](const Isolated& each) { return each.objective == &objective || each.until <= now; });
  isolated_.push_back({&objective, now + kIsolatedFor});
}

bool Host::IsIsolated(Objective objective) const {
  return std::any_of(isolated_.begin(), isolated_.end(),
                     [&](const Isolated& each) { return each.objective == objective && each.until > worker_.now(); });
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
  if (HasNoConnection()) return FailWaiting(why);
  // Connections are there, but not for each that waits. Only those that wait now: one that fails may come back.
  for (size_t count = waiting_.size(); count > 0 && !waiting_.empty(); --count) {
    Attempt& attempt = *waiting_.PopFront();
    HasHope(attempt) ? waiting_.PushBack(attempt) : attempt.OnHostGone(why, Processed::kNo);
  }
}

size_t Host::UsableConnections(Objective lane) const {
  return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(), [&](const HostConnection* each) {
    return each->lane() == lane && each->Usable();
  }));
}

bool Host::HasNoConnection() const {
  return std::none_of(connections_.begin(), connections_.end(),
                      [](const HostConnection* connection) { return connection->Usable(); });
}

bool Host::HasHope(const Attempt& attempt) const {
  const Objective objective = attempt.lane().objective;
  if (objective != nullptr && UsableConnections(objective) > 0) return true;
  return !IsIsolated(objective) && UsableConnections(nullptr) > 0;
}

void Host::CloseConnections() {
  while (!connections_.empty()) {
    HostConnection* connection = connections_.back();
    connections_.pop_back();
    connection->Abandon();
  }
  FailWaiting(absl::UnavailableError(fmt::format("host {} is not in use any more", name())));
}

HostConnection* Host::BestConnection(Objective lane) const {
  HostConnection* best = nullptr;
  for (HostConnection* connection : connections_) {
    if (connection->lane() != lane || !connection->HasRoom()) continue;
    const bool better = best == nullptr || (connection->HasWindow() && !best->HasWindow()) ||
                        (connection->HasWindow() == best->HasWindow() && connection->streams() < best->streams());
    if (better) best = connection;
  }
  return best;
}

bool Host::connecting(Objective lane) const {
  return std::any_of(connections_.begin(), connections_.end(), [&](const HostConnection* connection) {
    return connection->lane() == lane && connection->connecting();
  });
}

absl::Status Host::Connect(Objective lane) {
  if (!address_.status.ok()) return address_.status;
  absl::StatusOr<int> socket = HostConnection::StartConnecting(address_);
  if (!socket.ok()) {
    BackOff();
    return socket.status();
  }
  connections_.push_back(new HostConnection(worker_, *this, *socket, lane));  // owned by the worker, which buries it
  return absl::OkStatus();
}

HostConnection* Host::ConnectionFor(const Attempt& attempt) const {
  const Objective objective = attempt.lane().objective;
  for (const Objective lane : {Objective{nullptr}, objective}) {
    if (lane == nullptr && IsIsolated(objective)) continue;
    HostConnection* best = BestConnection(lane);
    // With a connection on its way, one without a window is not better than waiting.
    if (best != nullptr && (best->HasWindow() || !connecting(lane))) return best;
  }
  return nullptr;
}

void Host::ServeWaiting() {
  for (Attempt* attempt = waiting_.first(); attempt != nullptr;) {
    Attempt* next = decltype(waiting_)::Next(*attempt);
    HostConnection* connection = ConnectionFor(*attempt);
    if (connection == nullptr) {
      // Where all share, those behind it have no more than the first has.
      const bool all_share =
          isolated_.empty() && std::none_of(connections_.begin(), connections_.end(),
                                            [](const auto* each) { return each->lane() != nullptr; });
      if (all_share) return;
      attempt = next;
      continue;
    }
    waiting_.Remove(*attempt);
    if (absl::Status status = connection->Open(*attempt); !status.ok()) {
      attempt->OnHostGone(status, Processed::kNo);
      next = waiting_.first();  // whoever it was may be gone
    }
    attempt = next;
  }
}

void Host::FailWaiting(const absl::Status& why) {
  // Only those that wait now: a request that fails here may come back.
  for (size_t count = waiting_.size(); count > 0 && !waiting_.empty(); --count)
    waiting_.PopFront()->OnHostGone(why, Processed::kNo);
}

}  // namespace signalbox::proxy
