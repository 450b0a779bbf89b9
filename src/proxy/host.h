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

// More only help where a host limits what one connection may do: its streams, or its window.
inline constexpr size_t kConnectionsPerHostMax = 4;
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
  // A stream ended, or a window grew.
  void OnRoom() { ServeWaiting(); }

  // Ends all connections: no snapshot in use names the host any more.
  void CloseConnections();

  // How many of the worker's routes name it.
  uint32_t routes = 0;

 private:
  HostConnection* BestConnection() const;
  bool connecting() const;
  // Those that take streams now, may take some later, or are on their way.
  size_t UsableConnections() const;
  absl::Status Connect();
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
  Time retry_at_{};
  std::chrono::milliseconds backoff_ = kBackoffFirst;
};

}  // namespace signalbox::proxy
