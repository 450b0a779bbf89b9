// From published to active, and what may go wrong on the way.
#include "rollout/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kTwoShards = R"pb(
  shards {
    key: "a"
    value {}
  }
  shards {
    key: "b"
    value {}
  }
)pb";

std::vector<std::string> StatesOf(const v1::Rollout& rollout) {
  std::vector<std::string> states;
  for (const v1::Transition& transition : rollout.transitions()) {
    states.push_back(v1::Rollout::State_Name(transition.state()));
  }
  return states;
}

TEST(Controller, PublishedRulesAreCheckedAssignedLoadedAndActivated) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.AddHost("h2", "a");
  world.Publish("home", {"ranker@1", "popular"});

  world.Settle();

  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE) << world.ReasonOf("home");
  EXPECT_THAT(StatesOf(world.Rollouts("home").current()),
              ElementsAre("RECEIVED", "CHECKED", "ASSIGNED", "LOADING", "VALIDATED", "ACTIVE"));
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  for (const char* host : {"h1", "h2"}) {
    for (const char* model : {"ranker@1", "popular"}) EXPECT_TRUE(world.Has(host, model)) << host << " " << model;
  }
  EXPECT_THAT(world.log, Contains(HasSubstr("home version 1: active")));
}

TEST(Controller, WithNothingToDoNothingIsWrittenAndNobodyIsWoken) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  const int batches = world.batches;
  const size_t commands = world.commands.size();
  world.Pass(3'600'000);
  EXPECT_EQ(world.batches, batches);
  EXPECT_EQ(world.commands.size(), commands);
  EXPECT_GE(world.last().wake_after, std::chrono::hours(1));
}

TEST(Controller, RulesAreActivatedInOneBatchWithTheirPlacement) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  while (world.ActiveVersion("home") == 0 && world.Turn()) {
    if (world.ActiveVersion("home") == 0) {
      EXPECT_EQ(world.ShardsOf("ranker@1"), "");
    }
  }
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

TEST(Controller, WithoutAFleetNothingIsDone) {
  World world;
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  EXPECT_EQ(world.batches, 0);
  EXPECT_THAT(world.commands, IsEmpty());
}

TEST(Controller, AModelThatCannotBeLoadedFailsTheRolloutAndNothingElse) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  const int64_t placement = world.version("placement");
  // As hosts are asked (src/fleet), which says where and what by itself; that stands in the reason once.
  world.answers["load h1 ranker@2"] = absl::InternalError("host h1 (h1:8001): load of ranker@2: out of memory");
  world.Publish("home", {"ranker@2"});

  world.Pass(60'000);

  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("model ranker@2 on host h1 of shard a, tried 3 times: load: out of "
                                                "memory"));
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  EXPECT_EQ(world.version("placement"), placement);
}

TEST(Controller, WhatAHostSaysCannotSpoilTheRecord) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.answers["load h1 ranker@1"] = absl::InternalError("\xff\n\x1b[2J" + std::string(2'000'000, 'x'));
  world.Publish("home", {"ranker@1"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("load: ?\\n\\x1b[2Jxxx"));
  EXPECT_LT(world.records().at("rollout/home").value.size(), 10'000U);
  EXPECT_THAT(world.log, Not(Contains(HasSubstr("cannot be read"))));
}

TEST(Controller, ARecordThatCannotBeReadIsBegunAnew) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.records()["rollout/home"] = {"rollout/home", "\xff\xff", 7, 7};
  world.Publish("home", {"ranker@1"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
}

}  // namespace
}  // namespace signalbox::rollout
