// What every request leaves behind: counters, latency histograms and a decision log record, without slowing the request down.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace signalbox::telemetry {

// One finished request. Views are read before Record returns.
struct RequestRecord {
  uint64_t decision_id = 0;
  int64_t start_unix_us = 0;
  std::string_view snapshot_hash;
  std::string_view objective;   // empty when it was not known
  std::string_view model;       // model id; empty when none was chosen
  std::string_view experiment;
  std::string_view cell;
  std::string_view reason;      // of the decision: "default", ...
  std::string_view user;
  std::string_view tenant;
  std::string_view traffic_type;
  std::string_view host;        // upstream "HOST:PORT"; empty when none was reached
  int grpc_status = 0;          // what the client was given; 0 is OK
  uint64_t latency_us = 0;      // request headers in to last byte out
  uint64_t own_us = 0;          // the part of it that the proxy itself took
  uint64_t request_bytes = 0;   // payload, without frame headers
  uint64_t response_bytes = 0;
  uint32_t fallbacks = 0;       // models tried before the one that answered
};

struct Options {
  // JSON Lines; empty: no decision log.
  std::string decision_log_path;
  // Share of requests that are logged, in parts per million, by hash of the decision id.
  uint32_t decision_log_sample_ppm = 1'000'000;
  // Records waiting for the disk, per worker. A full ring loses the newest record and counts it.
  size_t decision_log_ring_records = 8192;
  // Label values come from clients: beyond this many distinct tenants, further ones are counted as "other".
  size_t tenants_max = 256;
};

// The hot side. One for each worker thread, used by that thread alone.
class WorkerTelemetry {
 public:
  virtual ~WorkerTelemetry() = default;
  // Never blocks. No allocation once a combination of labels has been seen.
  virtual void Record(const RequestRecord& record) = 0;
};

// The cold side: owns the workers' parts, the log writer thread, and answers scrapes. Thread-safe.
class Telemetry : public prometheus::Collectable {
 public:
  static absl::StatusOr<std::unique_ptr<Telemetry>> Create(Options options);
  ~Telemetry() override = default;

  // Lives as long as the Telemetry.
  virtual WorkerTelemetry& AddWorker() = 0;
  // Writes what waits in the rings and syncs the log. For shutdown and tests.
  virtual void Flush() = 0;
};

}  // namespace signalbox::telemetry
