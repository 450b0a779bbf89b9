// Leaders come and go, stores say no, and one namespace is not another's business.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Serving : World {
  explicit Serving(ControllerOptions options = {}) : World(options) {
    Fleet(R"pb(shards {
                 key: "a"
                 value {}
               })pb");
    AddHost("h1", "a");
    AddHost("h2", "a");
    Publish("home", {"ranker@1"});
    Settle();
    commands.clear();
  }
};

TEST(Leader, ANewOneLeavesThePlacementAsItIsWhileItTriesEverything) {
  Serving world;
  world.Elect();
  const int batches = world.batches;
  world.answers["dry-run h1 ranker@1"] = std::nullopt;
  world.Settle();
  EXPECT_EQ(world.batches, batches);
  EXPECT_THAT(world.commands, Contains("dry-run h1 ranker@1"));
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Leader, ANewOneDropsAHostThatDoesNotHaveWhatItSays) {
  Serving world;
  world.Elect();
  world.answers["dry-run h1 ranker@1"] = absl::NotFoundError("no such model");
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
}

TEST(Leader, ANewOneDropsAHostThatIsNotAliveOrWhoseModelIsNotReady) {
  Serving world;
  world.Elect();
  world.Host("h1").alive = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  world.Elect();
  world.Host("h2").index.clear();
  world.Turn();
  EXPECT_EQ(world.HostsOf("a"), "");
}

TEST(Leader, ANewOneLoadsNothingNewUntilNoUnloadOfTheOneBeforeCanComeTrue) {
  for (const int64_t unload_ms : {700, 10'000}) {
    ControllerOptions options;
    options.unload_timeout = std::chrono::milliseconds(unload_ms);
    Serving world(options);
    world.Elect();
    world.Publish("home", {"ranker@2"});
    world.Pass(unload_ms - 100);
    EXPECT_THAT(world.commands, Not(Contains(HasSubstr("ranker@2"))));
    world.Pass(200);
    EXPECT_THAT(world.commands, Contains(HasSubstr("load h1 ranker@2")));
  }
}

TEST(Leader, ANewOneWaitsAMomentForHostsThatRegister) {
  Serving world;
  world.Elect();
  const TestHost h1 = world.Host("h1");
  const TestHost h2 = world.Host("h2");
  world.RemoveHost("h1");
  world.RemoveHost("h2");
  world.Pass(7'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  world.AddHost("h1", "a") = h1;
  world.Pass(7'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  world.Pass(2'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001");
}

TEST(Leader, OneThatIsKilledAtAnyStepIsFollowedByOneThatFinishes) {
  for (int killed_after = 1; killed_after < 14; ++killed_after) {
    Serving world;
    world.Publish("home", {"ranker@2", "popular"});
    for (int i = 0; i < killed_after; ++i) world.Turn();
    world.Elect();
    world.Pass(60'000);
    EXPECT_EQ(world.ActiveVersion("home"), 2) << killed_after;
    EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001") << killed_after;
  }
}

TEST(Leader, OneThatLostItsLeadershipForgetsWhatItKnew) {
  Serving world;
  Controller controller({});
  Observation observation = world.Observe();
  EXPECT_THAT(controller.Next(observation).commands, Not(IsEmpty()));
  observation.leadership.reset();
  const Step step = controller.Next(observation);
  EXPECT_THAT(step.commands, IsEmpty());
  EXPECT_FALSE(step.batch.has_value());
  observation.leadership = store::Fence{"leader", 99};
  EXPECT_THAT(controller.Next(observation).commands, Not(IsEmpty()));
}

TEST(Leader, NeverHasTwoBatchesUnderWay) {
  Serving world;
  Controller controller({});
  world.Publish("home", {"ranker@2"});
  Observation observation = world.Observe();
  EXPECT_TRUE(controller.Next(observation).batch.has_value());
  for (int i = 0; i < 5; ++i) {
    observation.steady_ms += 60'000;
    EXPECT_FALSE(controller.Next(observation).batch.has_value());
  }
  observation.batch_status = absl::AbortedError("not the newest");
  EXPECT_TRUE(controller.Next(observation).batch.has_value());
}

TEST(Leader, UnloadsNothingWhileABatchIsUnderWay) {
  Serving world;
  Controller controller({});
  world.Host("h1").index["leftover"] = ModelState::kReady;
  world.Publish("home", {"ranker@2"});
  Observation observation = world.Observe();
  observation.steady_ms += 1;
  Step step = controller.Next(observation);
  EXPECT_TRUE(step.batch.has_value());
  observation.steady_ms += 60'000;
  step = controller.Next(observation);
  for (const HostCommand& command : step.commands) EXPECT_NE(command.kind, CommandKind::kUnload);
}

TEST(Leader, EveryBatchIsFencedAndExpectsWhatWasRead) {
  Serving world;
  Controller controller({});
  world.Publish("home", {"ranker@2"});
  const Step step = controller.Next(world.Observe());
  ASSERT_TRUE(step.batch.has_value());
  ASSERT_TRUE(step.batch->fence.has_value());
  EXPECT_EQ(step.batch->fence->key, "leader");
  for (const store::RecordWrite& write : step.batch->records) EXPECT_TRUE(write.expected_revision.has_value());
}

TEST(Leader, AnOperatorsPlacementByNameIsTakenOver) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  TestHost& host = world.AddHost("h1", "a");
  host.index["ranker@1"] = ModelState::kReady;
  world.Put("placement", R"({"models":{"ranker":{"shards":["a"]}},"shards":{"a":{"hosts":["h1:8001"]}}})");
  v1::ActiveRules active;
  active.set_namespace_("home");
  active.set_rules_version(world.Publish("home", {"ranker@1"}));
  active.mutable_rule_set()->set_namespace_("home");
  active.mutable_rule_set()->add_objectives()->mutable_default_model()->set_name("ranker");
  active.mutable_rule_set()->mutable_objectives(0)->mutable_default_model()->set_version("1");
  world.Put("active/home", *CanonicalJson(active));
  while (world.Turn()) EXPECT_EQ(world.HostsOf("a"), "h1:8001");
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  EXPECT_EQ(world.ShardsOf("ranker"), "");
}

TEST(Isolation, ASlowRolloutDoesNotDelayAnothers) {
  Serving world;
  world.answers["load h1 slow"] = std::nullopt;
  world.Publish("slow", {"slow"});
  world.Settle();
  world.Publish("quick", {"quick"});
  world.Settle();
  EXPECT_EQ(world.StateOf("slow"), v1::Rollout::LOADING);
  EXPECT_EQ(world.StateOf("quick"), v1::Rollout::ACTIVE);
}

TEST(Isolation, AFailedRolloutChangesNothingForOthers) {
  Serving world;
  const int64_t placement = world.version("placement");
  world.answers["dry-run * broken"] = absl::InternalError("crashes");
  world.Publish("other", {"broken"});
  world.Pass(120'000);
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_EQ(world.version("placement"), placement);
  EXPECT_EQ(world.version("active/home"), 1);
  EXPECT_FALSE(world.Has("h1", "broken"));
}

TEST(Isolation, OneThatFindsNoPlaceTakesNoneFromAnother) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value { memory_bytes: 100 }
                   }
                   models {
                     key: "huge"
                     value { memory_bytes: 1000 }
                   }
                   models {
                     key: "big"
                     value { memory_bytes: 90 }
                   })pb");
  world.AddHost("h1", "a");
  world.Publish("first", {"big@1", "huge"});
  world.Publish("second", {"big@2"});
  world.Settle();
  EXPECT_EQ(world.StateOf("first"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("first"), HasSubstr("model huge"));
  EXPECT_EQ(world.StateOf("second"), v1::Rollout::ACTIVE) << world.ReasonOf("second");
}

TEST(Isolation, OfTwoForWhichThereIsRoomForOneTheFirstHasIt) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value { memory_bytes: 100 }
                   }
                   models {
                     key: "big"
                     value { memory_bytes: 90 }
                   })pb");
  world.AddHost("h1", "a");
  world.Publish("first", {"big@2"});
  world.Publish("second", {"big@1"});
  world.Settle();
  EXPECT_EQ(world.StateOf("first"), v1::Rollout::ACTIVE) << world.ReasonOf("first");
  EXPECT_EQ(world.StateOf("second"), v1::Rollout::FAILED) << world.ReasonOf("second");
}

TEST(Isolation, OneThatTheStoreNeverTakesFailsAlone) {
  Serving world;
  world.refused_topic = "active/bad";
  world.Publish("bad", {"ranker@1"});
  world.Publish("good", {"ranker@1"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("good"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.StateOf("bad"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("bad"), HasSubstr("too large"));
}

TEST(Isolation, ARolloutWaitsForHostsThatMayStillCome) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value { memory_bytes: 100 }
                   }
                   models {
                     key: "m"
                     value { memory_bytes: 50 }
                   })pb");
  world.Publish("home", {"m"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::CHECKED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("waits for a host of a"));
  world.AddHost("h1", "a");
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

TEST(Isolation, AStoreThatCannotBeWrittenIsTriedAgainAndNothingIsLost) {
  Serving world;
  world.write_status = absl::UnavailableError("no quorum");
  world.Publish("home", {"ranker@2"});
  world.Pass(300'000);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.write_status = absl::OkStatus();
  world.Pass(31'000);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Isolation, WhileNothingCanBeWrittenFailingHostsAreNotAskedWithoutAPause) {
  Serving world;
  world.write_status = absl::UnavailableError("no quorum");
  world.answers["load * ranker@2"] = absl::InternalError("disk");
  world.Publish("home", {"ranker@2"});
  world.Pass(60'000);
  EXPECT_LE(world.commands.size(), 20U);
}

TEST(Isolation, AHundredNamespacesAtOnceTakeFewPlansAndFewBatches) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  world.AddHost("h1", "a");
  for (int i = 0; i < 100; ++i) world.Publish(fmt::format("team{}", i), {fmt::format("model-{}", i)});
  world.Settle();
  world.Pass(60'000);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(world.ActiveVersion(fmt::format("team{}", i)), 1) << i;
  EXPECT_LE(world.batches, 12);
}

TEST(Isolation, RulesWithoutAnythingInThemTakeTheirModelsAway) {
  ControllerOptions options;
  options.retention = std::chrono::milliseconds(1000);
  Serving world(options);
  v1::RuleSet nothing;
  nothing.set_namespace_("home");
  world.PublishRules(nothing);
  world.Pass(5'000);
  EXPECT_EQ(world.ActiveVersion("home"), 2) << world.ReasonOf("home");
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
  EXPECT_EQ(world.Placement().models_size(), 0);
}

TEST(Leader, AStoreThatWasRestoredFromAnOlderCopyIsGoneOnFrom) {
  Serving world;
  world.DataPlane("proxy");
  const auto topics = world.topics();
  const auto records = world.records();
  const int64_t sequence = world.sequence();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  world.stuck.insert("proxy");  // it runs what the lost part said
  world.Restore(topics, records, sequence);
  world.Elect();
  world.Pass(30'000);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  EXPECT_TRUE(world.Has("h1", "ranker@2"));  // the proxy may still send to it
  world.stuck.clear();
  world.Pass(30'000);
  EXPECT_FALSE(world.Has("h1", "ranker@2"));
  world.Publish("home", {"ranker@3"});
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Leader, RulesThatRanBeforeThereWasAFleetAreToldAsActive) {
  World world;
  world.Publish("home", {"ranker@1"});
  world.Put("placement", R"({"models": {"ranker": {"shards": ["a"]}}, "shards": {"a": {"hosts": ["h1:8001"]}}})");
  world.Put("active/home", fmt::format(R"({{"namespace": "home", "rulesVersion": "1", "ruleSet": {}}})",
                                       world.topics()["rules/home"].content));
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  world.AddHost("h1", "a").index["ranker@1"] = ModelState::kReady;
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.Rollouts("home").current().rules_version(), 1);
  EXPECT_EQ(world.version("active/home"), 1) << "nothing is written anew";
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
}

TEST(Leader, RulesThatWereThereBeforeAnyPlacementAreRolledOut) {
  World world;
  world.Publish("home", {"ranker@9"});
  world.answers["load * ranker@9"] = absl::NotFoundError("no version 9");
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  world.AddHost("h1", "a");
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  world.answers.clear();
  world.Plan("home", "attempt: 1");
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

TEST(View, SaysWhoWantsAModelWhereItIsAndWhatItWaitsFor) {
  Serving world;
  world.answers["load h1 ranker@2"] = absl::InternalError("slow disk");
  world.Publish("home", {"ranker@2", "ranker@1"});
  world.Settle();
  const PlacementView& view = world.controller().placement();
  ASSERT_EQ(view.models.size(), 2U);
  EXPECT_EQ(view.models[0].model, "ranker@1");
  EXPECT_THAT(view.models[0].wanted_by, testing::ElementsAre("home version 1 (active)", "home version 2 (loading)"));
  EXPECT_THAT(view.models[0].shards, testing::ElementsAre("a"));
  EXPECT_NE(view.models[0].summary, "");
  EXPECT_THAT(view.models[1].shards, IsEmpty());
  EXPECT_THAT(view.models[1].waits,
              Contains(HasSubstr("home version 2: host h1 of shard a does not have all of it yet")));
  EXPECT_THAT(world.log, Contains("host h1: ranker@2: load: slow disk"));
}

}  // namespace
}  // namespace signalbox::rollout
