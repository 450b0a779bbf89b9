// Two histograms of a duration in microseconds: fine buckets, from which quantiles are read, and the fixed bounds that
// Prometheus scrapes.
//
// Both are counted by one thread and read by others. They are separate because fine buckets do not end at round
// numbers, and `le="0.001"` has to mean exactly that.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "telemetry/counter.h"

namespace signalbox::telemetry {

// Log-linear: every power of two is split into 32 equal buckets, and values below 64 us have a bucket each. The middle
// of a bucket is within 1.6 % of every value in it. Values from 2^27 us (134 s) count as just below that.
class QuantileHistogram {
 public:
  static constexpr int kSubBucketBits = 5;
  static constexpr int kValueBits = 27;
  static constexpr size_t kBuckets = size_t{kValueBits - kSubBucketBits + 1} << kSubBucketBits;

  static size_t BucketOf(uint64_t value_us) {
    value_us = std::min(value_us, (uint64_t{1} << kValueBits) - 1);
    if (value_us < (2u << kSubBucketBits)) return value_us;
    int shift = static_cast<int>(std::bit_width(value_us)) - kSubBucketBits - 1;
    // The leading bit of the shifted value is the sub-bucket count itself, so consecutive powers of two join without a
    // gap.
    return (static_cast<size_t>(shift) << kSubBucketBits) + (value_us >> shift);
  }
  // The middle of a bucket, in microseconds.
  static double MiddleUs(size_t bucket);

  void Add(uint64_t value_us) {
    buckets_[BucketOf(value_us)].Add(1);
    sum_us_.Add(value_us);
  }

  const Counter& bucket(size_t index) const { return buckets_[index]; }
  uint64_t sum_us() const { return sum_us_.value(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_us_;
};

// The value below which a share `quantile` (0 to 1) of what was counted lies, in microseconds, within 1.6 %. `counts`
// has kBuckets elements. NaN when nothing was counted: that is what Prometheus expects.
double QuantileUs(std::span<const uint64_t> counts, double quantile);

// Fixed upper bounds, inclusive, in microseconds; one more bucket holds what is above the last.
template <size_t kBounds>
class BoundedHistogram {
 public:
  using Bounds = std::array<uint32_t, kBounds>;

  void Add(const Bounds& bounds, uint64_t value_us) {
    size_t bucket = 0;
    // Counting instead of searching: no branch to mispredict, and the compiler makes it a few vector instructions.
    for (uint32_t bound : bounds) bucket += value_us > bound ? 1 : 0;
    buckets_[bucket].Add(1);
    sum_us_.Add(value_us);
  }

  const Counter& bucket(size_t index) const { return buckets_[index]; }
  uint64_t sum_us() const { return sum_us_.value(); }

 private:
  std::array<Counter, kBounds + 1> buckets_;
  Counter sum_us_;
};

}  // namespace signalbox::telemetry
