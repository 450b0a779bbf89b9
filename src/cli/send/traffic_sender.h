// Sends requests at a fixed rate, whether the ones before have been answered or not, and tallies the answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/send/request_source.h"
#include "cli/send/traffic_report.h"

namespace signalbox::cli {

struct SenderOptions {
  std::string target{};  // HOST:PORT of a proxy
  double rate_per_second = 100;
  int connections = 4;  // 1 to kConnectionsMax
  std::string traffic_type = "live";
  std::string tenant{};  // none when empty
};

// Open loop: the schedule does not wait for answers, and latency counts from the moment a request was due. A sender
// that waited for slow answers would ask less exactly when the system is slow, and report a good p99.
//
// Thread-safe.
class TrafficSender {
 public:
  static constexpr int kConnectionsMax = 256;
  static constexpr double kRateMax = 100'000;

  // Begins to send on a thread of its own. INVALID_ARGUMENT for options that say nothing. A target that cannot be
  // reached is no error here; its requests fail and are counted.
  static absl::StatusOr<std::unique_ptr<TrafficSender>> Start(SenderOptions options, RequestSource source);
  virtual ~TrafficSender() = default;

  // All since the start.
  virtual TrafficReport Report() const = 0;

  // Sends no more and waits for the answers on the way, for as long as the deadline of a request at most. Then every
  // request that was sent is in the report, answered or failed.
  virtual void Stop() = 0;
};

}  // namespace signalbox::cli
