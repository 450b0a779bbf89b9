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

class RolloutSystemTest : public RolloutSystem {};

TEST_F(RolloutSystemTest, PublishedRulesAreInEffectWhenTheirModelsAreThereAndNothingFailsMeanwhile) {
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("a rollout");
}

TEST_F(RolloutSystemTest, ARolloutIsFinishedByTheOtherControlPlaneWhenTheLeadingOneIsKilled) {
  const std::string leader = Leader();
  ASSERT_TRUE(leader == "control-a" || leader == "control-b") << leader;
  Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(Kill(leader));
  const Stopwatch since_kill;
  WaitForLeader(leader);
  since_kill.Say("another control plane leads");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  since_kill.Say("the rollout is finished");
  WaitForTitles("title-ranker@3");
  ExpectNoFailures("the leader killed in a rollout");

  // It is no stranger when it comes back.
  ASSERT_NO_FATAL_FAILURE(Start(leader));
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("a rollout after that");
}

TEST_F(RolloutSystemTest, AHostThatWasKilledIsLoadedTriedAndListedAgainByItself) {
  ASSERT_NO_FATAL_FAILURE(Kill("films-1"));
  const Stopwatch since_kill;
  WaitUntilListed("films-1", false);
  since_kill.Say("the host is out of the list");
  AwaitAnswers(30);
  ExpectNoFailures("a host killed (those in flight to it)", kInFlightMax);
  // The shard has one host, and new rules go out all the same.
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("a rollout with one host");

  ASSERT_NO_FATAL_FAILURE(Start("films-1"));
  WaitUntilListed("films-1", true);
  WaitUntilBothRun(store_->Latest()->sequence);
  // It has what it needs: it answers alone.
  ASSERT_NO_FATAL_FAILURE(Kill("films-2"));
  AwaitAnswers(30);
  ExpectNoFailures("the other host killed (those in flight to it)", kInFlightMax);
  AwaitAnswers(60);
  ExpectNoFailures("the host that came back alone");
}

TEST_F(RolloutSystemTest, WithoutOneMemberOfEtcdRolloutsGoOnAndWithoutAllTrafficDoes) {
  const auto leader = etcd_->Leader();
  ASSERT_TRUE(leader.has_value());
  etcd_->Kill(*leader);
  const Stopwatch since_kill;
  Publish("title-ranker@2");
  since_kill.Say("published");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  since_kill.Say("rolled out");
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("a rollout without a member of etcd");

  const std::set<std::string> films = Listed("films");
  for (size_t member = 0; member < 3; ++member) {
    if (member != *leader) etcd_->Kill(member);
  }
  // Three seconds of traffic, longer than any lease.
  AwaitAnswers(180, {"proxy-1"});
  ExpectNoFailures("no etcd");
  for (size_t member = 0; member < 3; ++member) etcd_->StartMember(member);
  const Stopwatch since_start;
  ASSERT_TRUE(WaitUntil([&] { return etcd_->Leader().has_value(); }));
  since_start.Say("etcd leads");
  WaitForLeader("");
  since_start.Say("a control plane leads");
  Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@3");
  EXPECT_EQ(Listed("films"), films);
  ExpectNoFailures("etcd back");
}

TEST_F(RolloutSystemTest, AProxyThatWasKilledStartsFromDiskWithoutAnyControlPlane) {
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  const Running before = RunningAt("proxy-1");
  for (const char* control : {"control-a", "control-b"}) ASSERT_NO_FATAL_FAILURE(Kill(control));
  ExpectNoFailures("until a proxy is killed");
  // What comes to a proxy while it is dead is nobody's to answer.
  EndTraffic("proxy-1");
  ASSERT_NO_FATAL_FAILURE(Kill("proxy-1"));
  ASSERT_NO_FATAL_FAILURE(Start("proxy-1"));
  EXPECT_EQ(RunningAt("proxy-1").hash, before.hash);
  ASSERT_NO_FATAL_FAILURE(StartTraffic("proxy-1"));
  EXPECT_TRUE(TitlesFrom("proxy-1", "title-ranker@2"));
  ExpectNoFailures("a proxy killed, no control plane");

  for (const char* control : {"control-a", "control-b"}) ASSERT_NO_FATAL_FAILURE(Start(control));
  Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@3");
  ExpectNoFailures("control planes back");
}

TEST_F(RolloutSystemTest, RulesThatNameAModelThatNoHostHasFailWithTheReasonAndTheOldOnesGoOn) {
  const int64_t good = Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  const int64_t bad = Publish("title-ranker@99");
  ASSERT_GT(bad, good);
  const CommandResult watched = RunOnRules("rollout status --watch");
  EXPECT_EQ(watched.exit_code, 1) << watched.output;
  EXPECT_THAT(watched.output, testing::HasSubstr("title-ranker@99")) << watched.output;
  EXPECT_THAT(watched.output, testing::HasSubstr("failed")) << watched.output;
  fmt::print("{}", watched.output);
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("rules with a model that is nowhere");
}

TEST_F(RolloutSystemTest, ARollbackIsInEffectWithinASecondAndLoadsNothing) {
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitUntilBothRun(store_->Latest()->sequence);
  const std::string hash = RunningAt("proxy-1").hash;
  Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@3");

  const auto ready = ModelStates();
  const CommandResult rolled_back = RunOnRules("rules rollback");
  const Stopwatch since_answer;
  ASSERT_EQ(rolled_back.exit_code, 0) << rolled_back.output;
  EXPECT_TRUE(
      WaitUntil([&] { return RunsTitles("proxy-1", "title-ranker@2") && RunsTitles("proxy-2", "title-ranker@2"); }));
  EXPECT_LE(since_answer.Say("the rollback is in effect"), std::chrono::milliseconds(1000));
  WaitForTitles("title-ranker@2");
  EXPECT_EQ(ModelStates(), ready);
  ExpectNoFailures("a rollback");
}

TEST_F(RolloutSystemTest, OfTwoWhoPublishAtOnceBothAreInTheHistoryAndTheLaterOneRuns) {
  const std::string first = WriteRules("title-ranker@2");
  const std::string second = WriteRules("title-ranker@3");
  const std::string log = folder_.File("publish-2.out");
  const std::string where = fmt::format("--namespace demo --store {}", store_spec_);
  ChildProcess other = StartShell(fmt::format("exec {} rules publish {} {}", SignalboxProgram(), first, where), log);
  const CommandResult result = RunOnRules("rules publish " + second);
  ASSERT_EQ(result.exit_code, 0) << result.output;
  ASSERT_TRUE(other.WaitForEnd(kPatience));
  ASSERT_EQ(other.exit_code(), 0) << other.Report();
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  const auto newest = store_->Get(store::RulesTopic("demo"), std::nullopt);
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->info.version, 3);
  // By what the default model of the newest rules is.
  WaitForTitles(newest->content.find("\"version\":3") != std::string::npos ||
                        newest->content.find("\"version\":\"3\"") != std::string::npos
                    ? "title-ranker@3"
                    : "title-ranker@2");
  ExpectNoFailures("two publishers");
}

TEST_F(RolloutSystemTest, APinnedVersionRunsUntilItIsUnpinned) {
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  const CommandResult pinned = RunOnRules("rules pin 1");
  ASSERT_EQ(pinned.exit_code, 0) << pinned.output;
  WaitForTitles("title-ranker@1");
  Publish("title-ranker@3");
  AwaitAnswers(120);
  EXPECT_TRUE(TitlesFrom("proxy-1", "title-ranker@1"));
  EXPECT_TRUE(TitlesFrom("proxy-2", "title-ranker@1"));
  const CommandResult unpinned = RunOnRules("rules unpin");
  ASSERT_EQ(unpinned.exit_code, 0) << unpinned.output;
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@3");
  ExpectNoFailures("a pin");
}

class DrainTest : public RolloutSystem {
 protected:
  // Any model may be on any shard.
  nlohmann::ordered_json Models() const override { return nlohmann::ordered_json::object(); }
};

TEST_F(DrainTest, AShardThatIsDrainedGivesItsModelsToTheOtherAndNoRequestFails) {
  const std::string shard = ShardOf("title-ranker@1");
  ASSERT_TRUE(shard == "films" || shard == "flights") << shard;
  const std::string other = shard == "films" ? "flights" : "films";
  const CommandResult drained = Run("placement drain-shard " + shard);
  const Stopwatch since_drain;
  ASSERT_EQ(drained.exit_code, 0) << drained.output;
  for (const char* model : {"title-ranker@1", "arrival-delay@1"}) {
    EXPECT_TRUE(WaitUntil([&] { return ShardOf(model) == other; })) << Run("placement explain").output;
  }
  since_drain.Say("the shard is empty");
  WaitUntilBothRun(store_->Latest()->sequence);
  // Nothing needs its hosts any more.
  for (const char* host : {"-1", "-2"}) ASSERT_NO_FATAL_FAILURE(Kill(shard + host));
  AwaitAnswers(60);
  ExpectNoFailures("a shard drained, and its hosts killed");
}

TEST_F(RolloutSystemTest, StepsTakeNewRulesToTheProxiesOfAScopeFirst) {
  const CommandResult steps = RunOnRules("rollout steps region=eu:1s");
  ASSERT_EQ(steps.exit_code, 0) << steps.output;
  Publish("title-ranker@2");
  // The one is there while the other is not: it is of the scope.
  EXPECT_TRUE(WaitUntil([&] { return RunsTitles("proxy-2", "title-ranker@2"); }));
  EXPECT_TRUE(RunsTitles("proxy-1", "title-ranker@1"));
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@2");
  ExpectNoFailures("steps");
}

}  // namespace
}  // namespace signalbox
