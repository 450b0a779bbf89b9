// What lies between a worker and the log writer: a bounded queue with one producer and one consumer, without locks.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

#include "telemetry/counter.h"
#include "telemetry/log_record.h"

namespace signalbox::telemetry {

class RecordRing {
 public:
  // Room for `records_min` records, rounded up to a power of two. 1 KiB each, which the system backs with memory as it
  // is first used.
  explicit RecordRing(size_t records_min)
      : mask_(std::bit_ceil(records_min) - 1), records_(std::make_unique_for_overwrite<LogRecord[]>(mask_ + 1)) {}

  // Producer. False, and counted as lost, when the ring is full: the newest record is the one to lose, as taking back
  // an older one would need the consumer's agreement.
  bool Push(const RequestRecord& record) {
    size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) {
        lost_.Add(1);
        return false;
      }
    }
    records_[tail & mask_].Assign(record);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer. How many records wait.
  size_t size() const { return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_relaxed); }
  // Consumer. The oldest record; size() was more than 0.
  const LogRecord& Front() const { return records_[head_.load(std::memory_order_relaxed) & mask_]; }
  // Consumer. Gives the place of the oldest record back.
  void Pop() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

  // Any thread.
  uint64_t lost() const { return lost_.value(); }

 private:
  // Each side's fields on cache lines of its own, so that neither slows the other down.
  static constexpr size_t kCacheLineBytes = 64;

  const size_t mask_;
  const std::unique_ptr<LogRecord[]> records_;
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
  size_t head_seen_ = 0;
  Counter lost_;
};

}  // namespace signalbox::telemetry
