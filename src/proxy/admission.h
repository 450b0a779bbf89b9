// Whether a request may go on: what it is refused for, and what is said with a refusal.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "limit/bulkhead.h"
#include "limit/limits.h"
#include "limit/overload.h"
#include "proxy/process_limits.h"

namespace signalbox::proxy {

// One worker's part of it.
struct Admission {
  explicit Admission(ProcessLimits& process) : limits(process.table), bulkheads(process.bulkheads) {}

  limit::WorkerLimits limits;
  limit::WorkerBulkheads bulkheads;
  limit::Overload overload;
};

// In the order of telemetry::kRefusalNames.
enum class RefusedBy : uint8_t { kRate, kConcurrency, kPayload, kOverload, kBulkhead };

// Of one request, while it was refused.
struct Refusal {
  bool refused = false;
  RefusedBy by = RefusedBy::kRate;
  limit::PriorityClass priority = limit::PriorityClass::kNormal;
  // When it pays to ask again; below 0: never with this request.
  std::chrono::milliseconds retry_after{-1};
};

// What one request holds until it ends.
struct Admitted {
  limit::Lease lease;
  limit::Berth berth;
  uint64_t payload_bytes_max = 0;   // 0: no limit
  uint64_t buffered_bytes_max = 0;  // of its Objective
};

}  // namespace signalbox::proxy
