// Models leave their hosts last, and go from shard to shard without anybody noticing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kRetentionMs = 1'800'000;

// `home` went from ranker@1 to ranker@2, on one host.
struct Succeeded : World {
  explicit Succeeded(ControllerOptions options = {}) : World(std::move(options)) {
    Fleet(R"pb(shards {
                 key: "a"
                 value {}
               })pb");
    AddHost("h1", "a");
    DataPlane("proxy");
    Publish("home", {"ranker@1"});
    Settle();
    Publish("home", {"ranker@2"});
    Settle();
    EXPECT_EQ(ActiveVersion("home"), 2);
  }
};

TEST(Retirement, TheVersionBeforeStaysLoadedForItsTimeAndIsThenRetired) {
  Succeeded world;
  world.Pass(kRetentionMs - 1'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.Pass(2'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "");
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
  EXPECT_EQ(world.Rollouts("home").past(0).state(), v1::Rollout::RETIRED);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

TEST(Retirement, ClocksThatJumpDoNotEndIt) {
  Succeeded world;
  world.Settle();
  world.JumpClock(10 * kRetentionMs);
  world.Pass(60'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.JumpClock(-20 * kRetentionMs);
  world.Pass(kRetentionMs);
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
}

TEST(Retirement, WaitsUntilNoDataPlaneUsesAnOlderSnapshot) {
  Succeeded world;
  world.Pass(kRetentionMs - 5'000);
  world.stuck.insert("proxy");
  world.Pass(6'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "");
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  bool is_told = false;
  for (const PlacementView::ModelView& model : world.controller().placement().models) {
    for (const std::string& wait : model.waits)
      is_told = is_told || (model.model == "ranker@1" && wait.find("proxy") != std::string::npos);
  }
  EXPECT_TRUE(is_told);
  world.stuck.clear();
  world.Settle();
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
}

TEST(Retirement, OneThatTakesNothingIsNotWaitedForForEver) {
  Succeeded world;
  world.Pass(kRetentionMs - 5'000);
  world.stuck.insert("proxy");
  world.Pass(50'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.Pass(30'000);
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
  EXPECT_THAT(world.log, Contains(HasSubstr("data plane proxy is not waited for any more: it has not taken what it was "
                                            "sent for 60 s")));
}

TEST(Retirement, OneWithOldRequestsInFlightIsWaitedForLonger) {
  Succeeded world;
  world.Pass(kRetentionMs - 5'000);
  world.stuck.insert("proxy");
  world.DataPlane("proxy").set_running_version(world.sequence() + 1);
  world.Pass(300'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.Pass(310'000);
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
}

TEST(Retirement, OneThatIsAwayCountsUntilItIsForgotten) {
  Succeeded world;
  world.Pass(kRetentionMs - 5'000);
  world.stuck.insert("proxy");
  world.DataPlane("proxy").set_connected(false);
  world.Pass(590'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.Pass(30'000);
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
  EXPECT_THAT(world.log, Contains(HasSubstr("it has not been heard of for 600 s")));
}

TEST(Retirement, ADataPlaneThatIsAheadOfARestoredStoreSaysNothing) {
  Succeeded world;
  world.Pass(kRetentionMs - 5'000);
  world.stuck.insert("proxy");
  world.DataPlane("proxy").set_running_version(1'000'000);
  world.DataPlane("proxy").set_oldest_version_in_use(1'000'000);
  world.Pass(6'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
}

TEST(Retirement, AnUnloadThatIsNotAnsweredHoldsUpItsReturn) {
  ControllerOptions options;
  options.unload_timeout = std::chrono::seconds(2);
  Succeeded world(options);
  world.answers["unload h1 ranker@1"] = std::nullopt;
  world.before_unload = [](const HostCommand& command) { EXPECT_EQ(command.timeout, std::chrono::seconds(2)); };
  world.Pass(kRetentionMs + 1'000);
  EXPECT_THAT(world.commands, Contains("unload h1 ranker@1"));
  world.commands.clear();
  world.answers.clear();
  world.Publish("home", {"ranker@1"});
  world.Pass(5'500);  // until it counts as lost
  EXPECT_THAT(world.commands, IsEmpty());
  world.Pass(2'000);
  EXPECT_THAT(world.commands, IsEmpty());
  world.Pass(1'500);
  EXPECT_EQ(world.ActiveVersion("home"), 3);
}

TEST(Retirement, NothingIsUnloadedThatThePlacementInTheStoreStillHas) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   })pb");
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.write_status = absl::UnavailableError("no quorum");
  world.Pass(kRetentionMs + 60'000);
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
  world.write_status = absl::OkStatus();
  world.Pass(60'000);
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
}

struct TwoShards : World {
  TwoShards() {
    Fleet(R"pb(shards {
                 key: "a"
                 value {}
               }
               shards {
                 key: "b"
                 value {}
               })pb");
    AddHost("a1", "a");
    Publish("home", {"ranker@1"});
    Settle();
    AddHost("b1", "b");
    Settle();
    EXPECT_EQ(ShardsOf("ranker@1"), "a");
    commands.clear();
  }
};

TEST(Moves, TheTrafficOfAModelGoesOverInSteps) {
  TwoShards world;
  world.Drains(R"pb(shards: "a")pb");
  world.answers["dry-run b1 ranker@1"] = std::nullopt;
  world.Pass(5'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  world.answers.clear();
  world.Pass(11'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 9:1");
  world.Pass(10'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 1:1");
  EXPECT_TRUE(world.Has("a1", "ranker@1"));
  world.Pass(10'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "b");
  EXPECT_FALSE(world.Has("a1", "ranker@1"));
}

TEST(Moves, ALeaderThatFindsOneHalfWayEndsIt) {
  TwoShards world;
  world.Drains(R"pb(shards: "a")pb");
  world.Settle();
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 9:1");
  world.Elect();
  world.Pass(30'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "b");
}

TEST(Moves, AreNotCountedWhileTheyCannotBeWritten) {
  TwoShards world;
  world.Drains(R"pb(shards: "a")pb");
  world.Settle();
  world.write_status = absl::UnavailableError("no quorum");
  world.Pass(60'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 9:1");
  world.write_status = absl::OkStatus();
  for (int second = 0; second < 40 && world.ShardsOf("ranker@1") == "a,b 9:1"; ++second) world.Pass(1'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 1:1");
  world.Pass(8'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b 1:1");
}

TEST(Moves, AShardThatHasLostItsHostsIsLeftAtOnceButNotForAMoment) {
  TwoShards world;
  world.Host("a1").alive = false;
  world.Pass(29'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  EXPECT_THAT(world.commands, IsEmpty());
  world.Pass(2'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "b");
}

TEST(Moves, ANewShardWithoutHostsTakesNothingAway) {
  TwoShards world;
  world.Drains(R"pb(shards: "a")pb");
  world.Settle();
  world.Host("b1").alive = false;
  world.Pass(25'000);
  EXPECT_EQ(world.HostsOf("a"), "a1:8001");
  EXPECT_THAT(world.ShardsOf("ranker@1"), HasSubstr("a"));
}

TEST(Moves, AShardThatIsTakenFromTheFleetIsLeftWithoutAGap) {
  TwoShards world;
  world.RemoveHost("a1");
  world.Fleet(R"pb(shards {
                     key: "b"
                     value {}
                   })pb");
  while (world.Turn()) EXPECT_NE(world.HostsOf("a") + world.HostsOf("b"), "");
  world.Pass(30'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "b");
}

TEST(Moves, MoreReplicasComeWithoutWeights) {
  TwoShards world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   }
                   shards {
                     key: "b"
                     value {}
                   }
                   models {
                     key: "ranker"
                     value { replicas: 2 }
                   })pb");
  world.Settle();
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a,b");
}

}  // namespace
}  // namespace signalbox::rollout
