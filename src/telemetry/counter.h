// A number that one thread counts up and others read.
#pragma once

#include <atomic>
#include <cstdint>

namespace signalbox::telemetry {

// One writer, any readers. Load and store instead of fetch_add: with one writer nothing can come in between, and there
// is no locked instruction.
class Counter {
 public:
  void Add(uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace signalbox::telemetry
