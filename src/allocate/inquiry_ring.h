// What lies between a worker and the thread that asks: a bounded queue with one producer and one consumer, without
// locks.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <utility>

#include "allocate/question.h"

namespace signalbox::allocate {

class InquiryRing {
 public:
  // Room for `places_min`, rounded up to a power of two.
  explicit InquiryRing(size_t places_min)
      : mask_(std::bit_ceil(places_min) - 1), places_(std::make_unique<std::unique_ptr<Inquiry>[]>(mask_ + 1)) {}

  // Producer. False, and `inquiry` stays, when the ring is full.
  bool Push(std::unique_ptr<Inquiry>& inquiry) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) > mask_) return false;
    places_[tail & mask_] = std::move(inquiry);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer. nullptr when it is empty.
  std::unique_ptr<Inquiry> Pop() {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return nullptr;
    std::unique_ptr<Inquiry> inquiry = std::move(places_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return inquiry;
  }

 private:
  static constexpr size_t kCacheLineBytes = 64;

  const size_t mask_;
  const std::unique_ptr<std::unique_ptr<Inquiry>[]> places_;
  alignas(kCacheLineBytes) std::atomic<size_t> head_{0};
  alignas(kCacheLineBytes) std::atomic<size_t> tail_{0};
};

}  // namespace signalbox::allocate
