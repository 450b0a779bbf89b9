#include "control/distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/status.h"
#include "control/test_subscriber.h"
#include "decide/test_snapshot.h"

namespace signalbox::control {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

std::shared_ptr<const decide::Snapshot> Snapshot(int64_t version) {
  v1::Snapshot proto = decide::ExampleSnapshot();
  proto.set_version(version);
  return decide::CompileOrDie(std::move(proto));
}

// Some `bytes` larger than the example.
std::shared_ptr<const decide::Snapshot> LargeSnapshot(int64_t version, size_t bytes) {
  v1::Snapshot proto = decide::ExampleSnapshot();
  proto.set_version(version);
  const std::string name(200, 'n');
  for (size_t i = 0; i * 200 < bytes; ++i) {
    (*proto.mutable_placement()->mutable_shards())[name + std::to_string(i)].add_hosts("h:1");
  }
  return decide::CompileOrDie(std::move(proto));
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

class DistributionTest : public testing::Test {
 protected:
  void Start(DistributionOptions options = {}) {
    options.listen = "127.0.0.1:0";
    auto distribution = Distribution::Start(std::move(options));
    ASSERT_TRUE(distribution.ok()) << distribution.status();
    distribution_ = *std::move(distribution);
  }

  void Publish(std::shared_ptr<const decide::Snapshot> snapshot) {
    distribution_->Publish({.everywhere = std::move(snapshot), .scopes_in_use = {}, .of_scopes = {}});
  }

  std::unique_ptr<TestSubscriber> Subscribe(const std::string& node_id = "node") {
    return std::make_unique<TestSubscriber>(ConnectTo(distribution_->port()), node_id);
  }

  // What other threads do is seen soon, not at once.
  template <typename Condition>
  bool Eventually(Condition condition) {
    for (const auto end = std::chrono::steady_clock::now() + 10s; std::chrono::steady_clock::now() < end;) {
      if (condition(distribution_->status())) return true;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  }

  std::unique_ptr<Distribution> distribution_;
};

TEST_F(DistributionTest, TheNewestSnapshotIsSentWholeAtOnceAndAgainWhenThereIsANewerOne) {
  Start();
  Publish(Snapshot(1));
  Publish(Snapshot(2));
  auto subscriber = Subscribe();
  for (int64_t version : {2, 3}) {
    if (version == 3) Publish(Snapshot(3));
    const v1::SnapshotUpdate update = subscriber->Read();
    ASSERT_EQ(update.version(), version);
    v1::Snapshot proto;
    ASSERT_TRUE(proto.ParseFromString(update.snapshot()));
    EXPECT_EQ(proto.hash(), update.hash());
    EXPECT_EQ(decide::CompileOrDie(proto)->hash(), Snapshot(version)->hash());
    subscriber->Acknowledge(update);
  }
}

TEST_F(DistributionTest, ASubscriberThatComesBeforeTheFirstSnapshotWaitsForIt) {
  Start();
  auto subscriber = Subscribe();
  ASSERT_TRUE(Eventually([](const auto& status) { return status.subscribers.size() == 1; }));
  Publish(Snapshot(1));
  EXPECT_EQ(subscriber->Read().version(), 1);
}

TEST_F(DistributionTest, ASubscriberThatHasNotAnsweredGetsTheNewestLaterAndNotAll) {
  Start();
  Publish(Snapshot(1));
  auto slow = Subscribe("slow");
  const v1::SnapshotUpdate first = slow->Read();
  auto quick = Subscribe("quick");
  quick->Acknowledge(quick->Read());
  for (int64_t version = 2; version <= 20; ++version) {
    Publish(Snapshot(version));
    const v1::SnapshotUpdate update = quick->Read();
    ASSERT_EQ(update.version(), version);
    quick->Acknowledge(update);
  }
  slow->Acknowledge(first);
  EXPECT_EQ(slow->Read().version(), 20);
  EXPECT_EQ(distribution_->status().sent_total, 22u);
}

TEST_F(DistributionTest, WhatSubscribersRunAndRefuseIsKnown) {
  Start();
  Publish(Snapshot(7));
  auto subscriber = Subscribe("node-1");
  const v1::SnapshotUpdate update = subscriber->Read();
  subscriber->Report("", 6, "host name does not resolve");
  ASSERT_TRUE(Eventually([](const auto& status) { return status.refusals_total == 1; }));
  const SubscriberInfo info = distribution_->status().subscribers.at(0);
  EXPECT_EQ(info.node_id, "node-1");
  EXPECT_EQ(info.running_version, 6);
  EXPECT_EQ(info.refusal, "host name does not resolve");
  EXPECT_THAT(info.peer, HasSubstr("127.0.0.1"));
  subscriber.reset();
  EXPECT_TRUE(Eventually([](const auto& status) { return status.subscribers.empty(); }));
}

TEST_F(DistributionTest, AVersionIsAcknowledgedOnlyWithTheContentThatWasSent) {
  Start();
  Publish(Snapshot(7));
  auto subscriber = Subscribe("node-1");
  const v1::SnapshotUpdate update = subscriber->Read();
  subscriber->Report("", 7, "", "of another history");
  ASSERT_TRUE(Eventually([](const auto& status) { return status.refusals_total == 1; }));
  const SubscriberInfo other = distribution_->status().subscribers.at(0);
  EXPECT_EQ(other.acknowledged_version, 0);
  EXPECT_EQ(other.refused_version, 7);
  EXPECT_THAT(other.refusal, HasSubstr("it runs version 7 with hash 'of another history', expected '" + update.hash()));
  subscriber->Acknowledge(update);
  EXPECT_TRUE(Eventually([](const auto& status) { return status.subscribers.at(0).acknowledged_version == 7; }));
}

TEST_F(DistributionTest, WhatIsSentInPlaceOfAScopesOwnSnapshotIsNotAcknowledged) {
  Start();
  const std::vector<std::string> scopes = {"region=eu"};
  auto publish = [&](int64_t version, const std::string& why_not) {
    distribution_->Publish({.everywhere = Snapshot(version),
                            .scopes_in_use = scopes,
                            .of_scopes = {{scopes, ScopedSnapshot{Snapshot(version), why_not}}}});
  };
  publish(7, "Objective Fraud is declared twice");
  TestSubscriber subscriber(ConnectTo(distribution_->port()), "node-1", scopes);
  subscriber.Acknowledge(subscriber.Read());
  ASSERT_TRUE(Eventually([](const auto& status) { return status.subscribers.at(0).running_version == 7; }));
  EXPECT_EQ(distribution_->status().subscribers.at(0).acknowledged_version, 0);
  EXPECT_EQ(distribution_->status().subscribers.at(0).withheld, "Objective Fraud is declared twice");
  publish(8, "");
  subscriber.Acknowledge(subscriber.Read());
  EXPECT_TRUE(Eventually([](const auto& status) { return status.subscribers.at(0).acknowledged_version == 8; }));
  EXPECT_EQ(distribution_->status().subscribers.at(0).withheld, "");
}

TEST_F(DistributionTest, TheSetsOfScopesOfThoseWhoAreConnectedAreKnownEachOnce) {
  Start();
  const int port = distribution_->port();
  auto await = [&](const std::set<std::vector<std::string>>& sets) {
    return Eventually([&](const auto&) { return distribution_->scope_sets() == sets; });
  };
  TestSubscriber us(ConnectTo(port), "us", {"region=us", "cluster=7"});
  auto eu = std::make_unique<TestSubscriber>(ConnectTo(port), "eu-1", std::vector<std::string>{"region=eu"});
  auto eu_too = std::make_unique<TestSubscriber>(ConnectTo(port), "eu-2", std::vector<std::string>{"region=eu"});
  ASSERT_TRUE(Eventually([](const auto& status) { return status.subscribers.size() == 3; }));
  EXPECT_TRUE(await({{"cluster=7", "region=us"}, {"region=eu"}}));
  eu.reset();
  ASSERT_TRUE(Eventually([](const auto& status) { return status.subscribers.size() == 2; }));
  EXPECT_TRUE(await({{"cluster=7", "region=us"}, {"region=eu"}}));
  eu_too.reset();
  EXPECT_TRUE(await({{"cluster=7", "region=us"}}));
}

TEST_F(DistributionTest, ARefusedSnapshotIsNotSentAgainButTheNextOneIs) {
  Start();
  Publish(Snapshot(7));
  auto subscriber = Subscribe();
  subscriber->Read();
  subscriber->Report("", 6, "no");
  Publish(Snapshot(8));
  EXPECT_EQ(subscriber->Read().version(), 8);
}

TEST_F(DistributionTest, ASubscriberWithoutANameIsRefused) {
  Start();
  Publish(Snapshot(1));
  for (const std::string& name : {std::string(), std::string(1000, 'x')}) {
    auto nameless = Subscribe(name);
    EXPECT_EQ(nameless->Read().version(), 0);
    const grpc::Status status = nameless->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("node_id"));
  }
}

TEST_F(DistributionTest, MoreSubscribersThanPermittedAreTurnedAwayAndTheOthersStay) {
  DistributionOptions options;
  options.subscribers_max = 2;
  Start(options);
  Publish(Snapshot(1));
  auto first = Subscribe();
  auto second = Subscribe();
  first->Acknowledge(first->Read());
  second->Acknowledge(second->Read());
  EXPECT_EQ(Subscribe()->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  Publish(Snapshot(2));
  EXPECT_EQ(first->Read().version(), 2);
}

TEST_F(DistributionTest, WhileNobodyIsToBeServedSubscriptionsEndAndNoneBegins) {
  std::atomic<bool> refuses = false;
  DistributionOptions options;
  options.sweep_interval = 5ms;
  options.why_not_to_serve = [&] { return refuses ? "knows nothing new" : ""; };
  Start(options);
  Publish(Snapshot(1));
  auto first = Subscribe();
  first->Acknowledge(first->Read());
  refuses = true;
  auto second = Subscribe();
  for (TestSubscriber* subscriber : {second.get(), first.get()}) {
    EXPECT_EQ(subscriber->Read().version(), 0);
    const grpc::Status status = subscriber->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(status.error_message(), "knows nothing new");
  }
  EXPECT_TRUE(Eventually([](const auto& now) { return now.subscribers.empty(); }));
  Publish(Snapshot(2));
  refuses = false;
  EXPECT_EQ(Subscribe()->Read().version(), 2);
  distribution_->Stop();
}

// As after its process was stopped for a while: what it has missed it reads at once.
TEST_F(DistributionTest, AReasonNotToServeThatIsSeenOnceEndsNothing) {
  std::atomic<int> asked = 0;
  std::atomic<bool> stood_still = false;
  DistributionOptions options;
  options.sweep_interval = 5ms;
  options.why_not_to_serve = [&] {
    ++asked;
    return stood_still.exchange(false) ? "stood still" : "";
  };
  Start(options);
  Publish(Snapshot(1));
  auto subscriber = Subscribe();
  subscriber->Acknowledge(subscriber->Read());
  stood_still = true;
  for (const int until = asked + 4; asked < until;) std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(stood_still);
  Publish(Snapshot(2));
  EXPECT_EQ(subscriber->Read().version(), 2);
  distribution_->Stop();
}

TEST_F(DistributionTest, ThoseWhoNeverSayWhoTheyAreMakeRoomForOthers) {
  DistributionOptions options;
  options.subscribers_max = 3;
  options.first_message_max = 20ms;
  Start(options);
  Publish(Snapshot(1));
  auto stub = v1::SnapshotDistribution::NewStub(ConnectTo(distribution_->port()));
  grpc::ClientContext contexts[3];
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<v1::SubscriberStatus, v1::SnapshotUpdate>>> silent;
  for (grpc::ClientContext& context : contexts) {
    context.set_deadline(std::chrono::system_clock::now() + 30s);
    silent.push_back(stub->Subscribe(&context));
  }
  for (auto& stream : silent) {
    v1::SnapshotUpdate update;
    EXPECT_FALSE(stream->Read(&update));
    EXPECT_EQ(stream->Finish().error_message(), "no first message");
  }
  EXPECT_EQ(distribution_->status().too_slow_total, 3u);
  EXPECT_TRUE(Eventually([&](const auto&) { return Subscribe()->Read().version() == 1; }));
}

TEST_F(DistributionTest, OneThatDoesNotAnswerForTooLongLosesItsStream) {
  DistributionOptions options;
  options.answer_max = 20ms;
  Start(options);
  Publish(Snapshot(1));
  auto subscriber = Subscribe();
  EXPECT_EQ(subscriber->Read().version(), 1);
  EXPECT_EQ(subscriber->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(distribution_->status().too_slow_total, 1u);
}

TEST_F(DistributionTest, SubscribersThatDoNotReadNeverMakeTheMemoryGrow) {
  Start();
  std::vector<std::unique_ptr<TestSubscriber>> stuck;
  stuck.reserve(30);
  for (int i = 0; i < 30; ++i) stuck.push_back(Subscribe("stuck"));
  ASSERT_TRUE(Eventually([](const auto& status) { return status.subscribers.size() == 30; }));
  constexpr size_t kBytes = 2 << 20;
  auto reader = Subscribe("reader");
  auto publish = [&](int64_t version) {
    Publish(LargeSnapshot(version, kBytes));
    const v1::SnapshotUpdate update = reader->Read();
    ASSERT_EQ(update.version(), version);
    reader->Acknowledge(update);
  };
  for (int64_t version = 1; version <= 3; ++version) publish(version);
  const size_t before = ResidentBytes();
  for (int64_t version = 4; version <= 23; ++version) publish(version);
  // One copy for each of the 30 would be 60 MiB, all 20 versions for each 1.2 GiB.
  EXPECT_LT(ResidentBytes(), before + (20u << 20));
}

TEST_F(DistributionTest, HundredsOfSubscribersAreServedByOneThread) {
  Start();
  Publish(Snapshot(1));
  constexpr size_t kSubscribers = 300;
  auto channel = ConnectTo(distribution_->port());
  std::vector<std::unique_ptr<TestSubscriber>> subscribers;
  subscribers.reserve(kSubscribers);
  for (size_t i = 0; i < kSubscribers; ++i) {
    if (i % 50 == 0) channel = ConnectTo(distribution_->port());
    subscribers.push_back(std::make_unique<TestSubscriber>(channel, "node-" + std::to_string(i)));
  }
  for (auto& subscriber : subscribers) subscriber->Acknowledge(subscriber->Read());
  const auto start = std::chrono::steady_clock::now();
  Publish(Snapshot(2));
  for (auto& subscriber : subscribers) ASSERT_EQ(subscriber->Read().version(), 2);
  printf("%zu subscribers have the next snapshot after %ld ms\n", kSubscribers,
         static_cast<long>((std::chrono::steady_clock::now() - start) / 1ms));
}

TEST_F(DistributionTest, StopEndsEveryStreamAlsoOfThoseWhoDoNotRead) {
  Start();
  Publish(LargeSnapshot(1, 4 << 20));
  auto reader = Subscribe("reader");
  reader->Acknowledge(reader->Read());
  auto stuck = Subscribe("stuck");
  ASSERT_TRUE(Eventually([](const auto& status) { return status.sent_total == 2; }));
  const auto start = std::chrono::steady_clock::now();
  distribution_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(distribution_->status().subscribers, IsEmpty());
  distribution_->Stop();
}

TEST(Distribution, AnAddressThatCannotBeHadIsUnavailableAndNamed) {
  DistributionOptions options;
  options.listen = "127.0.0.1:0";
  auto first = Distribution::Start(options);
  ASSERT_TRUE(first.ok()) << first.status();
  options.listen = "127.0.0.1:" + std::to_string((*first)->port());
  absl::Status second = Distribution::Start(options).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(second)), HasSubstr(options.listen));
}

}  // namespace
}  // namespace signalbox::control
