#include "limit/adaptive_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <random>
#include <vector>

namespace signalbox::limit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr AdaptiveBounds kBounds{.min = 1, .max = 1'000};

// A model with `servers` places, each of which takes `service` for a request, behind an adaptive limit, and more
// clients than it can serve.
class Simulation {
 public:
  Simulation(uint64_t seed, size_t servers, Duration service)
      : random_(seed), service_(service), free_at_(servers, now_) {}

  void SetService(Duration service) { service_ = service; }
  // `clients` send one request after the other for as long, each at once again when it was refused or answered.
  void Run(Duration duration, uint32_t clients, const AdaptiveBounds& bounds = kBounds) {
    const Time end = now_ + duration;
    while (now_ < end) {
      while (open_.size() < std::min(clients, limit.Get(bounds))) Send();
      const Open next = open_.top();
      open_.pop();
      now_ = next.done;
      limit.OnAnswer(now_, next.done - next.sent, static_cast<uint32_t>(open_.size()) + 1, bounds);
      ++answered;
    }
  }

  AdaptiveLimit limit;
  int answered = 0;

 private:
  struct Open {
    Time done;
    Time sent;
    bool operator<(const Open& other) const { return done > other.done; }
  };
  void Send() {
    auto& server = *std::min_element(free_at_.begin(), free_at_.end());
    const double factor = std::uniform_real_distribution(0.7, 1.3)(random_);
    const Duration service(static_cast<int64_t>(static_cast<double>(service_.count()) * factor));
    server = std::max(server, now_) + service;
    open_.push({.done = server, .sent = now_});
  }

  std::mt19937_64 random_;
  Duration service_;
  Time now_ = Time(seconds(1000));
  std::vector<Time> free_at_;
  std::priority_queue<Open> open_;
};

TEST(AdaptiveLimit, SettlesAboveWhatTheModelCanDoAtOnceAndFarBelowWhatComes) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  for (const size_t servers : {4, 16, 64, 200}) {
    Simulation simulation(seed, servers, milliseconds(10));
    simulation.Run(seconds(60), 5'000);
    simulation.answered = 0;
    simulation.Run(seconds(60), 5'000);
    const uint32_t limit = simulation.limit.Get(kBounds);
    EXPECT_GE(limit, servers) << "it would leave places unused";
    EXPECT_LE(limit, 2 * servers + 20) << servers << " places";
    EXPECT_GE(simulation.answered, static_cast<int>(0.93 * 60 * 100 * static_cast<double>(servers)));
  }
}

TEST(AdaptiveLimit, DoesNotDriftWhileTheModelStaysOverloaded) {
  Simulation simulation(1, 16, milliseconds(10));
  simulation.Run(seconds(120), 5'000);
  const uint32_t early = simulation.limit.Get(kBounds);
  simulation.Run(seconds(3600), 5'000);
  EXPECT_LE(simulation.limit.Get(kBounds), 2 * early);
}

TEST(AdaptiveLimit, FollowsAModelThatBecomesSlowAndFastAgain) {
  Simulation simulation(2, 64, milliseconds(10));
  for (const auto service : {milliseconds(10), milliseconds(60), milliseconds(10), milliseconds(2)}) {
    simulation.SetService(service);
    simulation.Run(seconds(60), 5'000);
    simulation.answered = 0;
    simulation.Run(seconds(30), 5'000);
    EXPECT_LE(simulation.limit.Get(kBounds), 2 * 64U + 20) << service.count() << " ms";
    EXPECT_GE(simulation.answered, static_cast<int>(0.93 * 30'000 * 64 / static_cast<double>(service.count())));
  }
}

TEST(AdaptiveLimit, StaysWhileHardlyAnythingComes) {
  Simulation simulation(3, 64, milliseconds(10));
  simulation.Run(seconds(60), 5'000);
  simulation.Run(seconds(1), 2);
  const uint32_t before = simulation.limit.Get(kBounds);
  simulation.Run(seconds(600), 2);
  EXPECT_EQ(simulation.limit.Get(kBounds), before);
}

TEST(AdaptiveLimit, BeginsWithTwentyAndStaysThereWithoutSamples) {
  AdaptiveLimit limit;
  EXPECT_EQ(limit.Get(kBounds), 20U);
  EXPECT_EQ(limit.Get({.min = 30, .max = 40}), 30U);
  EXPECT_EQ(limit.Get({.min = 1, .max = 3}), 3U);
  EXPECT_EQ(limit.Get({.min = 0, .max = 0}), 1U) << "nothing could ever come back";
}

TEST(AdaptiveLimit, NeverLeavesItsBounds) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    const AdaptiveBounds bounds{.min = static_cast<uint32_t>(1 + random() % 50),
                                .max = static_cast<uint32_t>(60 + random() % 500)};
    AdaptiveLimit limit;
    Time now{seconds(1)};
    for (int i = 0; i < 5'000; ++i) {
      now += Duration(static_cast<int64_t>(random() % 20'000'000));
      // Times that no clock should give are samples as well.
      const Duration latency(static_cast<int64_t>(random() % 5 == 0 ? 0 : random() % 1'000'000'000'000));
      if (random() % 50 == 0) {
        limit.OnOverload(now, bounds);
      } else {
        limit.OnAnswer(now, latency, static_cast<uint32_t>(random() % 1'000), bounds);
      }
      ASSERT_GE(limit.Get(bounds), bounds.min);
      ASSERT_LE(limit.Get(bounds), bounds.max);
    }
  }
}

TEST(AdaptiveLimit, IsCutWhileTheModelRefusesHoweverFastItDoes) {
  AdaptiveLimit limit;
  Time now{seconds(1)};
  for (int i = 0; i < 2'000; ++i) {
    now += milliseconds(1);
    limit.OnAnswer(now, milliseconds(1), 100, kBounds);
  }
  const uint32_t before = limit.Get(kBounds);
  for (int i = 0; i < 2'000; ++i) {
    now += milliseconds(1);
    i % 2 == 0 ? limit.OnOverload(now, kBounds) : limit.OnAnswer(now, milliseconds(1), 100, kBounds);
  }
  EXPECT_LE(limit.Get(kBounds), before / 3);
}

}  // namespace
}  // namespace signalbox::limit
