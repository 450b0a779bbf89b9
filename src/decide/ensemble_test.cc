// Ensembles wherever a model may stand: what a decision says of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "decide/decide.h"
#include "decide/explain.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// `mix` of a and b@2, and a default model; a is placed.
std::shared_ptr<const Snapshot> With(const std::string& rules, const std::string& default_model = "name: 'm'") {
  return CompileOrDie(ParseSnapshot(
      "rule_sets { rule_set { namespace: 'team' objectives { name: 'Home' default_model { " + default_model +
      " } fallback_models { name: 'a' } fallback_models { name: 'm' } parameters { key: 'depth' value: '5' } } "
      "ensembles { name: 'mix' mode: WEIGHTED min_members: 1 members { model { name: 'a' } weight: 0.25 } "
      "members { model { name: 'b' version: '2' } weight: 0.75 } } " +
      rules +
      " } } placement { shards { key: 's' value { hosts: 'h:1' } } models { key: 'a' value { shards: 's' } } }"));
}

std::vector<std::pair<std::string, double>> MembersOf(const Answer& answer) {
  std::vector<std::pair<std::string, double>> members;
  for (const Answer::Member& each : answer.members) members.emplace_back(each.answer->model->id, each.weight);
  return members;
}

std::vector<std::string> FallbacksOf(const Decision& decision) {
  std::vector<std::string> ids;
  for (const Answer* each : decision.fallbacks) ids.push_back(each->model->id);
  return ids;
}

// `mix`, for `reason`, with both members, each with all that its host is told.
void ExpectMix(const Decision& decision, Reason reason) {
  ASSERT_NE(decision.answer, nullptr);
  EXPECT_EQ(decision.answer->model->id, "ensemble:mix");
  EXPECT_EQ(decision.answer->reason, reason);
  ASSERT_NE(decision.answer->ensemble, nullptr);
  EXPECT_EQ(decision.answer->ensemble->mode(), v1::Ensemble::WEIGHTED);
  EXPECT_EQ(decision.answer->ensemble->min_members(), 1u);
  EXPECT_THAT(MembersOf(*decision.answer), ElementsAre(Pair("a", 0.25), Pair("b@2", 0.75)));
  EXPECT_THAT(decision.answer->model->routing_key, IsEmpty()) << "an ensemble is nowhere itself";
  EXPECT_THAT(decision.answer->model->shards, IsEmpty());
  EXPECT_EQ(decision.answer->members[0].answer->model->shards.size(), 1u);
  for (const Answer::Member& each : decision.answer->members) {
    EXPECT_EQ(each.answer->reason, reason);
    EXPECT_FALSE(each.answer->model->routing_key.empty());
    v1::ObjectiveConfig config;
    ASSERT_TRUE(config.ParseFromString(std::string(each.answer->objective_config)));
    EXPECT_EQ(config.parameters().at("depth"), "5");
  }
}

TEST(Ensemble, CanBeTheDefaultModel) {
  const auto snapshot = With("", "ensemble: 'mix'");
  const Decision decision = Decide(*snapshot, {.objective = "Home"});
  ExpectMix(decision, Reason::kDefault);
  // A fallback is one model; that it is a member does not take it out.
  EXPECT_THAT(FallbacksOf(decision), ElementsAre("a", "m"));
  EXPECT_FALSE(snapshot->NamesModel("mix"));
  EXPECT_TRUE(snapshot->NamesModel("b@2"));
}

TEST(Ensemble, CanBeTheModelOfAContextRuleACellAndAShift) {
  ExpectMix(Decide(*With("context_rules { id: 'c' objectives: 'Home' model { ensemble: 'mix' } condition { all {} } }"),
                   {.objective = "Home"}),
            Reason::kContextRule);
  const auto experiment = With(
      "experiments { id: '1' objectives: 'Home' allocation_ppm: 1000000 cells { name: 'x' weight_ppm: 1000000 model { "
      "ensemble: 'mix' } } }");
  const Decision decision = Decide(*experiment, {.objective = "Home", .user = "u"});
  ExpectMix(decision, Reason::kExperiment);
  for (const Answer::Member& each : decision.answer->members) EXPECT_EQ(each.answer->cell, "x");
  ExpectMix(Decide(*With("traffic_shifts { id: 't' objectives: 'Home' to { ensemble: 'mix' } share_ppm: 1000000 }"),
                   {.objective = "Home", .user = "u"}),
            Reason::kTrafficShift);
  // From an ensemble, to a model.
  const auto from =
      With("traffic_shifts { id: 't' objectives: 'Home' from { ensemble: 'mix' } to { name: 'n' } share_ppm: 1000000 }",
           "ensemble: 'mix'");
  EXPECT_EQ(Decide(*from, {.objective = "Home", .user = "u"}).answer->model->id, "n");
}

TEST(Ensemble, CanBeAskedForWhereAnOverrideAllowsIt) {
  const RequestContext asked = {.objective = "Home", .user = "alice", .override_model = "ensemble:mix"};
  const auto listed = With("overrides { id: 'o' objectives: 'Home' users: 'alice' models { ensemble: 'mix' } }");
  ExpectMix(Decide(*listed, asked), Reason::kOverride);
  const auto other = With("overrides { id: 'o' objectives: 'Home' users: 'alice' models { name: 'n' } }");
  const Decision refused = Decide(*other, asked);
  EXPECT_EQ(refused.answer->model->id, "m");
  EXPECT_EQ(refused.notes, kOverrideRefused);
}

TEST(Ensemble, IsExplainedWithItsMembers) {
  const auto snapshot = With("", "ensemble: 'mix'");
  const std::string page = Explain(*snapshot, {.objective = "Home"});
  EXPECT_THAT(page, HasSubstr("gives ensemble:mix\n"));
  EXPECT_THAT(page, HasSubstr("model        ensemble:mix\n"));
  EXPECT_THAT(page, HasSubstr("member       a, shard s at h:1\n"));
  EXPECT_THAT(page, HasSubstr("member       b@2, not placed on any shard\n"));
}

}  // namespace
}  // namespace signalbox::decide
