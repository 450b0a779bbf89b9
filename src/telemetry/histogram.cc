#include "telemetry/histogram.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace signalbox::telemetry {

double QuantileHistogram::MiddleUs(size_t bucket) {
  if (bucket < (2u << kSubBucketBits)) return static_cast<double>(bucket);
  size_t shift = (bucket >> kSubBucketBits) - 1;
  uint64_t low = ((bucket & ((1u << kSubBucketBits) - 1)) + (1u << kSubBucketBits)) << shift;
  return static_cast<double>(low) + static_cast<double>((uint64_t{1} << shift) - 1) / 2;
}

double QuantileUs(std::span<const uint64_t> counts, double quantile) {
  uint64_t total = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  if (total == 0) return std::numeric_limits<double>::quiet_NaN();
  auto rank = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total)));
  rank = std::clamp<uint64_t>(rank, 1, total);
  uint64_t seen = 0;
  size_t bucket = 0;
  for (; bucket + 1 < counts.size(); ++bucket) {
    seen += counts[bucket];
    if (seen >= rank) break;
  }
  return QuantileHistogram::MiddleUs(bucket);
}

}  // namespace signalbox::telemetry
