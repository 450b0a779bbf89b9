// Hosts, as their probes show them.
#include "fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fleet/test_fleet.h"

namespace signalbox::fleet {
namespace {

using rollout::CommandKind;
using rollout::CommandResult;
using rollout::ModelState;
using rollout::ObservedHost;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(FleetTest, AHostThatAnswersIsAliveWithItsIndex) {
  host_.Have("m@1");
  host_.Have("m@2", {.state = "UNAVAILABLE", .reason = "not loaded"});
  host_.Have("old", {.state = "LOADING"});

  fleet_->SetHosts({Known("h1", host_)});

  ASSERT_TRUE(UntilAlive("h1"));
  const ObservedHost host = Observed("h1");
  EXPECT_EQ(host.address, host_.address());
  EXPECT_EQ(host.shard, "s");
  EXPECT_EQ(host.trouble, "");
  EXPECT_NE(host.instance, "");
  ASSERT_EQ(host.index.size(), 3U);
  EXPECT_EQ(host.index.at("m@1").state, ModelState::kReady);
  EXPECT_EQ(host.index.at("m@2").state, ModelState::kUnavailable);
  EXPECT_EQ(host.index.at("m@2").reason, "not loaded");
  EXPECT_EQ(host.index.at("old").state, ModelState::kLoading);
}

// A leader that takes over must not take hosts out of the placement before it knows anything of them.
TEST_F(FleetTest, AHostThatWasNotProbedYetHasNoTroubleAndOneProbeWithoutAnAnswerGivesItNone) {
  host_.Behave([](TestBehaviour& b) { b.hangs = {"ServerReady"}; });
  std::atomic<int> told = 0;
  fleet_ = Fleet::Start({.probe_again = milliseconds(10), .probe_timeout = milliseconds(300)}, [&] { ++told; });
  fleet_->SetHosts({Known("h1", host_)});
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (Observed("h1").trouble.empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_THAT(Observed("h1").trouble, HasSubstr("no answer to"));
  EXPECT_EQ(told, 2) << "that it is there, and, after its second probe, that it does not answer";
}

TEST_F(FleetTest, NothingToDoWakesNobody) {
  StartHost();
  fleet_->SetHosts({Known("h1", host_)});
  const int before = Changes();
  for (int i = 0; i < 100; ++i) {
    fleet_->Execute({});
    fleet_->SetHosts({Known("h1", host_)});
  }
  host_.Stop();  // what is told in order, after all of these
  ASSERT_TRUE(UntilAway("h1"));
  EXPECT_LE(Changes() - before, 3);
}

TEST_F(FleetTest, AHostThatIsNotThereIsToldAtOnceAndWhy) {
  const KnownHost known = Known("h1", host_);
  host_.Stop();

  fleet_->SetHosts({known});

  ASSERT_TRUE(Until([&] { return Observed("h1").trouble.find("connection refused") != std::string::npos; }))
      << Observed("h1").trouble;
  EXPECT_FALSE(Observed("h1").alive);
}

TEST_F(FleetTest, AHostThatEndsIsAwayAndComesBackWithAnotherInstance) {
  StartHost();
  const std::string instance = Observed("h1").instance;

  host_.Stop();
  ASSERT_TRUE(UntilAway("h1"));
  host_.Start(host_.port());

  ASSERT_TRUE(UntilAlive("h1"));
  EXPECT_NE(Observed("h1").instance, instance);
}

TEST_F(FleetTest, AHostThatStatesItsInstanceIsKnownByItAndKeepsItWhenAConnectionIsLost) {
  host_.Behave([](TestBehaviour& b) { b.instance = "life-1"; });
  StartHost();
  EXPECT_EQ(Observed("h1").instance, "life-1");

  host_.Stop();
  ASSERT_TRUE(UntilAway("h1"));
  host_.Start(host_.port());
  ASSERT_TRUE(UntilAlive("h1"));

  EXPECT_EQ(Observed("h1").instance, "life-1");
}

TEST_F(FleetTest, AnotherProcessThanTheOneThatRegisteredIsAStranger) {
  host_.Behave([](TestBehaviour& b) { b.instance = "life-2"; });

  fleet_->SetHosts({Known("h1", host_, "life-1")});

  ASSERT_TRUE(Until([&] {
    return Observed("h1").trouble.find("life-2, the one that registered was life-1") != std::string::npos;
  })) << Observed("h1").trouble;
  EXPECT_FALSE(Observed("h1").alive);
  fleet_->SetHosts({Known("h1", host_, "life-2")});
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatSaysThatItIsNotReadyIsNotAlive) {
  StartHost();

  host_.Behave([](TestBehaviour& b) { b.ready = false; });

  ASSERT_TRUE(UntilAway("h1"));
  EXPECT_EQ(Observed("h1").trouble, "it says that it is not ready");
  host_.Behave([](TestBehaviour& b) { b.ready = true; });
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatHangsIsAwayAfterTwoProbesAndCostsOthersNothing) {
  StartFleet({.probe_interval_min = milliseconds(10),
              .probe_interval_max = milliseconds(20),
              .probe_again = milliseconds(10),
              .probe_timeout = milliseconds(300),
              .commands_per_host_max = 4});
  TestHost other;
  other.Have("m@1");
  host_.Have("m@1");
  fleet_->SetHosts({Known("h1", host_), Known("h2", other)});
  ASSERT_TRUE(UntilAlive("h1") && UntilAlive("h2"));

  host_.Behave([](TestBehaviour& b) { b.hangs = {"ServerReady", "RepositoryModelLoad"}; });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});  // hangs for a minute
  const CommandResult result = Run(Command(CommandKind::kLoad, "h2", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.host, "h2");
  ASSERT_TRUE(UntilAway("h1"));
  EXPECT_EQ(Observed("h1").trouble, "no answer to ServerReady within 300 ms");
  EXPECT_TRUE(Observed("h2").alive);
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatFailsOneProbeStaysAliveAndOneThatFailsTwoDoesNot) {
  StartHost();
  const int changes = Changes();

  host_.Behave([](TestBehaviour& b) { b.fails["RepositoryIndex"] = 1; });
  ASSERT_TRUE(host_.WaitForCall("RepositoryIndex", host_.count("RepositoryIndex") + 5));
  const int changes_after_one = Changes();
  host_.Behave([](TestBehaviour& b) { b.fails["RepositoryIndex"] = 2; });

  EXPECT_EQ(changes_after_one, changes);
  ASSERT_TRUE(Until([&] { return Changes() != changes; }));
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostWithoutARepositoryIndexCannotBeManagedAndThatIsSaid) {
  host_.Behave([](TestBehaviour& b) { b.has_index = false; });

  fleet_->SetHosts({Known("h1", host_)});

  ASSERT_TRUE(
      Until([&] { return Observed("h1").trouble.find("does not implement RepositoryIndex") != std::string::npos; }));
  EXPECT_FALSE(Observed("h1").alive);
}

TEST_F(FleetTest, AModelThatAHostLosesIsSeen) {
  StartHost();
  ASSERT_EQ(StateOf("h1", "m@1"), ModelState::kReady);

  host_.SetState("m@1", "UNAVAILABLE", "out of memory");

  EXPECT_TRUE(Until([&] { return StateOf("h1", "m@1") == ModelState::kUnavailable; }));
  host_.Lose("m@1");
  EXPECT_TRUE(Until([&] { return StateOf("h1", "m@1") == ModelState::kAbsent; }));
}

TEST_F(FleetTest, SaturationIsWhatTheHostReports) {
  host_.Behave(
      [](TestBehaviour& b) { b.load_report = "TEXT cpu_utilization=0.25,named_metrics.kv_cache_utilization=0.75"; });

  StartHost();

  EXPECT_DOUBLE_EQ(Observed("h1").saturation, 0.75);
}

TEST_F(FleetTest, StoppingDoesNotWaitForHostsThatHang) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"RepositoryModelLoad", "ServerReady"}; });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});
  ASSERT_TRUE(host_.WaitForCall("RepositoryModelLoad"));
  const auto begin = std::chrono::steady_clock::now();

  fleet_->Stop();

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(JoinHosts, WhatIsDeclaredCountsBeforeWhatRegisters) {
  v1::Fleet fleet;
  auto* host = (*fleet.mutable_shards())["films"].add_hosts();
  host->set_address("10.0.0.1:8001");
  host = (*fleet.mutable_shards())["films"].add_hosts();
  host->set_address("10.0.0.2:8001");
  host->set_id("two");
  auto identity = [](const char* id, const char* address, const char* shard) {
    v1::HostIdentity registered;
    registered.set_id(id);
    registered.set_instance("life");
    registered.set_address(address);
    registered.set_shard(shard);
    return registered;
  };

  const KnownHosts joined =
      JoinHosts(fleet, {identity("10.0.0.1:8001", "10.0.0.1:8001", "films"), identity("two", "10.0.0.9:8001", "films"),
                        identity("three", "10.0.0.2:8001", "films"), identity("four", "10.0.0.4:8001", "films"),
                        identity("five", "10.0.0.5:8001", "flights")});

  std::vector<std::string> hosts;
  for (const KnownHost& known : joined.hosts)
    hosts.push_back(fmt::format("{} {} '{}'", known.id, known.address, known.instance));
  EXPECT_THAT(hosts,
              ElementsAre("10.0.0.1:8001 10.0.0.1:8001 'life'", "four 10.0.0.4:8001 'life'", "two 10.0.0.2:8001 ''"));
  EXPECT_THAT(joined.troubles,
              ElementsAre(HasSubstr("host five has registered for shard flights, which is not declared"),
                          HasSubstr("host three has registered with the address 10.0.0.2:8001 of host two"),
                          HasSubstr("host two has registered as 10.0.0.9:8001 of shard films, and is declared as")));
}

}  // namespace
}  // namespace signalbox::fleet
