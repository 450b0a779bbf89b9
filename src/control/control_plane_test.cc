#include "control/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "control/test_subscriber.h"
#include "store/sqlite_store.h"

namespace signalbox::control {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

std::string Rules(const std::string& name, const std::string& objective, const std::string& model) {
  return R"({"namespace":")" + name + R"(","objectives":[{"default_model":{"name":")" + model + R"("},"name":")" +
         objective + R"("}]})";
}

class ControlPlaneTest : public testing::Test {
 protected:
  ControlPlaneTest() {
    EXPECT_TRUE(WriteFileAtomically(Placement(), R"({"shards": {"s1": ["h:1"]}, "models": {"ranker": ["s1"]}})").ok());
  }
  std::string Placement() const { return folder_.File("placement.json"); }
  std::string StorePath() const { return folder_.File("store.db"); }

  absl::StatusOr<std::unique_ptr<ControlPlane>> Start() {
    ControlOptions options;
    options.store = "sqlite:" + StorePath();
    options.placement.file = Placement();
    options.distribution.listen = "127.0.0.1:0";
    return ControlPlane::Start(std::move(options));
  }

  // As another process does: through a store of its own.
  void Publish(const std::string& content, const std::string& topic = "rules/home") {
    auto store = store::OpenStore("sqlite:" + StorePath(), store::OpenMode::kCreateIfMissing);
    ASSERT_TRUE(store.ok()) << store.status();
    absl::Status status = (*store)->Publish({topic, content, "ada", "", {}}).status();
    ASSERT_TRUE(status.ok()) << status;
  }

  TestFolder folder_;
};

TEST_F(ControlPlaneTest, WhatIsPublishedReachesSubscribersWellWithinASecond) {
  auto control = Start();
  ASSERT_TRUE(control.ok()) << control.status();
  TestSubscriber subscriber(ConnectTo((*control)->port()), "node");
  v1::SnapshotUpdate update = subscriber.Read();
  subscriber.Acknowledge(update);
  std::vector<double> milliseconds;
  for (int i = 0; i < 20; ++i) {
    Publish(Rules("home", "Ranking", "model" + std::to_string(i)));
    const auto start = std::chrono::steady_clock::now();
    v1::SnapshotUpdate next = subscriber.Read();
    milliseconds.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    ASSERT_EQ(next.version(), update.version() + 1);
    subscriber.Acknowledge(next);
    update = next;
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  printf("publish to subscriber: median %.1f ms, worst %.1f ms\n", milliseconds[10], milliseconds[19]);
  EXPECT_LT(milliseconds[19], 1000);
}

TEST_F(ControlPlaneTest, APlacementFileThatChangesReachesSubscribers) {
  auto control = *Start();
  TestSubscriber subscriber(ConnectTo(control->port()), "node");
  subscriber.Acknowledge(subscriber.Read());
  ASSERT_TRUE(WriteFileAtomically(Placement(), R"({"shards": {"s2": ["h:2"]}, "models": {"ranker": ["s2"]}})").ok());
  v1::Snapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(subscriber.Read().snapshot()));
  EXPECT_TRUE(snapshot.placement().shards().contains("s2"));
}

TEST_F(ControlPlaneTest, ABrokenNamespaceIsHeldBackAndSaidSo) {
  Publish(Rules("home", "Ranking", "good"));
  auto control = *Start();
  TestSubscriber subscriber(ConnectTo(control->port()), "node");
  subscriber.Acknowledge(subscriber.Read());
  Publish("not json");
  v1::SnapshotUpdate update = subscriber.Read();
  subscriber.Acknowledge(update);
  v1::Snapshot snapshot;
  ASSERT_TRUE(snapshot.ParseFromString(update.snapshot()));
  EXPECT_EQ(snapshot.rule_sets(0).version(), 1);
  Publish(Rules("risk", "Fraud", "f"), "rules/risk");
  ASSERT_TRUE(snapshot.ParseFromString(subscriber.Read().snapshot()));
  EXPECT_EQ(snapshot.rule_sets_size(), 2);
  const ControlStatus status = control->status();
  ASSERT_EQ(status.held_back.size(), 1u);
  EXPECT_EQ(status.held_back[0].topic, "rules/home");
}

TEST_F(ControlPlaneTest, AfterARestartTheSameIsSent) {
  Publish(Rules("home", "Ranking", "good"));
  v1::SnapshotUpdate before;
  {
    auto control = *Start();
    TestSubscriber subscriber(ConnectTo(control->port()), "node");
    before = subscriber.Read();
  }
  auto control = *Start();
  TestSubscriber subscriber(ConnectTo(control->port()), "node");
  v1::SnapshotUpdate after = subscriber.Read();
  EXPECT_EQ(after.version(), before.version());
  EXPECT_EQ(after.hash(), before.hash());
}

TEST_F(ControlPlaneTest, AStoreThatIsTakenAwayIsReportedAndWhatWasReadStaysOut) {
  Publish(Rules("home", "Ranking", "good"));
  auto control = *Start();
  ASSERT_EQ(unlink(StorePath().c_str()), 0);
  while (control->status().store.ok()) std::this_thread::sleep_for(1ms);
  EXPECT_THAT(std::string(Message(control->status().store)), HasSubstr("removed or replaced"));
  TestSubscriber subscriber(ConnectTo(control->port()), "node");
  EXPECT_EQ(subscriber.Read().version(), 2);
}

TEST_F(ControlPlaneTest, AStoreThatWasNotReadForLongEndsSubscriptionsAndBeginsNone) {
  Publish(Rules("home", "Ranking", "good"));
  auto control = *Start();
  TestSubscriber before(ConnectTo(control->port()), "before");
  before.Acknowledge(before.Read());
  ASSERT_EQ(unlink(StorePath().c_str()), 0);
  const auto since = std::chrono::steady_clock::now();
  EXPECT_EQ(before.Read().version(), 0);
  // It may have been read for the last time a second before.
  EXPECT_GE(std::chrono::steady_clock::now() - since, 3s) << "a short absence ends nothing";
  TestSubscriber another(ConnectTo(control->port()), "another");
  EXPECT_EQ(another.Read().version(), 0);
  for (TestSubscriber* subscriber : {&before, &another}) {
    const grpc::Status status = subscriber->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("this control plane has not read the store for"));
  }
  while (!control->status().distribution.subscribers.empty()) std::this_thread::sleep_for(1ms);
}

TEST_F(ControlPlaneTest, WhatKeepsItFromStartingIsSaid) {
  ASSERT_TRUE(WriteFileAtomically(StorePath(), "not a store").ok());
  EXPECT_THAT(std::string(Message(Start().status())), HasSubstr("not a store"));
  ASSERT_EQ(unlink(StorePath().c_str()), 0);
  ASSERT_TRUE(WriteFileAtomically(Placement(), "{").ok());
  EXPECT_THAT(std::string(Message(Start().status())), HasSubstr("placement.json"));
}

}  // namespace
}  // namespace signalbox::control
