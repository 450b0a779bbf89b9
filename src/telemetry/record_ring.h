// What lies between a worker and the log writer: a bounded queue with one producer and one consumer, without locks.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

#include "telemetry/counter.h"
#include "telemetry/log_record.h"

namespace signalbox::telemetry {

// Records lie one behind the other, each in as many bytes as it needs. One is written where the longest would fit, so
// that its length need not be known before: what is left at the end of the memory is passed over by both sides.
class RecordRing {
 public:
  // Room for `bytes_min`, rounded up to a power of two in which at least one record fits. The system backs it with
  // memory as it is first used.
  explicit RecordRing(size_t bytes_min)
      : mask_(std::bit_ceil(std::max(bytes_min, 2 * LogRecord::kBytesMax)) - 1),
        memory_(std::make_unique_for_overwrite<char[]>(mask_ + 1)) {}

  // Producer. False, and counted as lost, when the ring is full: the newest record is the one to lose, as taking back
  // an older one would need the consumer's agreement.
  bool Push(const RequestRecord& record) {
    const size_t place = PlaceFrom(tail_.load(std::memory_order_relaxed));
    if (place + LogRecord::kBytesMax - head_seen_ > mask_ + 1) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (place + LogRecord::kBytesMax - head_seen_ > mask_ + 1) {
        lost_.Add(1);
        return false;
      }
    }
    const LogRecord& written = LogRecord::Write(record, &memory_[place & mask_]);
    tail_.store(place + written.bytes(), std::memory_order_release);
    return true;
  }

  // Consumer. Where what waits now ends.
  size_t end() const { return tail_.load(std::memory_order_acquire); }
  // Consumer. Whether a record waits that came before `end`.
  bool HasBefore(size_t end) const { return head_.load(std::memory_order_relaxed) != end; }
  // Consumer. The oldest record; there is one.
  const LogRecord& Front() const {
    return *reinterpret_cast<const LogRecord*>(&memory_[PlaceFrom(head_.load(std::memory_order_relaxed)) & mask_]);
  }
  // Consumer. Gives the place of the oldest record back.
  void Pop() {
    const size_t place = PlaceFrom(head_.load(std::memory_order_relaxed));
    head_.store(place + Front().bytes(), std::memory_order_release);
  }

  // Any thread.
  uint64_t lost() const { return lost_.value(); }

 private:
  // Each side's fields on cache lines of its own, so that neither slows the other down.
  static constexpr size_t kCacheLineBytes = 64;

  // Where the record behind `position` begins. Positions only grow; their lower bits are the place in the memory.
  size_t PlaceFrom(size_t position) const {
    const size_t left = mask_ + 1 - (position & mask_);
    return left < LogRecord::kBytesMax ? position + left : position;
  }

  const size_t mask_;
  const std::unique_ptr<char[]> memory_;
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
  size_t head_seen_ = 0;
  Counter lost_;
};

}  // namespace signalbox::telemetry
