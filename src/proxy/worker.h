// One thread of the proxy: its event loop and everything that its requests share. Workers share nothing with each other
// but the snapshot and the limits.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "allocate/worker_cells.h"
#include "balance/settings.h"
#include "proxy/admission.h"
#include "proxy/attempt.h"
#include "proxy/connection.h"
#include "proxy/deadline_queue.h"
#include "proxy/grpc_protocol.h"
#include "proxy/host.h"
#include "proxy/model_call.h"
#include "proxy/receive_buffer.h"
#include "proxy/request.h"
#include "proxy/retired_routes.h"
#include "proxy/routes.h"
#include "proxy/shadow_limits.h"
#include "proxy/shadow_traffic.h"
#include "proxy/worker_memory.h"
#include "telemetry/telemetry.h"

namespace signalbox::proxy {

// Beyond them, further connections of clients are closed at once.
inline constexpr size_t kClientConnectionsMax = 10'000;

class Worker {
 public:
  // Listens on `listener`, which it owns. `index` tells workers apart. The others outlive it. `cells` is nullptr where
  // no experimentation platform is known.
  Worker(uint32_t index, int listener, telemetry::WorkerTelemetry& telemetry, RetiredRoutes& retired,
         ProcessLimits& limits, allocate::WorkerCells* cells, const ShadowLimits& shadow_limits,
         telemetry::ShadowRecords& shadow_records, ShadowComparer& shadow_comparer);
  // Stops as Stop does.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before Start. `settings` outlive it; `asks_for_load`: hosts are asked for load reports.
  void Use(const balance::Settings& settings, bool asks_for_load) {
    balance_settings_ = &settings;
    asks_for_load_ = asks_for_load;
  }

  // --- From any thread.
  absl::Status Start();
  void SetSnapshot(const std::shared_ptr<const RoutePlan>& plan);
  // No new connections, no new streams; what is open goes on.
  void Drain();
  // Ends the thread, and with it what is still open.
  void Stop();
  uint64_t requests_open() const { return requests_open_.load(std::memory_order_relaxed); }
  uint64_t client_connections() const { return clients_open_.load(std::memory_order_relaxed); }
  uint64_t system_allocations() const { return system_allocations_.load(std::memory_order_relaxed); }
  uint64_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }
  // Since its loop last came round; it does every 100 ms, with or without anything to do.
  std::chrono::milliseconds stalled_for() const;
  // Sequence number of the last snapshot taken into use; counts from 1.
  uint64_t snapshots_taken() const { return snapshots_taken_.load(std::memory_order_acquire); }

  // How long events waited for it of late, and which part of a class it lets in.
  std::chrono::nanoseconds delay() const { return std::chrono::nanoseconds(delay_ns_.load(std::memory_order_relaxed)); }
  double admitted_share(limit::PriorityClass priority) const {
    return admitted_shares_[static_cast<size_t>(priority)].load(std::memory_order_relaxed);
  }

  // --- For connections, hosts and requests of this worker, on its thread.
  WorkerMemory& memory() { return memory_; }
  ReceiveBuffer& receive_buffer() { return receive_buffer_; }
  // For text that is used at once. Its memory is kept.
  std::string& text_buffer() { return text_buffer_; }
  DeadlineQueue<Request>& deadlines() { return deadlines_; }
  DeadlineQueue<Attempt>& attempt_deadlines() { return attempt_deadlines_; }
  DeadlineQueue<ModelCall>& call_deadlines() { return call_deadlines_; }
  allocate::WorkerCells* cells() { return cells_; }
  const balance::Settings& balance_settings() const { return *balance_settings_; }
  bool asks_for_load() const { return asks_for_load_; }
  Admission& admission() { return admission_; }
  DeadlineQueue<RemoteCells>& remote_deadlines() { return remote_deadlines_; }
  ShadowTraffic& shadows() { return shadows_; }
  // When this round of the loop began.
  Time now() const { return now_; }
  int64_t now_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }
  // The time now; about 20 ns.
  Time ReadClock() const { return std::chrono::steady_clock::now(); }
  int64_t UnixMicroseconds(Time time) const;
  // 64 random bits, of which no two are the same for a long time.
  uint64_t Random();
  uint64_t NextDecisionId() { return Random(); }

  Request& NewRequest();
  void Free(Request& request);
  Attempt& NewAttempt();
  void Free(Attempt& attempt);
  // nullptr before the first snapshot. To be given back with ReleaseRoutes.
  Routes* UseRoutes();
  void ReleaseRoutes(Routes& routes);
  // The gRPC message for a method of the Open Inference Protocol that asks about the server itself.
  std::string_view ServerAnswer(BodyKind kind) const;
  void Record(const telemetry::RequestRecord& record) { telemetry_.Record(record); }

  void Watch(Connection& connection, int socket, uint32_t events);
  void ChangeWatch(Connection& connection, int socket, uint32_t events);
  // Takes over the connection; it goes when it is buried.
  void Adopt(Connection& connection);
  void MarkDirty(Connection& connection) { dirty_.PushBack(connection); }
  void Bury(Connection& connection);
  // A client's connection has ended.
  void OnClientClosed();

 private:
  void Run();
  int WaitMilliseconds() const;
  void OnListener();
  void OnWake();
  void RunDeadlines();
  template <typename T>
  void RunDeadlines(DeadlineQueue<T>& queue);
  void FlushDirty();
  void CheckConnections();
  void FreeTheDead();

  void TakeRoutes(std::unique_ptr<Routes> routes);
  Host& HostFor(const HostAddress& address, const std::shared_ptr<balance::HostState>& state);
  // Hosts that no living routes name have their connections ended.
  void DropUnusedRoutes();
  void StartDraining();

  const uint32_t index_;
  int listener_;
  int epoll_ = -1;
  int wake_ = -1;
  telemetry::WorkerTelemetry& telemetry_;
  RetiredRoutes& retired_;
  allocate::WorkerCells* const cells_;
  const balance::Settings* balance_settings_ = nullptr;
  bool asks_for_load_ = false;
  Admission admission_;

  WorkerMemory memory_;
  ReceiveBuffer receive_buffer_;
  std::string text_buffer_;
  DeadlineQueue<Request> deadlines_;
  DeadlineQueue<Attempt> attempt_deadlines_;
  DeadlineQueue<ModelCall> call_deadlines_;
  DeadlineQueue<RemoteCells> remote_deadlines_;
  Time now_;
  Time next_check_;
  std::chrono::nanoseconds unix_offset_{};
  uint64_t decision_seed_;
  bool listening_ = true;
  bool draining_ = false;
  bool routes_unused_ = false;

  // Those that are open belong to their client's connection.
  std::vector<std::unique_ptr<Request>> free_requests_;
  std::vector<std::unique_ptr<Attempt>> free_attempts_;  // those that are under way belong to their owners
  absl::flat_hash_map<std::string, std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Routes>> routes_;
  Routes* current_routes_ = nullptr;
  ShadowTraffic shadows_;
  IntrusiveList<Connection, &Connection::dirty_hook> dirty_;
  IntrusiveList<Connection, &Connection::worker_hook> connections_;
  std::vector<Connection*> dead_;

  std::atomic<uint64_t> requests_open_{0};
  std::atomic<uint64_t> clients_open_{0};
  std::atomic<uint64_t> system_allocations_{0};
  std::atomic<uint64_t> memory_bytes_{0};
  std::atomic<uint64_t> snapshots_taken_{0};
  std::atomic<int64_t> delay_ns_{0};
  std::array<std::atomic<double>, limit::kPriorityClasses> admitted_shares_{1.0, 1.0, 1.0, 1.0};
  std::atomic<Time> round_began_{};

  // What other threads ask for.
  std::mutex mutex_;
  std::unique_ptr<Routes> new_routes_;
  bool drain_asked_ = false;
  bool stop_asked_ = false;

  std::thread thread_;
};

}  // namespace signalbox::proxy
