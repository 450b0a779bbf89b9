// While traffic flows, each part of a managed fleet is killed in turn, and the rollouts go on: no request fails that
// had a healthy replica. Real processes, three members of etcd, real models.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rollout/rollout_system.h"

namespace signalbox {
namespace {

// What a host that is killed may have been answering: at this rate, on two proxies, more would be many.
constexpr uint64_t kInFlightMax = 20;

class Stopwatch {
 public:
  // Prints what it took from the beginning until now.
  std::chrono::milliseconds Say(const std::string& what) const {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin_);
    fmt::print("{:<40} after {} ms\n", what, took.count());
    return took;
  }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// One system for all tests of a suite: each begins with everything there and rules with version 1 of all models in
// effect.
class RolloutSystemTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    system_ = std::make_unique<RolloutSystem>();
    system_->StartAll();
  }
  static void TearDownTestSuite() { system_.reset(); }

  void SetUp() override {
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "the system did not start";
    system_->Restore();
  }
  void TearDown() override { system_->PrintLogsOfAFailure(); }

  static std::unique_ptr<RolloutSystem> system_;
};
std::unique_ptr<RolloutSystem> RolloutSystemTest::system_;

TEST_F(RolloutSystemTest, PublishedRulesAreInEffectWhenTheirModelsAreThereAndNothingFailsMeanwhile) {
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("a rollout");
}

TEST_F(RolloutSystemTest, ARolloutIsFinishedByTheOtherControlPlaneWhenTheLeadingOneIsKilled) {
  const std::string leader = system_->Leader();
  ASSERT_TRUE(leader == "control-a" || leader == "control-b") << leader;
  system_->Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(system_->Kill(leader));
  const Stopwatch since_kill;
  system_->WaitForLeader(leader);
  since_kill.Say("another control plane leads");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  since_kill.Say("the rollout is finished");
  system_->WaitForTitles("title-ranker@3");
  system_->ExpectNoFailures("the leader killed in a rollout");

  // It is no stranger when it comes back.
  ASSERT_NO_FATAL_FAILURE(system_->Start(leader));
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("a rollout after that");
}

TEST_F(RolloutSystemTest, AHostThatWasKilledIsLoadedTriedAndListedAgainByItself) {
  ASSERT_NO_FATAL_FAILURE(system_->Kill("films-1"));
  const Stopwatch since_kill;
  system_->WaitUntilListed("films-1", false);
  since_kill.Say("the host is out of the list");
  system_->AwaitAnswers(30);
  system_->ExpectNoFailures("a host killed (those in flight to it)", kInFlightMax);
  // The shard has one host, and new rules go out all the same.
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("a rollout with one host");

  ASSERT_NO_FATAL_FAILURE(system_->Start("films-1"));
  system_->WaitUntilListed("films-1", true);
  system_->WaitUntilBothRun(system_->Sequence());
  // It has what it needs: it answers alone.
  ASSERT_NO_FATAL_FAILURE(system_->Kill("films-2"));
  system_->AwaitAnswers(30);
  system_->ExpectNoFailures("the other host killed (those in flight to it)", kInFlightMax);
  system_->AwaitAnswers(60);
  system_->ExpectNoFailures("the host that came back alone");
}

TEST_F(RolloutSystemTest, WithoutOneMemberOfEtcdRolloutsGoOnAndWithoutAllTrafficDoes) {
  const auto leader = system_->etcd().Leader();
  ASSERT_TRUE(leader.has_value());
  system_->etcd().Kill(*leader);
  const Stopwatch since_kill;
  system_->Publish("title-ranker@2");
  since_kill.Say("published");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  since_kill.Say("rolled out");
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("a rollout without a member of etcd");

  const std::set<std::string> films = system_->Listed("films");
  for (size_t member = 0; member < 3; ++member) {
    if (member != *leader) system_->etcd().Kill(member);
  }
  // Three seconds of traffic, longer than any lease.
  system_->AwaitAnswers(180, {"proxy-1"});
  system_->ExpectNoFailures("no etcd");
  for (size_t member = 0; member < 3; ++member) system_->etcd().StartMember(member);
  const Stopwatch since_start;
  ASSERT_TRUE(WaitUntil([&] { return system_->etcd().Leader().has_value(); }));
  since_start.Say("etcd leads");
  system_->WaitForLeader("");
  since_start.Say("a control plane leads");
  system_->Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@3");
  EXPECT_EQ(system_->Listed("films"), films);
  system_->ExpectNoFailures("etcd back");
}

TEST_F(RolloutSystemTest, AProxyThatWasKilledStartsFromDiskWithoutAnyControlPlane) {
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  const RolloutSystem::Running before = system_->RunningAt("proxy-1");
  for (const char* control : {"control-a", "control-b"}) ASSERT_NO_FATAL_FAILURE(system_->Kill(control));
  system_->ExpectNoFailures("until a proxy is killed");
  // What comes to a proxy while it is dead is nobody's to answer.
  system_->EndTraffic("proxy-1");
  ASSERT_NO_FATAL_FAILURE(system_->Kill("proxy-1"));
  ASSERT_NO_FATAL_FAILURE(system_->Start("proxy-1"));
  EXPECT_EQ(system_->RunningAt("proxy-1").hash, before.hash);
  ASSERT_NO_FATAL_FAILURE(system_->StartTraffic("proxy-1"));
  EXPECT_TRUE(system_->TitlesFrom("proxy-1", "title-ranker@2"));
  system_->ExpectNoFailures("a proxy killed, no control plane");

  for (const char* control : {"control-a", "control-b"}) ASSERT_NO_FATAL_FAILURE(system_->Start(control));
  system_->Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@3");
  system_->ExpectNoFailures("control planes back");
}

TEST_F(RolloutSystemTest, RulesThatNameAModelThatNoHostHasFailWithTheReasonAndTheOldOnesGoOn) {
  const int64_t good = system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  const int64_t bad = system_->Publish("title-ranker@99");
  ASSERT_GT(bad, good);
  const CommandResult watched = system_->RunOnRules("rollout status --watch");
  EXPECT_EQ(watched.exit_code, 1) << watched.output;
  EXPECT_THAT(watched.output, testing::HasSubstr("title-ranker@99")) << watched.output;
  EXPECT_THAT(watched.output, testing::HasSubstr("failed")) << watched.output;
  fmt::print("{}", watched.output);
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("rules with a model that is nowhere");
}

TEST_F(RolloutSystemTest, ARollbackIsInEffectWithinASecondAndLoadsNothing) {
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitUntilBothRun(system_->Sequence());
  const std::string hash = system_->RunningAt("proxy-1").hash;
  system_->Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@3");

  const auto ready = system_->ModelStates();
  const CommandResult rolled_back = system_->RunOnRules("rules rollback");
  const Stopwatch since_answer;
  ASSERT_EQ(rolled_back.exit_code, 0) << rolled_back.output;
  EXPECT_TRUE(WaitUntil([&] {
    return system_->RunsTitles("proxy-1", "title-ranker@2") && system_->RunsTitles("proxy-2", "title-ranker@2");
  }));
  EXPECT_LE(since_answer.Say("the rollback is in effect"), std::chrono::milliseconds(1000));
  system_->WaitForTitles("title-ranker@2");
  EXPECT_EQ(system_->ModelStates(), ready);
  system_->ExpectNoFailures("a rollback");
}

TEST_F(RolloutSystemTest, OfTwoWhoPublishAtOnceBothAreInTheHistoryAndTheLaterOneRuns) {
  const auto before = system_->store().Get(store::RulesTopic("demo"), std::nullopt);
  ASSERT_TRUE(before.ok()) << before.status();
  const std::string first = system_->WriteRules("title-ranker@2");
  const std::string second = system_->WriteRules("title-ranker@3");
  const std::string log = system_->folder() + "/publish-2.out";
  const std::string where = fmt::format("--namespace demo --store {}", system_->store_spec());
  ChildProcess other = StartShell(fmt::format("exec {} rules publish {} {}", SignalboxProgram(), first, where), log);
  const CommandResult result = system_->RunOnRules("rules publish " + second);
  ASSERT_EQ(result.exit_code, 0) << result.output;
  ASSERT_TRUE(other.WaitForEnd(kPatience));
  ASSERT_EQ(other.exit_code(), 0) << other.Report();
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  const auto newest = system_->store().Get(store::RulesTopic("demo"), std::nullopt);
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->info.version, before->info.version + 2);
  // By what the default model of the newest rules is.
  system_->WaitForTitles(newest->content.find("\"version\":3") != std::string::npos ||
                                 newest->content.find("\"version\":\"3\"") != std::string::npos
                             ? "title-ranker@3"
                             : "title-ranker@2");
  system_->ExpectNoFailures("two publishers");
}

TEST_F(RolloutSystemTest, APinnedVersionRunsUntilItIsUnpinned) {
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  const CommandResult pinned = system_->RunOnRules("rules pin 1");
  ASSERT_EQ(pinned.exit_code, 0) << pinned.output;
  system_->WaitForTitles("title-ranker@1");
  system_->Publish("title-ranker@3");
  system_->AwaitAnswers(120);
  EXPECT_TRUE(system_->TitlesFrom("proxy-1", "title-ranker@1"));
  EXPECT_TRUE(system_->TitlesFrom("proxy-2", "title-ranker@1"));
  const CommandResult unpinned = system_->RunOnRules("rules unpin");
  ASSERT_EQ(unpinned.exit_code, 0) << unpinned.output;
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@3");
  system_->ExpectNoFailures("a pin");
}

TEST_F(RolloutSystemTest, StepsTakeNewRulesToTheProxiesOfAScopeFirst) {
  const CommandResult steps = system_->RunOnRules("rollout steps region=eu:1s");
  ASSERT_EQ(steps.exit_code, 0) << steps.output;
  system_->Publish("title-ranker@2");
  // The one is there while the other is not: it is of the scope.
  EXPECT_TRUE(WaitUntil([&] { return system_->RunsTitles("proxy-2", "title-ranker@2"); }));
  EXPECT_TRUE(system_->RunsTitles("proxy-1", "title-ranker@1"));
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("steps");
  const CommandResult none = system_->RunOnRules("rollout steps");
  EXPECT_EQ(none.exit_code, 0) << none.output;
}

class DrainTest : public testing::Test {
 protected:
  void SetUp() override { system_->StartAll(); }
  void TearDown() override { system_->PrintLogsOfAFailure(); }

  // Any model may be on any shard.
  const std::unique_ptr<RolloutSystem> system_ = std::make_unique<RolloutSystem>(
      RolloutSystemOptions{.models = nlohmann::ordered_json::object(), .control_arguments = {"--move-hold", "1s"}});
};

TEST_F(DrainTest, AShardThatIsDrainedGivesItsModelsToTheOtherAndNoRequestFails) {
  const std::string shard = system_->ShardOf("title-ranker@1");
  ASSERT_TRUE(shard == "films" || shard == "flights") << shard;
  const std::string other = shard == "films" ? "flights" : "films";
  const CommandResult drained = system_->Run("placement drain-shard " + shard);
  const Stopwatch since_drain;
  ASSERT_EQ(drained.exit_code, 0) << drained.output;
  for (const char* model : {"title-ranker@1", "arrival-delay@1"}) {
    EXPECT_TRUE(WaitUntil([&] { return system_->ShardOf(model) == other; }))
        << system_->Run("placement explain").output;
  }
  since_drain.Say("the shard is empty");
  system_->WaitUntilBothRun(system_->Sequence());
  // Nothing needs its hosts any more.
  for (const char* host : {"-1", "-2"}) ASSERT_NO_FATAL_FAILURE(system_->Kill(shard + host));
  system_->AwaitAnswers(60);
  system_->ExpectNoFailures("a shard drained, and its hosts killed");
}

}  // namespace
}  // namespace signalbox
