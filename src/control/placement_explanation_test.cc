#include "control/placement_explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "control/operator_topics.h"
#include "control/publish_fleet.h"

namespace signalbox::control {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PlacementExplanationTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(PublishFleet(store(), v1::Fleet(), "ops", "").ok());
    Put("leader", "control-1");
    Publish("ranker");
  }
  store::Store& store() { return **store_; }
  void Put(const std::string& key, std::optional<std::string> value) {
    ASSERT_TRUE(store().Write({.records = {{.key = key, .value = std::move(value)}}}).ok());
  }
  void Publish(const std::string& model) {
    ASSERT_TRUE(store()
                    .Publish({"rules/home",
                              R"({"namespace":"home","objectives":[{"default_model":{"name":")" + model +
                                  R"(","version":"9"},"name":"Ranking"}]})",
                              "ada",
                              "",
                              {}})
                    .ok());
  }
  void PutRollout(int64_t version, v1::Rollout::State state, const std::string& reason) {
    v1::Rollouts rollouts;
    rollouts.mutable_current()->set_rules_version(version);
    rollouts.mutable_current()->set_state(state);
    rollouts.mutable_current()->set_reason(reason);
    Put("rollout/home", rollouts.SerializeAsString());
  }

  TestFolder folder_;
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(PlacementExplanationTest, AModelOfARolloutThatFailedIsToldWithTheFailure) {
  PutRollout(1, v1::Rollout::FAILED, "no version 9 in this repository");
  for (const char* model : {"ranker@9", "ranker"}) {
    EXPECT_THAT(
        *WhyNotExplained(store(), model),
        AllOf(HasSubstr("version 1 of namespace home by ada names it, and its rollout has failed: no version 9"),
              HasSubstr("`signalbox rollout retry")));
  }
  EXPECT_THAT(*WhyNotExplained(store(), "ranker@8"), HasSubstr("no rules"));
}

TEST_F(PlacementExplanationTest, AModelOfRulesThatWaitForAPinIsToldWithThePin) {
  PutRollout(1, v1::Rollout::ACTIVE, "");
  ASSERT_TRUE(PinVersion(store(), "home", 1, {"grace", ""}).ok());
  Publish("next");
  EXPECT_THAT(*WhyNotExplained(store(), "next@9"),
              AllOf(HasSubstr("version 2 of namespace home"), HasSubstr("pinned to version 1 by grace")));
}

TEST_F(PlacementExplanationTest, SaysWhoseViewItIsAndHowOldItCanBe) {
  v1::PlacementExplanation explanation;
  explanation.set_leader("control-1");
  EXPECT_THAT(*WitnessText(store(), explanation), HasSubstr("as control-1, which leads, sees it, at most 2 s late"));
  Put("leader", "control-2");
  EXPECT_THAT(*WitnessText(store(), explanation), HasSubstr("control-2 leads now"));
  Put("leader", std::nullopt);
  EXPECT_THAT(*WitnessText(store(), explanation), HasSubstr("no control plane leads"));
}

}  // namespace
}  // namespace signalbox::control
