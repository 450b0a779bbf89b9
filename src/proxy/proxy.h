// The in-path data plane: an HTTP/2 proxy that decides for each gRPC request which model answers it, tells the model so
// in headers and body, and carries it there and back.
//
// One thread per core, each with its own listener, connections and memory; they share the snapshot and the limits of
// requests, which are the process's, and nothing else. In steady state a request takes no lock and no memory from the
// system's allocator. Payloads are never parsed or buffered whole: what a client may have under way is what HTTP/2 flow
// control allows (connection.h).
//
// The way of one request: request.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocate/allocator.h"
#include "balance/settings.h"
#include "decide/snapshot.h"
#include "prometheus/collectable.h"
#include "proxy/shadow_limits.h"
#include "telemetry/shadow_records.h"
#include "telemetry/telemetry.h"

namespace signalbox::proxy {

struct Options {
  // "HOST:PORT" or "[IPv6]:PORT"; port 0 takes a free one. HTTP/2 with prior knowledge, without TLS.
  std::string listen;
  // Threads; 0: one for each core that this process may use.
  uint32_t workers = 0;
  // Outlives the proxy. nullptr: no experimentation platform is known, and experiments that name one fall back.
  allocate::Allocator* allocator = nullptr;
  // How hosts are chosen, and where this proxy stands.
  balance::Settings balance = {};
  // Hosts are asked for load reports (ORCA) with every request.
  bool asks_for_load = false;
  ShadowLimits shadow_limits = {};
  // Where it is kept what becomes of shadow copies. Outlives the proxy. nullptr: nobody looks at it.
  telemetry::ShadowRecords* shadow_records = nullptr;
};

// Thread-safe. Collect() gives, beside what Telemetry counts:
//
// - signalbox_limit_in_flight: requests under way, with objective, tenant, model and policy, of the 256 busiest keys of
//   the last minute
// - signalbox_limit_adaptive: the adaptive limit in effect, with the same labels; the policy is empty, as all share it
// - signalbox_limit_keys: keys that are remembered
// - signalbox_limit_proxies: among how many proxies declared limits are divided
// - signalbox_bulkhead_requests, signalbox_bulkhead_bytes: what an Objective holds of this proxy, with objective
// - signalbox_worker_delay_seconds: how long events wait for the worker that is furthest behind
// - signalbox_overload_admitted_ratio: with priority, the part of a class that the worker that refuses most lets in
class Proxy : public prometheus::Collectable {
 public:
  // Listens at once; requests get UNAVAILABLE until the first snapshot. `telemetry` outlives the proxy.
  // INVALID_ARGUMENT for an address that is none or too many workers, UNAVAILABLE when it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Proxy>> Start(const Options& options, telemetry::Telemetry& telemetry);
  // Ends what is still open.
  ~Proxy() override = default;

  virtual int port() const = 0;

  // Requests whose Objective becomes known after it returns are decided from `snapshot`; those before finish with the
  // one they have. Looks up the names of hosts, which can take seconds: new ones before, known ones after the snapshot
  // is in effect. A name that is not found makes its host unreachable, and is among what is returned: one message for
  // each, for a log. So is an experiment that asks a platform which is not known.
  virtual std::vector<std::string> SetSnapshot(std::shared_ptr<const decide::Snapshot> snapshot) = 0;

  // Among how many live proxies (this one included) declared limits are divided; 1 until it is said. In effect from the
  // next request on; 0 counts as 1.
  virtual void SetProxies(uint32_t live) = 0;

  // Refuses new connections and asks clients to open no more streams (GOAWAY). Returns when all requests have ended,
  // true, or after `timeout`.
  virtual bool Drain(std::chrono::milliseconds timeout) = 0;

  // How long the worker that is furthest behind has not looked for work. A fraction of a second in a proxy that works,
  // however busy or idle it is.
  virtual std::chrono::milliseconds stalled_for() const = 0;

  // Version of the oldest snapshot that a request in flight, or a worker that has not switched yet, uses; 0 before the
  // first snapshot.
  virtual int64_t oldest_version_in_use() const = 0;

  // What is known of hosts (balance/balancer.h). Lives as long as the proxy.
  virtual const prometheus::Collectable& host_metrics() const = 0;

  virtual uint64_t requests_open() const = 0;
  virtual uint64_t client_connections() const = 0;
  // Calls of the data path to the system's allocator so far; does not grow in steady state.
  virtual uint64_t system_allocations() const = 0;
  // What payloads, headers and HTTP/2 sessions hold of the system's memory, with what is kept for reuse. Not the
  // objects of connections and requests themselves, which are about 8 and 15 KiB each.
  virtual uint64_t memory_bytes() const = 0;
};

}  // namespace signalbox::proxy
