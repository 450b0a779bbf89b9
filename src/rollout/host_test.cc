// What hosts may do: die, start again, lie, come and go, be two with one name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kOneShard = R"pb(shards {
                                         key: "a"
                                         value {}
                                       })pb";
constexpr const char* kTwoShards = R"pb(shards {
                                          key: "a"
                                          value {}
                                        }
                                        shards {
                                          key: "b"
                                          value {}
                                        })pb";

// Two hosts of shard a with ranker@1, active.
struct Serving : World {
  explicit Serving(const char* fleet = kOneShard) {
    Fleet(fleet);
    AddHost("h1", "a");
    AddHost("h2", "a");
    Publish("home", {"ranker@1"});
    Settle();
    EXPECT_EQ(HostsOf("a"), "h1:8001,h2:8001");
    commands.clear();
  }
};

TEST(Hosts, OneThatDiesLeavesTheList) {
  Serving world;
  world.Host("h1").alive = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
}

TEST(Hosts, TheLastOneLeavesToo) {
  Serving world;
  world.Host("h1").alive = false;
  world.Host("h2").alive = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "");
  EXPECT_EQ(world.ShardsOf("ranker@1"), "a");
}

TEST(Hosts, OneThatStartsAgainIsLoadedAndTriedBeforeItIsListedAgain) {
  Serving world;
  world.Restart("h1");
  world.answers["dry-run h1 ranker@1"] = std::nullopt;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  EXPECT_THAT(world.commands, Contains("load h1 ranker@1"));
  world.answers.clear();
  world.Pass(60'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, OneThatStartsAgainWithItsModelsIsTriedAllTheSame) {
  Serving world;
  world.Host("h1").instance = "h1-another";
  world.answers["dry-run h1 ranker@1"] = absl::InternalError("crashed");
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
}

TEST(Hosts, OneThatComesBackIsTriedAgain) {
  Serving world;
  world.Host("h1").alive = false;
  world.Settle();
  world.Host("h1").alive = true;
  world.Settle();
  EXPECT_THAT(world.commands, Contains("dry-run h1 ranker@1"));
  EXPECT_THAT(world.commands, Not(Contains("load h1 ranker@1")));
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, OneThatComesAndGoesIsLeftAloneLongerEachTime) {
  Serving world;
  const int batches = world.batches;
  for (int second = 0; second < 120; ++second) {
    world.Host("h1").alive = second % 2 == 1;
    world.Pass(1'000);
  }
  EXPECT_LE(world.batches - batches, 10);
  world.Host("h1").alive = true;
  world.Pass(70'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, OneThatLosesAModelLeavesAndIsLoadedAgain) {
  Serving world;
  world.Host("h1").index["ranker@1"] = ModelState::kUnavailable;
  world.answers["load h1 ranker@1"] = std::nullopt;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  EXPECT_THAT(world.commands, Contains("load h1 ranker@1"));
}

TEST(Hosts, OneThatSaysLoadedAndIsNotIsNeverListed) {
  World world;
  world.Fleet(kOneShard);
  world.AddHost("h1", "a");
  world.AddHost("h2", "a").index["ranker@1"] = ModelState::kReady;
  world.answers["dry-run h2 ranker@1"] = absl::NotFoundError("no such model");
  world.Publish("home", {"ranker@1"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001");
}

TEST(Hosts, ANewOneIsListedWhenItHasEverything) {
  Serving world;
  world.Publish("other", {"popular"});
  world.Settle();
  world.answers["load h3 popular"] = std::nullopt;
  world.AddHost("h3", "a");
  world.Settle();
  EXPECT_TRUE(world.Has("h3", "ranker@1"));
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  world.answers.clear();
  world.Pass(120'000);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001,h3:8001");
}

TEST(Hosts, ASlowNewOneDoesNotHoldUpRollouts) {
  Serving world;
  world.answers["load h3 ranker@1"] = std::nullopt;
  world.answers["load h3 ranker@2"] = std::nullopt;
  world.AddHost("h3", "a");
  world.Settle();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, OneThatWasNotProbedYetIsNeitherListedNorDropped) {
  Serving world;
  world.Elect();
  world.Host("h1").probed = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
  world.AddHost("h3", "a").probed = false;
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, TwoWithOneAddressAreOne) {
  Serving world;
  world.AddHost("h3", "b").address = "h1:8001";
  world.Settle();
  EXPECT_THAT(world.log, Contains(HasSubstr("host h3 is left out: it has the address h1:8001 of host h1")));
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, TroublesAreToldOnce) {
  Serving world;
  Observation observation = world.Observe();
  observation.host_troubles = {"two hosts call themselves h9: 10.0.0.1:1 and 10.0.0.2:1"};
  Controller controller({});
  EXPECT_THAT(controller.Next(observation).log, Contains(HasSubstr("two hosts call themselves h9")));
  EXPECT_THAT(controller.Next(observation).log, Not(Contains(HasSubstr("h9"))));
}

TEST(Hosts, OfAShardThatTheFleetDoesNotHaveAreLeftAlone) {
  World world;
  world.Fleet(kOneShard);
  world.AddHost("h1", "a");
  world.AddHost("x", "elsewhere").index["theirs"] = ModelState::kReady;
  world.Publish("home", {"ranker@1"});
  world.Pass(60'000);
  for (const std::string& command : world.commands) EXPECT_THAT(command, Not(HasSubstr(" x ")));
  EXPECT_TRUE(world.Has("x", "theirs"));
}

TEST(Hosts, LoadedModelsThatNobodyNeedsAreUnloaded) {
  Serving world;
  world.Host("h1").index["leftover"] = ModelState::kReady;
  world.Pass(60'000);
  EXPECT_FALSE(world.Has("h1", "leftover"));
  EXPECT_TRUE(world.Has("h1", "ranker@1"));
}

TEST(Hosts, AModelIsLoadedAfterWhatItDependsOn) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   }
                   models {
                     key: "ranker"
                     value { depends_on: "tokens@1" }
                   })pb");
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  EXPECT_THAT(world.commands, testing::ElementsAre("load h1 tokens@1", "dry-run h1 tokens@1", "load h1 ranker@1",
                                                   "dry-run h1 ranker@1"));
  EXPECT_EQ(world.ShardsOf("tokens@1"), "a");
}

TEST(Hosts, ALoadThatIsNotAnsweredCountsAsFailedAfterItsTime) {
  World world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   }
                   models {
                     key: "ranker"
                     value { load_timeout_ms: 1000 }
                   })pb");
  world.AddHost("h1", "a");
  world.answers["load h1 ranker@1"] = std::nullopt;
  world.Publish("home", {"ranker@1"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("load: no answer in time"));
}

TEST(Hosts, ACommandThatWasNotBegunIsGivenAgainAndIsNoAttempt) {
  Serving world;
  world.begins_nothing = true;
  world.Publish("films", {"proxy@1"});
  for (int i = 0; i < 20; ++i) world.Turn();
  EXPECT_GT(std::count(world.commands.begin(), world.commands.end(), "load h1 proxy@1"), 3);
  EXPECT_EQ(world.StateOf("films"), v1::Rollout::LOADING);
  world.begins_nothing = false;
  world.Settle();
  EXPECT_EQ(world.StateOf("films"), v1::Rollout::ACTIVE);
}

TEST(Hosts, FailuresAreTriedAgainLaterEachTime) {
  Serving world;
  world.Host("h1").index.clear();
  world.answers["load h1 ranker@1"] = absl::InternalError("disk");
  world.Pass(600'000);
  // 1, 2, 4, ... 60 s, 60 s
  EXPECT_GE(world.commands.size(), 10U);
  EXPECT_LE(world.commands.size(), 20U);
}

TEST(Hosts, ALoadWaitsForTheMemoryOfWhatIsLeaving) {
  Serving world(R"pb(shards {
                       key: "a"
                       value { memory_bytes: 100 }
                     }
                     models {
                       key: "big"
                       value { memory_bytes: 60 }
                     }
                     models {
                       key: "leftover"
                       value { memory_bytes: 60 }
                     })pb");
  world.DataPlane("proxy");
  world.stuck.insert("proxy");
  for (const char* host : {"h1", "h2"}) world.Host(host).index["leftover"] = ModelState::kReady;
  world.Publish("other", {"big@1"});
  world.Settle();
  EXPECT_THAT(world.commands, IsEmpty());
  world.stuck.clear();
  world.Settle();
  EXPECT_EQ(world.commands.front(), "unload h1 leftover");
  EXPECT_EQ(world.ActiveVersion("other"), 1);
}

TEST(Hosts, ADrainedHostLeavesAndIsEmptied) {
  Serving world;
  world.Drains(R"pb(hosts: "h1")pb");
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h2:8001");
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
  world.Drains("");
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h1:8001,h2:8001");
}

TEST(Hosts, TheOnlyHostOfAShardIsDrainedWhenItsModelsAreElsewhere) {
  World world;
  world.Fleet(kTwoShards);
  world.AddHost("h1", "a");
  world.Publish("home", {"ranker@1"});
  world.Settle();
  world.Drains(R"pb(hosts: "h1")pb");
  world.Settle();
  EXPECT_EQ(world.HostsOf("a"), "h1:8001");
  ASSERT_EQ(world.controller().placement().models.size(), 1U);
  EXPECT_THAT(world.controller().placement().models[0].waits,
              testing::Contains(testing::HasSubstr("host h1 is drained, and stays in shard a until")));
  world.AddHost("h2", "b");
  world.Pass(60'000);
  EXPECT_EQ(world.ShardsOf("ranker@1"), "b");
  EXPECT_FALSE(world.Has("h1", "ranker@1"));
}

}  // namespace
}  // namespace signalbox::rollout
