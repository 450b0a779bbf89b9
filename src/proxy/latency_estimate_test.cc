#include "proxy/latency_estimate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>

namespace signalbox::proxy {
namespace {

using std::chrono::microseconds;

TEST(LatencyEstimate, KnowsNothingOfAFewAnswers) {
  LatencyEstimate estimate;
  for (int i = 0; i < 31; ++i) estimate.Add(microseconds(100));
  EXPECT_EQ(estimate.Quantile(500'000), std::nullopt);
  estimate.Add(microseconds(100));
  EXPECT_NE(estimate.Quantile(500'000), std::nullopt);
}

TEST(LatencyEstimate, IsWithinAnEighthFromAbove) {
  for (const int64_t us : {1, 7, 8, 9, 100, 999, 1'000, 12'345, 1'000'000, 90'000'000}) {
    LatencyEstimate estimate;
    for (int i = 0; i < 100; ++i) estimate.Add(microseconds(us));
    const double found = static_cast<double>(estimate.Quantile(950'000)->count());
    EXPECT_GT(found, static_cast<double>(us));
    EXPECT_LE(found, static_cast<double>(us) * 1.125 + 1);
  }
}

TEST(LatencyEstimate, WhatIsOutOfRangeIsAtItsEnd) {
  LatencyEstimate estimate;
  for (int i = 0; i < 100; ++i) estimate.Add(std::chrono::hours(5));
  EXPECT_GT(*estimate.Quantile(500'000), std::chrono::minutes(8));
  LatencyEstimate negative;
  for (int i = 0; i < 100; ++i) negative.Add(microseconds(-5));
  EXPECT_EQ(*negative.Quantile(500'000), microseconds(1));
}

TEST(LatencyEstimate, FollowsAModelThatChanges) {
  LatencyEstimate estimate;
  for (int i = 0; i < 10'000; ++i) estimate.Add(microseconds(10'000));
  for (int i = 0; i < 20'000; ++i) estimate.Add(microseconds(1'000));
  EXPECT_LT(*estimate.Quantile(950'000), microseconds(1'200));
}

TEST(LatencyEstimate, TellsQuantilesApart) {
  LatencyEstimate estimate;
  std::mt19937_64 random(7);
  std::exponential_distribution<double> latency(1.0 / 5000);
  for (int i = 0; i < 2'000; ++i) estimate.Add(microseconds(static_cast<int64_t>(latency(random))));
  EXPECT_NEAR(static_cast<double>(estimate.Quantile(500'000)->count()), 5000 * std::log(2.0), 700);
  EXPECT_NEAR(static_cast<double>(estimate.Quantile(950'000)->count()), 5000 * std::log(20.0), 3000);
}

}  // namespace
}  // namespace signalbox::proxy
