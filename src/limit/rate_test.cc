#include "limit/rate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace signalbox::limit {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Time kStart = Time(std::chrono::hours(1));

int Admitted(Rate& rate, const RateLimit& limit, Time at, int requests) {
  int admitted = 0;
  for (int i = 0; i < requests; ++i) admitted += rate.Take(limit, at) == Duration(0) ? 1 : 0;
  return admitted;
}

TEST(Rate, LetsABurstThroughAtOnceAndThenOneRequestForEachInterval) {
  Rate rate;
  const RateLimit limit = RateLimit::Of(100, 5, 1);
  EXPECT_EQ(Admitted(rate, limit, kStart, 50), 5);
  EXPECT_EQ(Admitted(rate, limit, kStart + milliseconds(9), 50), 0);
  EXPECT_EQ(Admitted(rate, limit, kStart + milliseconds(10), 50), 1);
  EXPECT_EQ(Admitted(rate, limit, kStart + milliseconds(40), 50), 3);
  EXPECT_EQ(Admitted(rate, limit, kStart + seconds(10), 50), 5);
}

TEST(Rate, SaysWhenTheNextRequestMayCome) {
  Rate rate;
  const RateLimit limit = RateLimit::Of(100, 1, 1);
  ASSERT_EQ(rate.Take(limit, kStart), Duration(0));
  const Duration wait = rate.Take(limit, kStart + milliseconds(3));
  EXPECT_EQ(wait, milliseconds(7));
  EXPECT_NE(rate.Take(limit, kStart + milliseconds(3) + wait - Duration(1)), Duration(0));
  EXPECT_EQ(rate.Take(limit, kStart + milliseconds(3) + wait), Duration(0));
}

TEST(Rate, WithoutABurstOneSecondsWorthMayComeAtOnce) {
  EXPECT_EQ(RateLimit::Of(250, 0, 1).burst, 250U);
  EXPECT_EQ(RateLimit::Of(0.5, 0, 1).burst, 1U);
}

TEST(Rate, IsDividedAmongProxiesWithFractions) {
  EXPECT_EQ(RateLimit::Of(1, 1, 4), (RateLimit{.interval = seconds(4), .burst = 1}));
  EXPECT_EQ(RateLimit::Of(2.5, 10, 2), (RateLimit{.interval = milliseconds(800), .burst = 5}));
  EXPECT_EQ(RateLimit::Of(0, 0, 3), RateLimit{});
}

TEST(Rate, OfZeroIsNoLimit) {
  Rate rate;
  EXPECT_EQ(Admitted(rate, RateLimit::Of(0, 0, 1), kStart, 1000), 1000);
  EXPECT_EQ(Admitted(rate, RateLimit::Of(-1, 0, 1), kStart, 1000), 1000);
}

TEST(Rate, TakesAHigherLimitAtOnceAndForgetsNothing) {
  Rate rate;
  EXPECT_EQ(Admitted(rate, RateLimit::Of(1, 10, 1), kStart, 50), 10);
  const RateLimit higher = RateLimit::Of(1000, 10, 1);
  EXPECT_EQ(Admitted(rate, higher, kStart, 50), 0);
  EXPECT_EQ(Admitted(rate, higher, kStart + milliseconds(3), 50), 3);
}

TEST(Rate, TakesASmallerBurstAtOnce) {
  Rate rate;
  EXPECT_EQ(Admitted(rate, RateLimit::Of(10, 100, 1), kStart, 200), 100);
  // Not after the 10 seconds that a hundred requests would take.
  EXPECT_EQ(Admitted(rate, RateLimit::Of(10, 1, 1), kStart + milliseconds(99), 5), 0);
  EXPECT_EQ(Admitted(rate, RateLimit::Of(10, 1, 1), kStart + milliseconds(199), 5), 1);
}

TEST(Rate, AdmitsNeverMoreThanBurstAndRateOverAnyStretchOfTime) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 50; ++round) {
    const double per_second = std::exp(std::uniform_real_distribution(-1.0, 12.0)(random));
    const auto burst = static_cast<uint32_t>(1 + random() % 50);
    const RateLimit limit = RateLimit::Of(per_second, burst, 1);
    Rate rate;
    std::vector<Time> admitted;
    Time now = kStart;
    for (int i = 0; i < 2000; ++i) {
      now += Duration(static_cast<int64_t>(random() % (limit.interval.count() / 10 + 1)));
      if (rate.Take(limit, now) == Duration(0)) admitted.push_back(now);
    }
    for (size_t first = 0; first < admitted.size(); first += 7) {
      for (size_t last = first; last < admitted.size(); last += 13) {
        const auto count = static_cast<int64_t>(last - first + 1);
        ASSERT_LE(count, burst + (admitted[last] - admitted[first]) / limit.interval) << per_second << "/s";
      }
    }
    // And hardly less than it may, as twenty times as many came.
    const double stretch = std::chrono::duration<double>(now - kStart).count();
    EXPECT_GE(static_cast<double>(admitted.size()), 0.9 * stretch * per_second - 1) << per_second << "/s";
  }
}

// Each thread has a clock of its own that runs on as it asks, as workers have.
TEST(Rate, IsExactOverThreads) {
  constexpr int kThreads = 8;
  Rate rate;
  const RateLimit limit = RateLimit::Of(100'000, 100, 1);
  std::atomic<int64_t> clock_us{0};
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (;;) {
        const int64_t now = clock_us.fetch_add(1);
        if (now > 1'000'000) return;
        if (rate.Take(limit, kStart + microseconds(now)) == Duration(0)) admitted.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // A thread that is stopped between its look at the clock and its request asks in the past, which admits it or does
  // not: never twice.
  EXPECT_LE(admitted, 100 + 100'000 + 1);
  EXPECT_GE(admitted, 100'000 * 95 / 100);
}

}  // namespace
}  // namespace signalbox::limit
