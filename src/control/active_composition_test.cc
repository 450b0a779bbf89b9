// What a composition makes of a store that is managed: the topics `active/...` run, whatever is published.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/canonical_json.h"
#include "base/test_folder.h"
#include "control/composition.h"
#include "control/publish_fleet.h"
#include "control/publish_rules.h"
#include "signalbox/v1/rollout.pb.h"

namespace signalbox::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::RuleSet Rules(const std::string& name, const std::string& objective, const std::string& model = "ranker") {
  v1::RuleSet rules;
  rules.set_namespace_(name);
  v1::Objective& declared = *rules.add_objectives();
  declared.set_name(objective);
  declared.mutable_default_model()->set_name(model);
  return rules;
}

class ActiveCompositionTest : public testing::Test {
 protected:
  store::Store& store() { return **store_; }
  int64_t Publish(const std::string& topic, const google::protobuf::Message& content) {
    absl::StatusOr<store::Published> published = store().Publish({topic, *CanonicalJson(content), "ada", "", {}});
    EXPECT_TRUE(published.ok()) << published.status();
    return published->info.sequence;
  }
  void PublishRulesOf(const v1::RuleSet& rules) {
    EXPECT_TRUE(
        PublishRules(store(), {.rule_set = rules, .author = "ada", .message = "", .expected_version = {}}).ok());
  }
  int64_t Activate(const v1::RuleSet& rules, int64_t version, const std::string& scope = "") {
    v1::ActiveRules active;
    active.set_namespace_(rules.namespace_());
    active.set_scope(scope);
    active.set_rules_version(version);
    *active.mutable_rule_set() = rules;
    return Publish(store::ActiveTopic(rules.namespace_(), scope), active);
  }
  void Manage() { EXPECT_TRUE(PublishFleet(store(), v1::Fleet(), "ada", "").ok()); }
  // "model" of an Objective of the snapshot; empty when it has none.
  static std::string ModelOf(const decide::Snapshot& snapshot, const std::string& objective) {
    for (const auto& published : snapshot.proto().rule_sets()) {
      for (const v1::Objective& declared : published.rule_set().objectives()) {
        if (declared.name() == objective) return declared.default_model().name();
      }
    }
    return "";
  }

  TestFolder folder_;
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(ActiveCompositionTest, TheFirstFleetOfAStoreWithoutPlacementLeavesRulesToBeRolledOut) {
  PublishRulesOf(Rules("home", "Ranking"));
  Manage();
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_TRUE(composition.managed());
  EXPECT_EQ(composition.InUse("home").rules_version, 0);
  EXPECT_FALSE(store().Get("active/home", std::nullopt).ok());
}

TEST_F(ActiveCompositionTest, TheFirstFleetMakesActiveWhatRunsAndNothingChanges) {
  Publish("placement", v1::Placement());
  PublishRulesOf(Rules("home", "Ranking"));
  PublishRulesOf(Rules("risk", "Fraud"));
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  const std::string before = composition.snapshot()->hash();
  EXPECT_FALSE(composition.managed());
  Manage();
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_TRUE(composition.managed());
  EXPECT_EQ(composition.snapshot()->hash(), before);
  EXPECT_EQ(composition.InUse("home").rules_version, 1);
}

TEST_F(ActiveCompositionTest, WhatIsPublishedDoesNotRunUntilItIsActive) {
  Manage();
  Composition composition(store());
  PublishRulesOf(Rules("home", "Ranking"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(ModelOf(*composition.snapshot(), "Ranking"), "");
  const int64_t sequence = Activate(Rules("home", "Ranking"), 1);
  PublishRulesOf(Rules("home", "Ranking", "next"));
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(ModelOf(*composition.snapshot(), "Ranking"), "ranker");
  EXPECT_EQ(composition.snapshot()->version(), sequence) << "what does not concern the snapshot makes no new version";
  EXPECT_THAT(composition.held_back(), IsEmpty());
}

TEST_F(ActiveCompositionTest, PublishingIsCheckedAgainstWhatOthersPublishedNotAgainstWhatRuns) {
  Manage();
  PublishRulesOf(Rules("home", "Ranking"));
  const auto taken = PublishRules(
      store(), {.rule_set = Rules("risk", "Ranking"), .author = "bob", .message = "", .expected_version = {}});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kInvalidArgument) << taken.status();
}

TEST_F(ActiveCompositionTest, AScopeHasASnapshotOfItsOwnUnderTheSameVersion) {
  Manage();
  Activate(Rules("home", "Ranking"), 1);
  Activate(Rules("risk", "Fraud"), 1);
  const int64_t sequence = Activate(Rules("home", "Ranking", "next"), 2, "region=eu");
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_THAT(composition.scopes(), ElementsAre("region=eu"));
  EXPECT_EQ(ModelOf(*composition.snapshot(), "Ranking"), "ranker");
  const auto eu = composition.SnapshotOf({"cluster=7", "region=eu"});
  EXPECT_EQ(ModelOf(*eu, "Ranking"), "next");
  EXPECT_EQ(ModelOf(*eu, "Fraud"), "ranker");
  EXPECT_EQ(eu->version(), sequence);
  EXPECT_EQ(composition.snapshot()->version(), sequence);
  EXPECT_EQ(composition.SnapshotOf({"region=us"}), composition.snapshot());
  EXPECT_EQ(composition.SnapshotOf({"cluster=8", "region=eu"}), eu);
}

TEST_F(ActiveCompositionTest, AScopeWhoseRulesDoNotGoWithTheRestIsSaidToHaveWhatRunsEverywhere) {
  Manage();
  Activate(Rules("home", "Ranking"), 1);
  Activate(Rules("home", "Fraud"), 2, "region=eu");
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(composition.WhyNot({"region=eu"}), "");
  Activate(Rules("risk", "Fraud"), 1);
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(composition.SnapshotOf({"region=eu"}), composition.snapshot());
  EXPECT_THAT(composition.WhyNot({"region=eu"}), HasSubstr("Fraud"));
  EXPECT_EQ(composition.WhyNot({"region=us"}), "");
}

TEST_F(ActiveCompositionTest, AScopeWhoseRulesCannotBeReadIsSaidNotToHaveThem) {
  Manage();
  Activate(Rules("home", "Ranking"), 1);
  ASSERT_TRUE(store().Publish({"active/home/region=eu", "not json", "x", "", {}}).ok());
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_THAT(composition.scopes(), ElementsAre("region=eu"));
  EXPECT_THAT(composition.WhyNot({"region=eu"}), HasSubstr("active/home/region=eu version 1"));
}

TEST_F(ActiveCompositionTest, AScopeWhoseReleaseIsOverRunsWhatRunsEverywhere) {
  Manage();
  Activate(Rules("home", "Ranking", "next"), 2, "region=eu");
  Activate(Rules("home", "Ranking", "next"), 2);
  v1::RuleSet none;
  none.set_namespace_("home");
  Activate(none, 0, "region=eu");
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_THAT(composition.scopes(), IsEmpty());
  EXPECT_EQ(composition.SnapshotOf({"region=eu"}), composition.snapshot());
}

TEST_F(ActiveCompositionTest, ActiveRulesThatCannotBeReadKeepTheirLastGoodVersionRunning) {
  Manage();
  Activate(Rules("home", "Ranking"), 1);
  ASSERT_TRUE(store().Publish({"active/home", "not json", "x", "", {}}).ok());
  Composition composition(store());
  ASSERT_TRUE(composition.Advance().ok());
  EXPECT_EQ(ModelOf(*composition.snapshot(), "Ranking"), "ranker");
  ASSERT_EQ(composition.held_back().size(), 1u);
  EXPECT_EQ(composition.held_back()[0].topic, "active/home");
}

}  // namespace
}  // namespace signalbox::control
