#include "limit/overload.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <vector>

namespace signalbox::limit {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A worker on a simulated clock: requests come whether it keeps up or not, wait until its loop comes round, and each
// takes its time; one that is refused takes little.
class Simulation {
 public:
  static constexpr Duration kService = microseconds(50);
  struct Result {
    std::array<int64_t, kPriorityClasses> offered{};
    std::array<int64_t, kPriorityClasses> done{};
    std::array<std::vector<Duration>, kPriorityClasses> waits;  // of those that were done
    int64_t all_done() const { return done[0] + done[1] + done[2] + done[3]; }
    Duration p99(PriorityClass priority) {
      auto& all = waits[static_cast<size_t>(priority)];
      if (all.empty()) return Duration(0);
      const auto at = all.begin() + static_cast<ptrdiff_t>(all.size() * 99 / 100);
      std::nth_element(all.begin(), at, all.end());
      return *at;
    }
  };

  Simulation(uint64_t seed, Duration refusal) : random_(seed), refusal_(refusal) {}

  // `load` in parts of what the worker can do, spread over the classes by `mix`.
  Result Run(Duration duration, double load, const std::array<double, kPriorityClasses>& mix) {
    Result result;
    const Time end = now_ + duration;
    std::exponential_distribution<double> gap(load / static_cast<double>(kService.count()));
    std::discrete_distribution<size_t> priority(mix.begin(), mix.end());
    Time next = now_ + Duration(static_cast<int64_t>(gap(random_)));
    auto arrive = [&] {
      for (; next <= now_; next += Duration(1 + static_cast<int64_t>(gap(random_)))) {
        waiting_.push_back({next, static_cast<PriorityClass>(priority(random_))});
      }
    };
    while (now_ < end) {
      arrive();
      if (waiting_.empty()) {
        now_ = next;
        continue;
      }
      const Time began = now_;
      // Sockets hold no more: what is beyond waits at the client.
      for (size_t left = std::min<size_t>(waiting_.size(), 4'000); left > 0; --left) {
        const Waiting request = waiting_.front();
        waiting_.pop_front();
        const auto index = static_cast<size_t>(request.priority);
        ++result.offered[index];
        if (!overload.sheds()) {
          overload.Count();
        } else if (!overload.Admit(request.priority, random_())) {
          now_ += refusal_;
          continue;
        }
        now_ += kService;
        ++result.done[index];
        result.waits[index].push_back(now_ - request.came);
      }
      if (overload.OnRound(now_ - began, now_)) overload.EndInterval(Duration(0), now_);
      shares.push_back(overload.share(PriorityClass::kLow));
    }
    return result;
  }

  Overload overload;
  std::vector<double> shares;

 private:
  struct Waiting {
    Time came;
    PriorityClass priority;
  };
  std::mt19937_64 random_;
  const Duration refusal_;
  Time now_ = Time(seconds(100));
  std::deque<Waiting> waiting_;
};

constexpr std::array<double, kPriorityClasses> kMix = {0.05, 0.15, 0.5, 0.3};

TEST(Overload, RefusesNothingWhileTheWorkerKeepsUp) {
  for (const double load : {0.1, 0.5, 0.8, 0.9}) {
    Simulation simulation(7, microseconds(0));
    auto result = simulation.Run(seconds(20), load, kMix);
    int64_t offered = 0;
    for (const int64_t of_class : result.offered) offered += of_class;
    EXPECT_EQ(result.all_done(), offered) << "at " << load;
    EXPECT_FALSE(simulation.overload.sheds());
  }
}

TEST(Overload, GoodputStaysAndTheHighestClassIsNotTouchedFromOneToTenTimesTheCapacity) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  // What can be done when nothing is refused.
  const double peak = static_cast<double>(seconds(30) / Simulation::kService);
  std::string table;
  for (const double load : {1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0}) {
    Simulation simulation(seed, Duration(200));
    simulation.Run(seconds(15), load, kMix);
    auto result = simulation.Run(seconds(30), load, kMix);
    const double goodput = static_cast<double>(result.all_done()) / peak;
    const double high = static_cast<double>(result.done[0]) / static_cast<double>(result.offered[0]);
    const double p99_ms = std::chrono::duration<double, std::milli>(result.p99(PriorityClass::kHigh)).count();
    table += fmt::format("{:4.1f} x: goodput {:.3f}, high {:.3f} with p99 {:.1f} ms\n", load, goodput, high, p99_ms);
    EXPECT_GE(goodput, 0.9) << table;
    EXPECT_GE(high, 0.99) << table;
    EXPECT_LE(p99_ms, 25) << table;
  }
  RecordProperty("goodput", table);
}

TEST(Overload, TheLowestClassGoesFirst) {
  Simulation simulation(11, Duration(200));
  simulation.Run(seconds(15), 1.4, kMix);
  auto result = simulation.Run(seconds(30), 1.4, kMix);
  EXPECT_EQ(result.done[0], result.offered[0]);
  EXPECT_EQ(result.done[1], result.offered[1]);
  EXPECT_GE(static_cast<double>(result.done[2]), 0.85 * static_cast<double>(result.offered[2]));
  EXPECT_LE(static_cast<double>(result.done[3]), 0.35 * static_cast<double>(result.offered[3]));
}

TEST(Overload, ACostlyRefusalIsNoReasonToCollapse) {
  Simulation simulation(13, microseconds(10));
  simulation.Run(seconds(15), 3, kMix);
  auto result = simulation.Run(seconds(30), 3, kMix);
  // Of 50 us for each place that is free, 2 to 3 requests have to be refused at 10 us each.
  const double possible = static_cast<double>(seconds(30) / Simulation::kService) * (1 - 2.0 * 10 / 40);
  EXPECT_GE(static_cast<double>(result.all_done()), 0.9 * possible);
}

TEST(Overload, DoesNotSwing) {
  Simulation simulation(17, Duration(200));
  simulation.Run(seconds(20), 2, kMix);
  simulation.shares.clear();
  simulation.Run(seconds(30), 2, kMix);
  const auto [least, most] = std::minmax_element(simulation.shares.begin(), simulation.shares.end());
  EXPECT_LE(*most - *least, 0.4) << *least << " to " << *most;
}

TEST(Overload, EndsWhenTheLoadDoes) {
  Simulation simulation(19, Duration(200));
  simulation.Run(seconds(20), 10, kMix);
  EXPECT_TRUE(simulation.overload.sheds());
  simulation.Run(seconds(30), 0.5, kMix);
  EXPECT_FALSE(simulation.overload.sheds());
  EXPECT_EQ(simulation.overload.share(PriorityClass::kLowest), 1);
}

TEST(Overload, OneLongRoundIsNone) {
  Overload overload;
  Time now{seconds(1)};
  for (int i = 0; i < 1'000; ++i) {
    now += milliseconds(1);
    const Duration busy = i == 500 ? milliseconds(40) : microseconds(200);
    if (overload.OnRound(busy, now)) overload.EndInterval(Duration(0), now);
    ASSERT_FALSE(overload.sheds());
  }
}

TEST(Overload, AThreadThatHasNoCoreIsNotOverloaded) {
  Overload overload;
  Time now{seconds(1)};
  for (int i = 0; i < 1'000; ++i) {
    // A fifth of the time it works, the rest it waits for a core in the middle of a round.
    now += milliseconds(25);
    if (overload.OnRound(milliseconds(25), now)) overload.EndInterval(milliseconds(80), now);
    ASSERT_FALSE(overload.sheds());
  }
}

TEST(Overload, WithOneClassAloneSomeOfItAlwaysComesThrough) {
  Overload overload;
  std::mt19937_64 random(1);
  Time now{seconds(1)};
  int admitted = 0;
  for (int i = 0; i < 1'000; ++i) {
    now += milliseconds(50);
    for (int request = 0; request < 100; ++request) {
      if (!overload.sheds()) overload.Count();
      admitted += !overload.sheds() || overload.Admit(PriorityClass::kHigh, random()) ? 1 : 0;
    }
    if (overload.OnRound(milliseconds(50), now)) overload.EndInterval(Duration(0), now);
  }
  EXPECT_GE(admitted, 1'000);
  EXPECT_LE(admitted, 20'000);
}

}  // namespace
}  // namespace signalbox::limit
