// One model host as one worker sees it: its connections, whether it can be reached, and the requests that wait for it.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "balance/host_state.h"
#include "proxy/attempt.h"
#include "proxy/deadline_queue.h"
#include "proxy/host_address.h"
#include "proxy/intrusive_list.h"

namespace signalbox::proxy {

class HostConnection;
class Worker;

// Shared by all Objectives, and as many of its own for an Objective that needs them. More only help where a host limits
// what one connection may do: its streams, or its window.
inline constexpr size_t kConnectionsPerHostMax = 4;
// How long an Objective that got in the way of others stays on connections of its own.
inline constexpr std::chrono::seconds kIsolatedFor{60};
// Requests that wait for a connection, per worker. Above it the host is taken for overloaded.
inline constexpr size_t kWaitingRequestsMax = 1024;
inline constexpr std::chrono::milliseconds kConnectTimeout{1000};
// After a failed attempt to connect, doubling; in the meantime the host is passed over.
inline constexpr std::chrono::milliseconds kBackoffFirst{100};
inline constexpr std::chrono::milliseconds kBackoffMax{1000};

// For its worker's thread.
class Host {
 public:
  // `state` is the process's, and the same for all its workers.
  Host(Worker& worker, HostAddress address, std::shared_ptr<balance::HostState> state)
      : worker_(worker), address_(std::move(address)), state_(std::move(state)) {}
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::string& name() const { return address_.text; }
  const HostAddress& address() const { return address_; }
  balance::HostState& state() { return *state_; }
  // A newer snapshot looked the name up again.
  void SetAddress(HostAddress address);

  // False while it is known that it cannot be reached.
  bool Available(Time now) const { return address_.status.ok() && now >= retry_at_; }
  // Gives the request a stream now, or as soon as there is a connection. An error when neither is possible.
  absl::Status Submit(Attempt& attempt);
  // The request does not wait any more.
  void Forget(Attempt& attempt) { waiting_.Remove(attempt); }

  // --- What its connections report.
  void OnConnected();
  void OnConnectFailed(HostConnection& connection, const absl::Status& why);
  void OnConnectionClosed(HostConnection& connection, const absl::Status& why);
  void OnConnectionUnusable();
  // What this Objective does on a connection is others' trouble: it gets connections of its own for a while.
  void Isolate(const limit::Bulkhead& objective);
  bool IsIsolated(const limit::Bulkhead* objective) const;
  // A stream ended, or a window grew.
  void OnRoom() { ServeWaiting(); }

  // Ends all connections: no snapshot in use names the host any more.
  void CloseConnections();

  // How many of the worker's routes name it.
  uint32_t routes = 0;

 private:
  // --- Of a lane: the connections of one Objective, or, nullptr, those that all share.
  using Objective = const limit::Bulkhead*;
  HostConnection* BestConnection(Objective lane) const;
  bool connecting(Objective lane) const;
  // Those that take streams now, may take some later, or are on their way.
  size_t UsableConnections(Objective lane) const;
  absl::Status Connect(Objective lane);
  absl::Status SubmitTo(Objective lane, size_t connections_max, Attempt& attempt);
  // The connection that a waiting attempt can have now.
  HostConnection* ConnectionFor(const Attempt& attempt) const;
  bool HasHope(const Attempt& attempt) const;
  bool HasNoConnection() const;

  // It is passed over for a while.
  void BackOff();
  void ServeWaiting();
  // After a connection was lost for new streams: those who have nothing to wait for any more look elsewhere.
  void Reconsider(const absl::Status& why);
  void FailWaiting(const absl::Status& why);

  Worker& worker_;
  HostAddress address_;
  const std::shared_ptr<balance::HostState> state_;
  std::vector<HostConnection*> connections_;
  IntrusiveList<Attempt, &Attempt::waiting_hook> waiting_;
  struct Isolated {
    Objective objective;
    Time until;
  };
  std::vector<Isolated> isolated_;
  Time retry_at_{};
  std::chrono::milliseconds backoff_ = kBackoffFirst;
};

}  // namespace signalbox::proxy
