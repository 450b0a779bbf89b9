#include <gtest/gtest.h>

#include <map>

#include "decide/test_snapshot.h"
#include "proxy/routes.h"

namespace signalbox::proxy {
namespace {

struct World {
  // The model "ranker" is on s1 (two hosts, zone a) and s2 (one, zone b).
  explicit World(const std::vector<uint32_t>& weights, const std::string& zone = "")
      : balancer({.zone = zone}), plan(decide::CompileOrDie(Snapshot(weights)), nullptr, balancer) {
    balancer.Keep(plan.groups, balance::Time());
  }

  static v1::Snapshot Snapshot(const std::vector<uint32_t>& weights) {
    v1::Snapshot proto;
    v1::PublishedRuleSet& published = *proto.add_rule_sets();
    published.mutable_rule_set()->set_namespace_("home");
    v1::Objective& objective = *published.mutable_rule_set()->add_objectives();
    objective.set_name("Ranking");
    objective.mutable_default_model()->set_name("ranker");
    v1::Placement& placement = *proto.mutable_placement();
    v1::Shard& s1 = (*placement.mutable_shards())["s1"];
    s1.add_hosts("127.0.0.1:1");
    s1.add_hosts("127.0.0.1:2");
    s1.add_zones("a");
    s1.add_zones("a");
    v1::Shard& s2 = (*placement.mutable_shards())["s2"];
    s2.add_hosts("127.0.0.1:3");
    s2.add_zones("b");
    v1::ModelPlacement& model = (*placement.mutable_models())["ranker"];
    model.add_shards("s1");
    model.add_shards("s2");
    for (const uint32_t weight : weights) model.add_weights(weight);
    return proto;
  }

  // How often each host is chosen for a thousand requests.
  std::map<std::string, int> Choices() {
    std::map<std::string, int> choices;
    uint32_t turn = 0;
    balance::Random random(4711);
    const auto any = [](uint32_t) { return true; };
    for (int i = 0; i < 1000; ++i)
      ++choices[plan.hosts[plan.splits[0]->Choose(turn, random, balance::Time(), any).value()].text];
    return choices;
  }

  balance::Balancer balancer;
  RoutePlan plan;
};

TEST(WeightedRoutesTest, WithoutWeightsAllHostsOfAllShardsAreAlike) {
  for (const auto& [host, count] : World({}).Choices()) EXPECT_NEAR(count, 333, 60) << host;
}

TEST(WeightedRoutesTest, AShardGetsItsPartWhateverTheNumberOfItsHosts) {
  auto choices = World({90, 10}).Choices();
  EXPECT_NEAR(choices["127.0.0.1:1"], 450, 60);
  EXPECT_EQ(choices["127.0.0.1:1"] + choices["127.0.0.1:2"], 900);
  EXPECT_EQ(choices["127.0.0.1:3"], 100);
}

TEST(WeightedRoutesTest, AShardOfWeightZeroGetsNothing) {
  EXPECT_EQ(World({0, 100}).Choices(), (std::map<std::string, int>{{"127.0.0.1:3", 1000}}));
}

TEST(WeightedRoutesTest, WeightsThatAreNotOneForEachShardAreNone) {
  for (const auto& [host, count] : World({5}).Choices()) EXPECT_NEAR(count, 333, 60) << host;
}

TEST(WeightedRoutesTest, HostsOfTheOwnZoneComeFirstAndSpillOverWhatIsNotTheirs) {
  // One host of three is in zone b: a third of the capacity for half of the requests.
  EXPECT_NEAR(World({}, "b").Choices()["127.0.0.1:3"], 667, 60);
  EXPECT_EQ(World({}, "a").Choices()["127.0.0.1:3"], 0);
}

}  // namespace
}  // namespace signalbox::proxy
