// The leading control plane is killed at each step of a rollout, and the other one finishes it, or fails it with a
// reason. One host of the fleet is the test's: it holds a call until the leader that sent it is dead.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "fleet/test_host.h"
#include "tests/rollout/rollout_system.h"

namespace signalbox {
namespace {

constexpr char kGate[] = "gate";

// One system for all tests: each begins with version 1 of all models in effect, and no other one of the gate's loaded.
class RolloutLeaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    gate_ = std::make_unique<fleet::TestHost>();
    // Alive the same way for as long as the test: a host that has another instance has started again.
    gate_->Behave([](fleet::TestBehaviour& gate) { gate.instance = "1"; });
    for (int version = 1; version <= 3; ++version) gate_->Have(Gate(version), {.state = "UNAVAILABLE"});
    RolloutSystemOptions options;
    options.companion = kGate;
    options.models[kGate] = {{"shards", {"gates"}}};
    options.more_shards["gates"] = {{"hosts", {{{"id", kGate}, {"address", gate_->address()}}}}};
    // The version before goes soon, so that a rollout to it loads again.
    options.control_arguments = {"--retention", "1s"};
    system_ = std::make_unique<RolloutSystem>(std::move(options));
    system_->StartAll();
  }
  static void TearDownTestSuite() {
    system_.reset();
    gate_.reset();
  }

  void SetUp() override {
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "the system did not start";
    system_->Restore();
    WaitUntilGateHasOnly(1);
    leader_ = system_->Leader();
    ASSERT_TRUE(leader_ == "control-a" || leader_ == "control-b") << leader_;
  }
  void TearDown() override {
    gate_->Behave([](fleet::TestBehaviour& gate) {
      gate.hangs.clear();
      gate.fails.clear();
    });
    system_->PrintLogsOfAFailure();
  }

  static std::string Gate(int version) { return fmt::format("{}@{}", kGate, version); }
  static void WaitUntilGateHasOnly(int version) {
    EXPECT_TRUE(WaitUntil([&] {
      for (const std::string& state : system_->ModelStatesAt(gate_->address())) {
        if (state.ends_with(" READY") != state.starts_with(Gate(version) + " ")) return false;
      }
      return true;
    })) << "not only version "
        << version << " is loaded: " << testing::PrintToString(system_->ModelStatesAt(gate_->address()));
  }

  static void Hold(const std::string& call) {
    gate_->Behave([&](fleet::TestBehaviour& gate) { gate.hangs.insert(call); });
  }
  // The leader is killed while it waits for its next call of that name; then the call comes true.
  void KillLeaderInNext(const std::string& call, const std::function<void()>& begin) {
    const int before = gate_->count(call);
    Hold(call);
    begin();
    ASSERT_TRUE(gate_->WaitForCall(call, before + 1)) << call << " does not come";
    KillLeader();
    gate_->Behave([&](fleet::TestBehaviour& gate) { gate.hangs.clear(); });
  }
  void KillLeader() {
    const v1::Rollout rollout = system_->Rollout();
    fmt::print("killed with the newest rollout {}\n", v1::Rollout::State_Name(rollout.state()));
    ASSERT_EQ(system_->Leader(), leader_) << "it has lost the lease before it was killed";
    ASSERT_NO_FATAL_FAILURE(system_->Kill(leader_));
    killed_at_ = system_->Sequence();
  }

  // The other one leads and has finished it: rules of that version run, came into effect once, and the dead one wrote
  // nothing any more.
  void ExpectFinished(int64_t rules_version, int titles, const std::string& what) {
    system_->WaitForLeader(leader_);
    ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
    EXPECT_EQ(system_->Rollout().rules_version(), rules_version);
    EXPECT_EQ(system_->ActivationsOf(rules_version), 1);
    system_->WaitForTitles(fmt::format("title-ranker@{}", titles));
    EXPECT_EQ(system_->LeadersThatWroteAfter(killed_at_).count(leader_), 0U);
    WaitUntilGateHasOnly(titles);
    system_->ExpectNoFailures(what);
  }

  static std::unique_ptr<fleet::TestHost> gate_;
  static std::unique_ptr<RolloutSystem> system_;
  std::string leader_;
  int64_t killed_at_ = 0;  // the store's sequence
};
std::unique_ptr<fleet::TestHost> RolloutLeaderTest::gate_;
std::unique_ptr<RolloutSystem> RolloutLeaderTest::system_;

TEST_F(RolloutLeaderTest, KilledBeforeItHasSeenAPublishTheOtherOneRollsItOut) {
  // It stands still, so that it sees nothing of it.
  system_->process(leader_).Signal(SIGSTOP);
  const int64_t version = system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(KillLeader());
  EXPECT_NE(system_->Rollout().rules_version(), version) << "not before it was seen";
  ExpectFinished(version, 2, "the leader killed after a publish");
}

TEST_F(RolloutLeaderTest, KilledWhileAModelLoadsTheOtherOneLoadsIt) {
  int64_t version = 0;
  ASSERT_NO_FATAL_FAILURE(
      KillLeaderInNext("RepositoryModelLoad", [&] { version = system_->Publish("title-ranker@2"); }));
  EXPECT_EQ(system_->ActivationsOf(version), 0);
  ExpectFinished(version, 2, "the leader killed while a model loads");
}

TEST_F(RolloutLeaderTest, KilledWhileAModelIsTriedTheOtherOneTriesItAgain) {
  int64_t version = 0;
  ASSERT_NO_FATAL_FAILURE(KillLeaderInNext("ModelInfer", [&] { version = system_->Publish("title-ranker@2"); }));
  EXPECT_EQ(system_->ActivationsOf(version), 0);
  ExpectFinished(version, 2, "the leader killed in a dry run");
}

TEST_F(RolloutLeaderTest, KilledBetweenLoadedAndInEffectTheOtherOneActivates) {
  // A release that is paused stops exactly there.
  const CommandResult paused = system_->RunOnRules("rollout pause");
  ASSERT_EQ(paused.exit_code, 0) << paused.output;
  const int64_t version = system_->Publish("title-ranker@2");
  ASSERT_TRUE(WaitUntil([&] {
    const v1::Rollout rollout = system_->Rollout();
    return rollout.rules_version() == version && rollout.state() == v1::Rollout::VALIDATED;
  })) << system_->RunOnRules("rollout status").output;
  ASSERT_NO_FATAL_FAILURE(KillLeader());
  const CommandResult resumed = system_->RunOnRules("rollout resume");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.output;
  ExpectFinished(version, 2, "the leader killed before it activates");
}

TEST_F(RolloutLeaderTest, KilledBeforeTheOldVersionIsRetiredTheOtherOneRetiresIt) {
  const int64_t version = system_->Publish("title-ranker@2");
  ASSERT_TRUE(WaitUntil([&] { return system_->ActivationsOf(version) == 1; }));
  ASSERT_NO_FATAL_FAILURE(KillLeader());
  EXPECT_EQ(system_->ModelStatesAt(gate_->address()).count(Gate(1) + " READY"), 1U) << "it was retired before";
  ExpectFinished(version, 2, "the leader killed before it retires");
}

TEST_F(RolloutLeaderTest, KilledWhileAModelUnloadsWhatIsPublishedNextIsLoadedAllTheSame) {
  int64_t version = 0;
  ASSERT_NO_FATAL_FAILURE(
      KillLeaderInNext("RepositoryModelUnload", [&] { version = system_->Publish("title-ranker@2"); }));
  ExpectFinished(version, 2, "the leader killed while a model unloads");
  // The one that was unloaded is wanted again.
  const int64_t back = system_->Publish("title-ranker@1");
  ExpectFinished(back, 1, "back to what was unloaded");
}

TEST_F(RolloutLeaderTest, KilledInARolloutThatCannotSucceedTheOtherOneFailsItWithTheReason) {
  constexpr int kAlways = 1000;
  gate_->Behave([](fleet::TestBehaviour& gate) { gate.fails["RepositoryModelLoad"] = kAlways; });
  int64_t version = 0;
  ASSERT_NO_FATAL_FAILURE(
      KillLeaderInNext("RepositoryModelLoad", [&] { version = system_->Publish("title-ranker@2"); }));
  system_->WaitForLeader(leader_);
  const CommandResult watched = system_->RunOnRules("rollout status --watch");
  EXPECT_EQ(watched.exit_code, 1) << watched.output;
  EXPECT_EQ(system_->Rollout().state(), v1::Rollout::FAILED);
  EXPECT_THAT(system_->Rollout().reason(), testing::HasSubstr(Gate(2)));
  EXPECT_EQ(system_->ActivationsOf(version), 0);
  system_->WaitForTitles("title-ranker@1");
  EXPECT_EQ(system_->LeadersThatWroteAfter(killed_at_).count(leader_), 0U);
  system_->ExpectNoFailures("the leader killed in a rollout that fails");
}

}  // namespace
}  // namespace signalbox
