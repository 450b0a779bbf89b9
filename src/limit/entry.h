// What the table knows of one key. For the files of this folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>

#include "limit/adaptive_limit.h"
#include "limit/limits.h"
#include "limit/rate.h"

namespace signalbox::limit {

// Its memory stays as long as the table: a place that is given to another key gets a new generation, so that workers
// that remember it notice. Whoever uses it holds a pin; without any it may be given away.
struct alignas(64) Entry {
  // Below zero: it is being given to another key.
  static constexpr int64_t kGivenAway = std::numeric_limits<int64_t>::min() / 2;

  std::atomic<int64_t> pins{0};
  std::atomic<uint64_t> generation{0};
  Rate rate;
  std::atomic<uint32_t> in_flight{0};
  std::atomic<bool> adapts{false};
  std::atomic<int64_t> used_ns{0};

  alignas(64) AdaptiveLimit adaptive;
  std::atomic<uint32_t> adaptive_min{0};
  std::atomic<uint32_t> adaptive_max{0};

  // Change only while no pin is held.
  std::string objective;
  std::string tenant;
  std::string model;
  std::string policy;
  bool shared = false;  // of all tenants that have none of their own

  // False where it is being given away, or was, since `seen`: then there is no pin.
  bool PinIf(uint64_t seen) {
    if (pins.fetch_add(1, std::memory_order_acquire) >= 0 && generation.load(std::memory_order_relaxed) == seen) {
      return true;
    }
    Unpin();
    return false;
  }
  void Unpin() { pins.fetch_sub(1, std::memory_order_release); }

  bool Take(uint32_t limit) {
    uint32_t open = in_flight.load(std::memory_order_relaxed);
    do {
      if (open >= limit) return false;
    } while (!in_flight.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
    return true;
  }
  void GiveBack() { in_flight.fetch_sub(1, std::memory_order_relaxed); }
};

}  // namespace signalbox::limit
