// Three members of etcd, two control planes, four hosts and two proxies, each on a machine of its own, are cut off from
// one another while traffic flows. Nothing fails that had a healthy replica, no data plane goes back, and who has lost
// the lease writes nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "tests/rollout/rollout_system.h"
#include "tests/support/separate_machines.h"

namespace signalbox {
namespace {

// As CTest is told (SKIP_RETURN_CODE).
constexpr int kNotRun = 77;

const std::vector<std::string> kEtcd = {"etcd-0", "etcd-1", "etcd-2"};
const std::vector<std::string> kControls = {"control-a", "control-b"};
const std::vector<std::string> kProxies = {"proxy-1", "proxy-2"};

std::vector<std::string> AllMachines() {
  std::vector<std::string> all = {"films-1", "films-2", "flights-1", "flights-2"};
  for (const auto& more : {kEtcd, kControls, kProxies}) all.insert(all.end(), more.begin(), more.end());
  return all;
}

// One system for all tests: each begins with no cut, everything there and version 1 of all models in effect.
class RolloutNetworkTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    machines_ = std::make_unique<SeparateMachines>(AllMachines());
    system_ = std::make_unique<RolloutSystem>(RolloutSystemOptions{.machines = machines_.get()});
    system_->StartAll();
  }
  static void TearDownTestSuite() {
    system_.reset();
    machines_.reset();
  }

  void SetUp() override {
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "the system did not start";
    system_->Restore();
    system_->WaitForLeader("");
  }
  void TearDown() override {
    machines_->Heal();
    system_->PrintLogsOfAFailure();
  }

  // Rules of that version come into effect at both proxies.
  static void ExpectTakesEffect(const std::string& titles) {
    const int64_t version = system_->Publish(titles);
    ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
    EXPECT_EQ(system_->ActivationsOf(version), 1);
    system_->WaitForTitles(titles);
  }
  // What a leader wrote while it had the lease may have come before that of its successor, nothing after.
  // Data planes that were subscribed to the former leader have gone on to the other one, cut or no cut.
  static void ExpectAnotherLeaderWritesAlone(const std::string& former, const std::string& what) {
    system_->WaitForLeader(former);
    const int64_t since = system_->Sequence();
    const int64_t version = system_->Publish("title-ranker@2");
    ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
    EXPECT_EQ(system_->ActivationsOf(version), 1);
    EXPECT_EQ(system_->LeadersThatWroteAfter(since), std::set<std::string>{RolloutSystem::OtherThan(former)}) << what;
    system_->WaitForTitles("title-ranker@2");
    system_->AwaitAnswers(60);
    system_->ExpectNoFailures(what);
    machines_->Heal();
    system_->AwaitAnswers(60);
    EXPECT_EQ(system_->LeadersThatWroteAfter(since), std::set<std::string>{RolloutSystem::OtherThan(former)}) << what;
    system_->ExpectNoFailures(what + ", healed");
  }

  static std::unique_ptr<SeparateMachines> machines_;
  static std::unique_ptr<RolloutSystem> system_;
};
std::unique_ptr<SeparateMachines> RolloutNetworkTest::machines_;
std::unique_ptr<RolloutSystem> RolloutNetworkTest::system_;

TEST_F(RolloutNetworkTest, ALeaderThatIsCutOffFromEtcdLeadsNoMore) {
  const std::string leader = system_->Leader();
  machines_->CutApart({leader}, kEtcd);
  ExpectAnotherLeaderWritesAlone(leader, "the leader cut off from etcd");
}

TEST_F(RolloutNetworkTest, ALeaderThatEtcdHearsButCannotAnswerLeadsNoMore) {
  const std::string leader = system_->Leader();
  // What it asks for is done, and it never learns of it.
  machines_->Cut(kEtcd, {leader});
  ExpectAnotherLeaderWritesAlone(leader, "no answer from etcd to the leader");
}

TEST_F(RolloutNetworkTest, RolloutsGoOnWithoutAMemberOfEtcdThatIsCutOff) {
  const auto member = system_->etcd().Leader();
  ASSERT_TRUE(member.has_value());
  const std::string cut = kEtcd[*member];
  for (const std::string& other : kEtcd) {
    if (other != cut) machines_->CutApart({cut}, {other});
  }
  machines_->CutApart({cut}, kControls);
  ASSERT_NO_FATAL_FAILURE(ExpectTakesEffect("title-ranker@2"));
  system_->ExpectNoFailures("a member of etcd cut off");
  machines_->Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectTakesEffect("title-ranker@3"));
  system_->ExpectNoFailures("a member of etcd cut off, healed");
}

TEST_F(RolloutNetworkTest, AProxyThatIsCutOffFromBothControlPlanesGoesOnAndCatchesUp) {
  const RolloutSystem::Running before = system_->RunningAt("proxy-1");
  machines_->CutApart({"proxy-1"}, kControls);
  system_->Publish("title-ranker@2");
  ASSERT_NO_FATAL_FAILURE(system_->ExpectRolledOut());
  EXPECT_TRUE(WaitUntil([&] { return system_->TitlesFrom("proxy-2", "title-ranker@2"); }));
  EXPECT_TRUE(system_->TitlesFrom("proxy-1", "title-ranker@1")) << "its models are still there";
  EXPECT_EQ(system_->RunningAt("proxy-1").hash, before.hash);
  system_->ExpectNoFailures("a proxy cut off from control planes");
  machines_->Heal();
  system_->WaitForTitles("title-ranker@2");
  system_->ExpectNoFailures("a proxy cut off, healed");
}

TEST_F(RolloutNetworkTest, HostsThatAreCutOffFromControlPlanesAloneLeaveTheListsAndComeBack) {
  machines_->CutApart({"films-1", "flights-1"}, kControls);
  for (const char* host : {"films-1", "flights-1"}) system_->WaitUntilListed(host, false);
  ASSERT_NO_FATAL_FAILURE(ExpectTakesEffect("title-ranker@2"));
  system_->ExpectNoFailures("half of the hosts cut off");
  machines_->Heal();
  for (const char* host : {"films-1", "flights-1"}) system_->WaitUntilListed(host, true);
  ASSERT_NO_FATAL_FAILURE(ExpectTakesEffect("title-ranker@3"));
  system_->ExpectNoFailures("half of the hosts cut off, healed");
}

TEST_F(RolloutNetworkTest, HostsWhoseAnswersDoNotReachControlPlanesLeaveTheListsAndComeBack) {
  machines_->Cut({"films-2", "flights-2"}, kControls);
  for (const char* host : {"films-2", "flights-2"}) system_->WaitUntilListed(host, false);
  ASSERT_NO_FATAL_FAILURE(ExpectTakesEffect("title-ranker@2"));
  system_->ExpectNoFailures("half of the hosts not heard");
  machines_->Heal();
  for (const char* host : {"films-2", "flights-2"}) system_->WaitUntilListed(host, true);
  system_->ExpectNoFailures("half of the hosts not heard, healed");
}

}  // namespace
}  // namespace signalbox

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (const absl::Status status = signalbox::SeparateMachines::EnterPrivateNetwork(); !status.ok()) {
    fmt::print("rollout_network_test was NOT RUN: {}\n", signalbox::Message(status));
    return signalbox::kNotRun;
  }
  return RUN_ALL_TESTS();
}
