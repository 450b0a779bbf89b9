#include "telemetry/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace signalbox::telemetry {
namespace {

std::vector<uint64_t> Counts(const QuantileHistogram& histogram) {
  std::vector<uint64_t> counts;
  for (size_t i = 0; i < QuantileHistogram::kBuckets; ++i) counts.push_back(histogram.bucket(i).value());
  return counts;
}

TEST(QuantileHistogram, BucketsFollowEachOtherWithoutGapOrOverlap) {
  size_t previous = 0;
  for (uint64_t value = 1; value < (uint64_t{1} << QuantileHistogram::kValueBits); value += 1 + value / 100) {
    size_t bucket = QuantileHistogram::BucketOf(value);
    ASSERT_TRUE(bucket == previous || bucket == previous + 1) << value;
    previous = bucket;
  }
  EXPECT_EQ(QuantileHistogram::BucketOf((uint64_t{1} << QuantileHistogram::kValueBits) - 1),
            QuantileHistogram::kBuckets - 1);
}

TEST(QuantileHistogram, TheMiddleOfABucketIsWithinThreePercentOfEveryValueInIt) {
  for (uint64_t value = 1; value < 100'000'000; value += 1 + value / 200) {
    double middle = QuantileHistogram::MiddleUs(QuantileHistogram::BucketOf(value));
    ASSERT_LE(std::abs(middle - static_cast<double>(value)) / static_cast<double>(value), 0.016) << value;
  }
}

TEST(QuantileHistogram, ValuesBeyondTheRangeCountInTheLastBucket) {
  EXPECT_EQ(QuantileHistogram::BucketOf(~uint64_t{0}), QuantileHistogram::kBuckets - 1);
}

TEST(QuantileHistogram, QuantilesOfALongTailAreWithinThreePercentOfTheExactOnes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> latency(7, 1.5);  // median 1.1 ms, p99.9 100 ms
  QuantileHistogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 200'000; ++i) {
    values.push_back(static_cast<uint64_t>(latency(random)));
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (double quantile : {0.5, 0.9, 0.99, 0.999}) {
    auto rank = static_cast<size_t>(std::ceil(quantile * static_cast<double>(values.size()))) - 1;
    auto exact = static_cast<double>(values[rank]);
    EXPECT_NEAR(QuantileUs(Counts(histogram), quantile), exact, exact * 0.03) << quantile;
  }
}

TEST(QuantileHistogram, NothingCountedHasNoQuantile) {
  EXPECT_TRUE(std::isnan(QuantileUs(Counts(QuantileHistogram()), 0.5)));
}

TEST(BoundedHistogram, ABoundIsInclusive) {
  constexpr std::array<uint32_t, 2> kBounds = {10, 100};
  BoundedHistogram<2> histogram;
  for (uint64_t value : {0, 10, 11, 100, 101, 1'000'000}) histogram.Add(kBounds, value);
  EXPECT_EQ(histogram.bucket(0).value(), 2u);
  EXPECT_EQ(histogram.bucket(1).value(), 2u);
  EXPECT_EQ(histogram.bucket(2).value(), 2u);
}

}  // namespace
}  // namespace signalbox::telemetry
