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
  Kill(leader);
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForLeader(leader);
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
  const auto killed = std::chrono::steady_clock::now();
  WaitUntilListed("films-1", false);
  fmt::print("out of the list after {} ms\n",
             std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - killed).count());
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
  Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
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
  ASSERT_TRUE(WaitUntil([&] { return etcd_->Leader().has_value(); }));
  WaitForLeader("");
  Publish("title-ranker@3");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitForTitles("title-ranker@3");
  EXPECT_EQ(Listed("films"), films);
  ExpectNoFailures("etcd back");
}

}  // namespace
}  // namespace signalbox
