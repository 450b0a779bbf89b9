#include "control/operator_topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "base/test_folder.h"
#include "control/publish_fleet.h"

namespace signalbox::control {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::ReleaseStep Step(const std::string& scope) {
  v1::ReleaseStep step;
  step.set_scope(scope);
  return step;
}

class OperatorTopicsTest : public testing::Test {
 protected:
  void SetUp() override {
    v1::Fleet fleet;
    (*fleet.mutable_shards())["films"].add_hosts()->set_address("127.0.0.1:1");
    (*fleet.mutable_shards())["flights"];
    ASSERT_TRUE(PublishFleet(store(), fleet, "ada", "").ok());
    Publish("rules/home", R"({"namespace":"home"})");
  }
  store::Store& store() { return **store_; }
  void Publish(const std::string& topic, const std::string& content) {
    ASSERT_TRUE(store().Publish({topic, content, "ada", "", {}}).ok());
  }
  void PutRollout(int64_t version, v1::Rollout::State state) {
    v1::Rollouts rollouts;
    rollouts.set_namespace_("home");
    rollouts.mutable_current()->set_rules_version(version);
    rollouts.mutable_current()->set_state(state);
    ASSERT_TRUE(store().Write({.records = {{.key = "rollout/home", .value = rollouts.SerializeAsString()}}}).ok());
  }
  template <typename Result>
  static std::string Error(const Result& result) {
    return std::string(absl::StatusCodeToString(result.status().code())) + ": " + std::string(Message(result.status()));
  }

  const Signature signature_{"ada", "why"};
  TestFolder folder_;
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(OperatorTopicsTest, APinIsAVersionWithAuthorAndMessageAndKeepsTheRestOfThePlan) {
  ASSERT_TRUE(SetReleaseSteps(store(), "home", {Step("region=eu")}, signature_).ok());
  const auto pinned = PinVersion(store(), "home", 1, signature_);
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_EQ(pinned->published.info.topic, "release/home");
  EXPECT_EQ(pinned->published.info.version, 2);
  EXPECT_EQ(pinned->published.info.author, "ada");
  EXPECT_EQ(pinned->after.pinned_version(), 1);
  EXPECT_EQ(pinned->after.steps_size(), 1);
  EXPECT_TRUE(PinVersion(store(), "home", 1, signature_)->published.unchanged);
  EXPECT_EQ(PinVersion(store(), "home", 0, signature_)->after.pinned_version(), 0);
}

TEST_F(OperatorTopicsTest, AVersionThatIsNotThereCannotBePinned) {
  EXPECT_THAT(Error(PinVersion(store(), "home", 3, signature_)), HasSubstr("NOT_FOUND: "));
}

TEST_F(OperatorTopicsTest, WhatWouldHaveNoEffectIsRefused) {
  EXPECT_THAT(Error(PauseRelease(store(), "typo", true, signature_)), HasSubstr("NOT_FOUND: "));
  auto unmanaged = store::OpenStore("sqlite:" + folder_.File("other.db"), store::OpenMode::kCreateIfMissing);
  ASSERT_TRUE((*unmanaged)->Publish({"rules/home", R"({"namespace":"home"})", "ada", "", {}}).ok());
  EXPECT_THAT(Error(PauseRelease(**unmanaged, "home", true, signature_)), HasSubstr("is not managed"));
  EXPECT_THAT(Error(SetDrained(**unmanaged, Drain::kShard, "films", true, signature_)), HasSubstr("is not managed"));
}

TEST_F(OperatorTopicsTest, StepsAreScopesEachOnce) {
  EXPECT_THAT(Error(SetReleaseSteps(store(), "home", {Step("eu")}, signature_)), HasSubstr("INVALID_ARGUMENT: "));
  EXPECT_THAT(Error(SetReleaseSteps(store(), "home", {Step("a=b"), Step("a=b")}, signature_)),
              HasSubstr("INVALID_ARGUMENT: scope a=b stands twice"));
  EXPECT_THAT(SetReleaseSteps(store(), "home", {}, signature_)->after.steps(), IsEmpty());
}

TEST_F(OperatorTopicsTest, OnlyARolloutUnderWayCanBeCancelledOrPromoted) {
  EXPECT_THAT(Error(CancelRollout(store(), "home", signature_)), HasSubstr("NOT_FOUND: "));
  PutRollout(7, v1::Rollout::LOADING);
  EXPECT_EQ(CancelRollout(store(), "home", signature_)->after.cancelled_version(), 7);
  EXPECT_EQ(PromoteRollout(store(), "home", signature_)->after.promoted_version(), 7);
  PutRollout(7, v1::Rollout::ACTIVE);
  EXPECT_THAT(Error(CancelRollout(store(), "home", signature_)),
              HasSubstr("INVALID_ARGUMENT: namespace home: no rollout is under way; that of version 7 is active"));
}

TEST_F(OperatorTopicsTest, OnlyARolloutThatFailedOrWasCancelledIsTriedAgain) {
  PutRollout(7, v1::Rollout::ACTIVE);
  EXPECT_THAT(Error(RetryRollout(store(), "home", signature_)), HasSubstr("INVALID_ARGUMENT: "));
  PutRollout(7, v1::Rollout::FAILED);
  EXPECT_EQ(RetryRollout(store(), "home", signature_)->after.attempt(), 1U);
  PutRollout(7, v1::Rollout::LOADING);
  ASSERT_TRUE(CancelRollout(store(), "home", signature_).ok());
  PutRollout(7, v1::Rollout::CANCELLED);
  EXPECT_EQ(RetryRollout(store(), "home", signature_)->after.cancelled_version(), 0);
  // It had to give way to a pin: to be tried again it would have to be unpinned.
  EXPECT_THAT(Error(RetryRollout(store(), "home", signature_)), HasSubstr("nobody has cancelled it"));
}

TEST_F(OperatorTopicsTest, WhatIsDrainedMustBeThereAndDrainsAreASortedSet) {
  EXPECT_THAT(Error(SetDrained(store(), Drain::kShard, "film", true, signature_)),
              HasSubstr("NOT_FOUND: no shard 'film'; there are: films, flights"));
  ASSERT_TRUE(SetDrained(store(), Drain::kShard, "flights", true, signature_).ok());
  EXPECT_THAT(SetDrained(store(), Drain::kShard, "films", true, signature_)->drains.shards(),
              ElementsAre("films", "flights"));
  EXPECT_THAT(SetDrained(store(), Drain::kHost, "127.0.0.1:1", true, signature_)->drains.hosts(),
              ElementsAre("127.0.0.1:1"));
  EXPECT_THAT(SetDrained(store(), Drain::kShard, "films", false, signature_)->drains.shards(), ElementsAre("flights"));
}

TEST_F(OperatorTopicsTest, TakingBackADrainNamesWhatIsDrainedWhereItIsNone) {
  EXPECT_THAT(Error(SetDrained(store(), Drain::kHost, "nosuch", false, signature_)),
              HasSubstr("NOT_FOUND: no host 'nosuch' is drained; drained: none"));
  ASSERT_TRUE(SetDrained(store(), Drain::kShard, "flights", true, signature_).ok());
  EXPECT_THAT(Error(SetDrained(store(), Drain::kShard, "flight", false, signature_)),
              HasSubstr("NOT_FOUND: no shard 'flight' is drained; drained: flights"));
  EXPECT_TRUE(SetDrained(store(), Drain::kShard, "films", false, signature_)->published.unchanged);
  // Gone from the fleet since: it can be taken off all the same.
  Publish("drains", R"({"hosts":["gone-1"]})");
  EXPECT_THAT(SetDrained(store(), Drain::kHost, "gone-1", false, signature_)->drains.hosts(), IsEmpty());
}

TEST_F(OperatorTopicsTest, AStepWhoseScopeNoConnectedDataPlaneHasIsWarnedOf) {
  EXPECT_THAT(*StepWarnings(store(), {Step("region=eu")}), ElementsAre(HasSubstr("there is none with a scope")));
  v1::DataPlanes book;
  for (const char* node : {"p1", "p2", "away"}) {
    v1::DataPlane& data_plane = *book.add_data_planes();
    data_plane.set_node_id(node);
    data_plane.set_connected(data_plane.node_id() != "away");
    data_plane.add_scopes(data_plane.connected() ? "region=eu" : "region=us");
  }
  ASSERT_TRUE(store().Write({.records = {{.key = "data-planes/c1", .value = book.SerializeAsString()}}}).ok());
  EXPECT_THAT(
      *StepWarnings(store(), {Step("region=eu"), Step("region=us")}),
      ElementsAre(AllOf(HasSubstr("has the scope region=us"), HasSubstr("there is: region=eu (2 data planes)"))));
}

}  // namespace
}  // namespace signalbox::control
