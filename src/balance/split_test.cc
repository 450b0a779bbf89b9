#include "balance/split.h"

#include <gtest/gtest.h>

#include <random>

#include "balance/test_hosts.h"
#include "base/hash.h"

namespace signalbox::balance {
namespace {

// Groups of one host each, whose place is their number.
struct World {
  explicit World(const std::vector<uint32_t>& weights, size_t hosts_each = 1) : balancer(Settings()) {
    std::vector<std::shared_ptr<Group>> groups;
    uint32_t place = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      std::vector<Member> members;
      for (size_t host = 0; host < hosts_each; ++host) {
        members.push_back({.host = balancer.StateOf(fmt::format("host-{}:1", place), Time()), .place = place});
        ++place;
      }
      groups.push_back(std::make_shared<Group>(std::move(members), balancer.settings(), true));
    }
    split = std::make_unique<Split>(std::move(groups), weights);
  }
  Balancer balancer;
  std::unique_ptr<Split> split;
  Random random{99};
};

TEST(Split, KeepsItsProportionsWithinAPercentOverAnyStretch) {
  std::mt19937 numbers(20261121);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint32_t> weights(2 + numbers() % 4);
    uint64_t sum = 0;
    for (uint32_t& weight : weights) sum += weight = static_cast<uint32_t>(numbers() % 101);
    if (sum == 0) continue;
    World world(weights);
    auto turn = static_cast<uint32_t>(numbers());
    std::vector<int> counts(weights.size());
    constexpr int kRequests = 5000;
    for (int i = 0; i < kRequests; ++i)
      ++counts[world.split->Choose(turn, world.random, Time(), TestHosts::Any).value()];
    for (size_t i = 0; i < weights.size(); ++i) {
      const double expected = kRequests * static_cast<double>(weights[i]) / static_cast<double>(sum);
      EXPECT_NEAR(counts[i], expected, kRequests * 0.01) << "seed 20261121, round " << round;
    }
  }
}

TEST(Split, KeepsThemWhateverHostsHaveToDo) {
  World world({90, 10}, 2);
  for (const Member& member : world.split->groups()[1]->members()) {
    for (int i = 0; i < 50; ++i) member.host->OnBegin();
  }
  uint32_t turn = 0;
  int second = 0;
  for (int i = 0; i < 1000; ++i)
    second += world.split->Choose(turn, world.random, Time(), TestHosts::Any).value() >= 2 ? 1 : 0;
  EXPECT_EQ(second, 100);
}

TEST(Split, GivesAShardOfWeightZeroNothingAlsoWhenAllOthersAreAway) {
  World world({0, 100});
  uint32_t turn = 0;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(world.split->Choose(turn, world.random, Time(), TestHosts::Any), 1u);
  EXPECT_FALSE(world.split->Choose(turn, world.random, Time(), [](uint32_t place) { return place == 0; }).has_value());
}

TEST(Split, LetsTheNextShardTakeThePartOfOneThatIsAway) {
  World world({50, 50});
  uint32_t turn = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(world.split->Choose(turn, world.random, Time(), [](uint32_t place) { return place == 1; }), 1u);
  }
}

TEST(Split, OfKeysMovesNoneBackWhenTheSecondShardGetsMore) {
  const World before({90, 10});
  const World after({70, 30});
  int on_second = 0;
  for (int user = 0; user < 10'000; ++user) {
    const uint64_t key = StableHash64(fmt::format("user-{}", user));
    const bool was = before.split->ChooseByKey(key, 125, TestHosts::Any) == 1u;
    const bool is = after.split->ChooseByKey(key, 125, TestHosts::Any) == 1u;
    EXPECT_TRUE(is || !was) << user;
    on_second += is ? 1 : 0;
  }
  EXPECT_NEAR(on_second, 3000, 150);
}

}  // namespace
}  // namespace signalbox::balance
