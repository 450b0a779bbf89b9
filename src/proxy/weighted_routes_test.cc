#include "proxy/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "decide/test_snapshot.h"

namespace signalbox::proxy {
namespace {

// How often each host has its turn in a thousand turns of the model "ranker", which is on s1 (two hosts) and s2 (one).
std::map<std::string, int> Turns(const std::vector<uint32_t>& weights) {
  v1::Snapshot proto;
  v1::PublishedRuleSet& published = *proto.add_rule_sets();
  published.mutable_rule_set()->set_namespace_("home");
  v1::Objective& objective = *published.mutable_rule_set()->add_objectives();
  objective.set_name("Ranking");
  objective.mutable_default_model()->set_name("ranker");
  v1::Placement& placement = *proto.mutable_placement();
  (*placement.mutable_shards())["s1"].add_hosts("127.0.0.1:1");
  (*placement.mutable_shards())["s1"].add_hosts("127.0.0.1:2");
  (*placement.mutable_shards())["s2"].add_hosts("127.0.0.1:3");
  v1::ModelPlacement& model = (*placement.mutable_models())["ranker"];
  model.add_shards("s1");
  model.add_shards("s2");
  for (const uint32_t weight : weights) model.add_weights(weight);
  const RoutePlan plan(decide::CompileOrDie(std::move(proto)));
  const RoutePlan::ModelHosts range = plan.models[0];
  std::map<std::string, int> turns;
  for (uint32_t turn = 0; turn < 1000; ++turn) {
    const uint32_t place = plan.hosts_of_models[range.begin + turn % (range.end - range.begin)];
    ++turns[plan.hosts[place].text];
  }
  return turns;
}

TEST(WeightedRoutesTest, WithoutWeightsAllHostsOfAllShardsAreAlike) {
  for (const auto& [host, count] : Turns({})) EXPECT_NEAR(count, 333, 1) << host;
}

TEST(WeightedRoutesTest, AShardGetsItsPartWhateverTheNumberOfItsHosts) {
  const auto turns = Turns({90, 10});
  EXPECT_EQ(turns.at("127.0.0.1:1"), 450);
  EXPECT_EQ(turns.at("127.0.0.1:2"), 450);
  EXPECT_EQ(turns.at("127.0.0.1:3"), 100);
}

TEST(WeightedRoutesTest, AShardOfWeightZeroGetsNothing) {
  const auto turns = Turns({0, 100});
  EXPECT_EQ(turns.size(), 1u);
  EXPECT_EQ(turns.at("127.0.0.1:3"), 1000);
}

TEST(WeightedRoutesTest, WeightsThatAreNotOneForEachShardAreNone) {
  for (const auto& [host, count] : Turns({5})) EXPECT_NEAR(count, 333, 1) << host;
}

}  // namespace
}  // namespace signalbox::proxy
