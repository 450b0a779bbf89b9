#include "decide/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/allocation_count.h"
#include "decide/content_hash.h"
#include "decide/routing_key.h"
#include "decide/test_snapshot.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const Model* FindModel(const Snapshot& snapshot, std::string_view id) {
  for (const auto& model : snapshot.models()) {
    if (model->id == id) return model.get();
  }
  return nullptr;
}

std::vector<std::string> ShardNames(const Model& model) {
  std::vector<std::string> names;
  for (const Shard* shard : model.shards) names.push_back(shard->name);
  return names;
}

std::string CompileError(const v1::Snapshot& proto) {
  auto snapshot = Snapshot::Compile(proto);
  EXPECT_EQ(snapshot.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(Message(snapshot.status()));
}

v1::RuleSet& Home(v1::Snapshot& proto) { return *proto.mutable_rule_sets(0)->mutable_rule_set(); }

TEST(Snapshot, HasEveryModelThatAnyRuleNamesOnce) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  std::set<std::string> ids;
  for (const auto& model : snapshot->models()) EXPECT_TRUE(ids.insert(model->id).second) << model->id;
  EXPECT_EQ(ids, (std::set<std::string>{"ranker@1", "ranker@2", "ranker@3", "popular", "fraud"}));
}

TEST(Snapshot, APlacementByModelIdGoesBeforeOneByName) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_THAT(ShardNames(*FindModel(*snapshot, "ranker@1")), ElementsAre("s1", "s2"));
  EXPECT_THAT(ShardNames(*FindModel(*snapshot, "ranker@3")), ElementsAre("s2"));
}

TEST(Snapshot, AModelWithoutPlacementHasNoShards) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_THAT(FindModel(*snapshot, "popular")->shards, SizeIs(0));
}

TEST(Snapshot, AnswersAreNumberedInOrder) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  // ContinueWatchingRanking: 2 fallbacks, default, 2 cells with a model, shift; TitleSearch: default, shift;
  // FraudScoring: default.
  ASSERT_THAT(snapshot->answers(), SizeIs(9));
  for (size_t i = 0; i < snapshot->answers().size(); ++i) EXPECT_EQ(snapshot->answers()[i]->index, i);
}

TEST(Snapshot, ParametersOfACellGoBeforeThoseOfItsObjective) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  const auto answers = snapshot->answers();
  const auto found =
      std::find_if(answers.begin(), answers.end(), [](const auto& answer) { return answer->cell == "2"; });
  ASSERT_NE(found, answers.end());
  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(std::string((*found)->objective_config)));
  EXPECT_EQ(config.parameters().at("depth"), "80");
  EXPECT_EQ(config.parameters().at("alpha"), "1");
  EXPECT_EQ(config.model_input_type(), "WIDE_INPUT_TYPE");
  EXPECT_EQ(config.model_type(), "SCORER");
}

TEST(Snapshot, AnEmptyOneCompiles) {
  const auto snapshot = CompileOrDie({});
  EXPECT_EQ(snapshot->FindObjective("Any"), nullptr);
  EXPECT_THAT(snapshot->hash(), SizeIs(64));
}

TEST(Snapshot, TellsModelsFromObjectives) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_TRUE(snapshot->NamesModel("ranker@2"));
  EXPECT_TRUE(snapshot->NamesModel("ranker"));
  EXPECT_FALSE(snapshot->NamesModel("ContinueWatchingRanking"));
  EXPECT_THAT(snapshot->ObjectiveNames(), ElementsAre("ContinueWatchingRanking", "FraudScoring", "TitleSearch"));
}

// A client that misspells the name does so in every request, beside those of others.
TEST(Snapshot, NamesForMessagesAreThereWithoutAllocating) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  const uint64_t before = AllocationCount();
  EXPECT_EQ(snapshot->ObjectiveNames().size(), 3u);
  EXPECT_FALSE(snapshot->NamesModel("TitleSerach"));
  EXPECT_EQ(AllocationCount() - before, 0u);
}

TEST(Snapshot, ReportsEverythingThatIsWrongAtOnce) {
  v1::Snapshot proto = ExampleSnapshot();
  Home(proto).mutable_experiments(0)->mutable_cells(0)->set_weight_ppm(300'000);
  Home(proto).mutable_experiments(0)->add_objectives("Homepage");
  Home(proto).mutable_traffic_shifts(0)->set_share_ppm(1'000'001);
  (*proto.mutable_placement()->mutable_models())["fraud"].add_shards("s9");
  proto.set_hash("beef");
  const std::string error = CompileError(proto);
  EXPECT_THAT(error, HasSubstr("rules/home.js:14:9: experiment 12345: the weights of its cells add up to 1100000 ppm, "
                               "expected exactly 1000000; cells 1=300000 2=300000 3=500000"));
  EXPECT_THAT(error, HasSubstr("experiment 12345: targets Objective Homepage, which namespace home does not declare"));
  EXPECT_THAT(error, HasSubstr("rules/home.js:30:1: traffic shift ranker-canary: share is 1000001 ppm"));
  EXPECT_THAT(error, HasSubstr("placement of model fraud: shard s9 is not declared"));
  EXPECT_THAT(error, HasSubstr("snapshot hash is beef, but the content has"));
}

TEST(Snapshot, RefusesWhatItsRulesMayNotSay) {
  struct Case {
    const char* expected;
    void (*damage)(v1::Snapshot&);
  };
  const Case cases[] = {
      {"Objective FraudScoring is declared already by namespace ",
       [](auto& proto) { *Home(proto).add_objectives() = proto.rule_sets(1).rule_set().objectives(0); }},
      {"namespace home: stands twice", [](auto& proto) { *proto.add_rule_sets() = proto.rule_sets(0); }},
      {"has no default model", [](auto& proto) { Home(proto).mutable_objectives(0)->clear_default_model(); }},
      {"10 fallback models, expected at most 8",
       [](auto& proto) {
         for (int i = 0; i < 8; ++i) Home(proto).mutable_objectives(0)->add_fallback_models()->set_name("m");
       }},
      {"default model \"ran ker@1\": not a model",
       [](auto& proto) { Home(proto).mutable_objectives(0)->mutable_default_model()->set_name("ran ker"); }},
      {"cell 2 \"a@b@2\": not a model",
       [](auto& proto) { Home(proto).mutable_experiments(0)->mutable_cells(1)->mutable_model()->set_name("a@b"); }},
      {"allocation is 0 ppm, expected 1 to 1000000",
       [](auto& proto) { Home(proto).mutable_experiments(0)->set_allocation_ppm(0); }},
      {"two cells are named 1",
       [](auto& proto) { Home(proto).mutable_experiments(0)->mutable_cells(1)->set_name("1"); }},
      {"the weights of its cells add up to 0 ppm, expected exactly 1000000; cells none",
       [](auto& proto) { Home(proto).mutable_experiments(0)->clear_cells(); }},
      {"traffic shift ranker-canary: targets no Objective",
       [](auto& proto) { Home(proto).mutable_traffic_shifts(0)->clear_objectives(); }},
      {"experiment 12345: declared twice in namespace home",
       [](auto& proto) { *Home(proto).add_experiments() = v1::Experiment(Home(proto).experiments(0)); }},
      {"parameter sb_cell: names that begin with sb_ belong to signalbox",
       [](auto& proto) { (*Home(proto).mutable_objectives(0)->mutable_parameters())["sb_cell"] = "1"; }},
      {"bytes, expected at most 4096; shorten the parameters",
       [](auto& proto) { (*Home(proto).mutable_objectives(0)->mutable_parameters())["p"] = std::string(5000, 'x'); }},
      {"content hash is 00, but the content has",
       [](auto& proto) { proto.mutable_rule_sets(0)->set_content_hash("00"); }},
      {"placement of model fraud: shard s1 stands twice",
       [](auto& proto) { (*proto.mutable_placement()->mutable_models())["fraud"].add_shards("s1"); }},
  };
  for (const Case& each : cases) {
    v1::Snapshot proto = ExampleSnapshot();
    each.damage(proto);
    EXPECT_THAT(CompileError(proto), HasSubstr(each.expected));
  }
}

TEST(Snapshot, ManyErrorsAreCut) {
  v1::Snapshot proto;
  for (int i = 0; i < 250; ++i)
    proto.add_rule_sets()->mutable_rule_set()->add_objectives()->set_name(std::to_string(i));
  const std::string error = CompileError(proto);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 100);
  EXPECT_THAT(error, ::testing::EndsWith(" more"));
}

TEST(ContentHash, IsInvariantToSourceLocationsAndInsertionOrder) {
  v1::Snapshot a = ExampleSnapshot();
  v1::Snapshot b = ExampleSnapshot();
  b.mutable_rule_sets()->SwapElements(0, 1);
  for (auto& published : *b.mutable_rule_sets()) {
    for (auto& objective : *published.mutable_rule_set()->mutable_objectives()) {
      objective.mutable_source()->set_line(999);
      std::vector<std::pair<std::string, std::string>> parameters(objective.parameters().begin(),
                                                                  objective.parameters().end());
      objective.clear_parameters();
      for (auto it = parameters.rbegin(); it != parameters.rend(); ++it)
        (*objective.mutable_parameters())[it->first] = it->second;
    }
  }
  b.set_version(77);
  b.set_created_unix_ms(1);
  EXPECT_EQ(*SnapshotHash(a), *SnapshotHash(b));
}

TEST(ContentHash, ChangesWithEveryChangeOfMeaning) {
  const std::string before = *SnapshotHash(ExampleSnapshot());
  v1::Snapshot share = ExampleSnapshot();
  Home(share).mutable_traffic_shifts(0)->set_share_ppm(100'001);
  v1::Snapshot host = ExampleSnapshot();
  (*host.mutable_placement()->mutable_shards())["s1"].set_hosts(0, "127.0.0.1:9002");
  v1::Snapshot order = ExampleSnapshot();
  Home(order).mutable_objectives()->SwapElements(0, 1);
  EXPECT_NE(*SnapshotHash(share), before);
  EXPECT_NE(*SnapshotHash(host), before);
  EXPECT_NE(*SnapshotHash(order), before);
}

TEST(ContentHash, CoversWhatOperatorsSetOfTrafficShiftsButNotItsVersion) {
  const std::string before = *SnapshotHash(ExampleSnapshot());
  v1::Snapshot set = ExampleSnapshot();
  v1::TrafficSettings& settings = *set.mutable_rule_sets(0)->mutable_traffic();
  settings.set_namespace_("home");
  settings.set_version(1);
  EXPECT_EQ(*SnapshotHash(set), before) << "no setting";
  v1::ShiftSetting& shift = *settings.add_shifts();
  shift.set_shift("ranker-canary");
  shift.set_share_ppm(0);
  const std::string at_zero = *SnapshotHash(set);
  EXPECT_NE(at_zero, before);
  settings.set_version(2);
  EXPECT_EQ(*SnapshotHash(set), at_zero);
  shift.set_delay_ms(0);
  EXPECT_NE(*SnapshotHash(set), at_zero) << "another kind of setting";
}

TEST(ContentHash, IsSetWhereItIsEmptyAndTheSameAfterSerialising) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  EXPECT_THAT(snapshot->proto().rule_sets(0).content_hash(), SizeIs(64));
  v1::Snapshot parsed;
  ASSERT_TRUE(parsed.ParseFromString(snapshot->proto().SerializeAsString()));
  EXPECT_EQ(CompileOrDie(parsed)->hash(), snapshot->hash());
}

TEST(RoutingKey, IsAFunctionOfTheModelIdAlone) {
  v1::Snapshot moved = ExampleSnapshot();
  (*moved.mutable_placement()->mutable_models())["ranker@1"].add_shards("s2");
  const auto before = CompileOrDie(ExampleSnapshot());
  const auto after = CompileOrDie(moved);
  EXPECT_EQ(FindModel(*before, "ranker@1")->routing_key, FindModel(*after, "ranker@1")->routing_key);
  EXPECT_THAT(RoutingKey("ranker@1"), ::testing::MatchesRegex("rk-[a-z2-7]{13}"));
}

TEST(RoutingKey, DoesNotRepeatOverManyModelIds) {
  std::set<std::string> keys;
  for (int i = 0; i < 200'000; ++i) EXPECT_TRUE(keys.insert(RoutingKey("model-" + std::to_string(i))).second) << i;
}

}  // namespace
}  // namespace signalbox::decide
