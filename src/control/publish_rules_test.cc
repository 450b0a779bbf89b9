#include "control/publish_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/status.h"
#include "base/test_folder.h"
#include "control/composition.h"
#include "control/operator_topics.h"
#include "control/publish_fleet.h"
#include "store/test_forwarding_store.h"

namespace signalbox::control {
namespace {

using ::testing::AllOf;
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

class PublishRulesTest : public testing::Test {
 protected:
  std::unique_ptr<store::Store> Open() {
    auto store = store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  absl::StatusOr<PublishedRules> Publish(v1::RuleSet rules, std::optional<int64_t> expected = std::nullopt) {
    return PublishRules(*store_, {std::move(rules), "ada", "why", expected});
  }
  absl::StatusOr<PublishedRules> RollBack(std::optional<int64_t> to) {
    return RollBackRules(*store_, {"home", to, "grace", "why", std::nullopt});
  }
  void PublishRaw(const std::string& topic, const std::string& content) {
    ASSERT_TRUE(store_->Publish({topic, content, "raw", "", {}}).ok());
  }

  TestFolder folder_;
  std::unique_ptr<store::Store> store_ = Open();
};

TEST_F(PublishRulesTest, GoodRulesArePublishedAndTellWhatTheyReplace) {
  auto first = Publish(Rules("home", "Ranking", "a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->published.info.version, 1);
  EXPECT_EQ(first->before.objectives_size(), 0);
  auto second = Publish(Rules("home", "Ranking", "b"), 1);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->before.objectives(0).default_model().name(), "a");
  EXPECT_EQ(second->after.objectives(0).default_model().name(), "b");
}

TEST_F(PublishRulesTest, APauseOutlivesItsScheduleAndThatIsSaid) {
  v1::RuleSet rules = Rules("home", "Ranking");
  v1::TrafficShift& shift = *rules.add_traffic_shifts();
  shift.set_id("ramp");
  shift.set_seed("ramp");
  shift.add_objectives("Ranking");
  shift.mutable_to()->set_name("next");
  shift.mutable_schedule()->set_start_unix_ms(1'800'000'000'000);
  shift.mutable_schedule()->add_steps()->set_share_ppm(500'000);
  ASSERT_TRUE(Publish(rules).ok());
  PublishRaw("traffic/home", R"({"namespace":"home","shifts":[{"shift":"ramp","paused":{"share_ppm":10000}}]})");
  rules.mutable_traffic_shifts(0)->clear_schedule();
  rules.mutable_traffic_shifts(0)->set_share_ppm(200'000);
  const auto published = Publish(rules);
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_THAT(published->warnings, ElementsAre("traffic shift ramp stays paused at 1 %: the 20 % of these rules counts "
                                               "after `signalbox traffic resume ramp`"));
}

TEST_F(PublishRulesTest, RulesThatOnlyMovedWithinTheirFilesAreNotPublishedAgain) {
  v1::RuleSet rules = Rules("home", "Ranking");
  rules.mutable_objectives(0)->mutable_source()->set_file("home.js");
  ASSERT_TRUE(Publish(rules).ok());
  rules.mutable_objectives(0)->mutable_source()->set_file("other.js");
  auto again = Publish(rules);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->published.unchanged);
  EXPECT_EQ(Publish(rules, 7).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store_->Latest()->sequence, 1);
}

TEST_F(PublishRulesTest, WhatDoesNotCompileTogetherWithOtherNamespacesIsRefused) {
  ASSERT_TRUE(Publish(Rules("home", "Ranking")).ok());
  absl::Status status = Publish(Rules("risk", "Ranking")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("Ranking is declared already by namespace home"));
  EXPECT_EQ(store_->Latest()->sequence, 1);
}

TEST_F(PublishRulesTest, AnotherNamespaceThatIsBrokenDoesNotStandInTheWay) {
  PublishRaw("rules/broken", "not json");
  EXPECT_TRUE(Publish(Rules("home", "Ranking")).ok());
}

TEST_F(PublishRulesTest, ABrokenNewestVersionOfOnesOwnIsReplaced) {
  PublishRaw("rules/home", "not json");
  auto published = Publish(Rules("home", "Ranking"));
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->published.info.version, 2);
}

TEST_F(PublishRulesTest, AnExpectedVersionThatDoesNotHoldIsAborted) {
  ASSERT_TRUE(Publish(Rules("home", "Ranking")).ok());
  absl::Status status = Publish(Rules("home", "Other"), 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("version 1 is there, by ada"));
}

TEST_F(PublishRulesTest, AModelThatIsPlacedNowhereIsWarnedOf) {
  EXPECT_THAT(Publish(Rules("home", "Ranking"))->warnings, IsEmpty());
  PublishRaw("placement", R"({"models":{"ranker":{"shards":["s1"]}},"shards":{"s1":{"hosts":["h:1"]}}})");
  EXPECT_THAT(Publish(Rules("home", "Rank"))->warnings, IsEmpty());
  EXPECT_THAT(Publish(Rules("home", "Ranking", "new"))->warnings,
              ElementsAre(HasSubstr("model new is placed nowhere")));
}

TEST_F(PublishRulesTest, ARollbackIsANewVersionAndIsCheckedToo) {
  ASSERT_TRUE(Publish(Rules("home", "Ranking")).ok());
  ASSERT_TRUE(Publish(Rules("home", "Other")).ok());
  auto back = RollBack(std::nullopt);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->published.info.version, 3);
  EXPECT_EQ(back->published.info.rollback_of, 1);
  EXPECT_EQ(back->after.objectives(0).name(), "Ranking");
  ASSERT_TRUE(RollBack(2).ok());
  ASSERT_TRUE(Publish(Rules("risk", "Ranking")).ok());
  EXPECT_EQ(RollBack(1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PublishRulesTest, ARollbackToWhatIsNotThereIsNotFound) {
  EXPECT_EQ(RollBack(std::nullopt).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Publish(Rules("home", "Ranking")).ok());
  for (std::optional<int64_t> to : {std::optional<int64_t>(), {0}, {2}, {-1}}) {
    EXPECT_EQ(RollBack(to).status().code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(PublishRulesTest, RollingBackAgainGoesFurtherBackAndNeverForth) {
  for (const char* model : {"a", "b", "c"}) ASSERT_TRUE(Publish(Rules("home", "Ranking", model)).ok());
  auto model_after_rollback = [&] { return RollBack(std::nullopt)->after.objectives(0).default_model().name(); };
  EXPECT_EQ(model_after_rollback(), "b");
  EXPECT_EQ(model_after_rollback(), "a");
  absl::Status end = RollBack(std::nullopt).status();
  EXPECT_EQ(end.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(end)), HasSubstr("no version before 1 holds other rules"));
  ASSERT_TRUE(Publish(Rules("home", "Ranking", "d")).ok());  // after b and c were taken back
  EXPECT_EQ(model_after_rollback(), "a");
}

// A store whose fleet is managed, with rules of `home` and a leader.
class PublishManagedRulesTest : public PublishRulesTest {
 protected:
  void SetUp() override {
    v1::Fleet fleet;
    (*fleet.mutable_shards())["films"];
    ASSERT_TRUE(PublishFleet(*store_, fleet, "ops", "").ok());
    ASSERT_TRUE(store_->Write({.records = {{.key = "leader", .value = "control-1"}}}).ok());
    ASSERT_TRUE(Publish(Rules("home", "Ranking", "a")).ok());
  }
  void PutRollout(int64_t version, v1::Rollout::State state, const std::string& reason = "") {
    v1::Rollouts rollouts;
    rollouts.mutable_current()->set_rules_version(version);
    rollouts.mutable_current()->set_state(state);
    rollouts.mutable_current()->set_reason(reason);
    ASSERT_TRUE(store_->Write({.records = {{.key = "rollout/home", .value = rollouts.SerializeAsString()}}}).ok());
  }
  std::string Lift(const std::string& command) const {
    return "`signalbox " + command + " --store " + store_->name() + " --namespace home`";
  }
};

TEST_F(PublishManagedRulesTest, NothingIsSaidWhereNothingIsInTheWay) {
  EXPECT_THAT(Publish(Rules("home", "Ranking", "b"))->warnings, IsEmpty());
}

TEST_F(PublishManagedRulesTest, APinSaysWhoPinnedWhyAndWhatLiftsIt) {
  ASSERT_TRUE(PinVersion(*store_, "home", 1, {"grace", "freeze"}).ok());
  ASSERT_TRUE(PauseRelease(*store_, "home", false, {"linus", "something else"}).ok());
  const auto warnings = Publish(Rules("home", "Ranking", "b"))->warnings;
  EXPECT_THAT(warnings, ElementsAre(AllOf(HasSubstr("pinned to version 1 by grace since 20"), HasSubstr("(\"freeze\")"),
                                          HasSubstr("version 2 waits"), HasSubstr(Lift("rules unpin")))));
  EXPECT_THAT(RollBack(1)->warnings, ElementsAre(HasSubstr("pinned to version 1 by grace")));
}

TEST_F(PublishManagedRulesTest, APauseSaysWhoPausedAndWhatLiftsItButHoldsNoRollbackUp) {
  ASSERT_TRUE(PauseRelease(*store_, "home", true, {"grace", ""}).ok());
  EXPECT_THAT(Publish(Rules("home", "Ranking", "b"))->warnings,
              ElementsAre(AllOf(HasSubstr("paused by grace since 20"), HasSubstr(Lift("rollout resume")))));
  EXPECT_THAT(RollBack(1)->warnings, IsEmpty());
}

TEST_F(PublishManagedRulesTest, RulesThatFailedAreNotTriedAgainByPublishingThemAgain) {
  PutRollout(1, v1::Rollout::FAILED, "no room");
  EXPECT_THAT(Publish(Rules("home", "Ranking", "a"))->warnings,
              ElementsAre(AllOf(HasSubstr("version 1 failed: no room"), HasSubstr(Lift("rollout retry")))));
  ASSERT_TRUE(store_->Publish({"release/home", R"({"namespace":"home","cancelled_version":"1"})", "eve", "", {}}).ok());
  PutRollout(1, v1::Rollout::CANCELLED, "cancelled by eve");
  EXPECT_THAT(Publish(Rules("home", "Ranking", "a"))->warnings,
              ElementsAre(AllOf(HasSubstr("was cancelled: cancelled by eve"), HasSubstr(Lift("rollout retry")))));
}

TEST_F(PublishManagedRulesTest, ThatNobodyLeadsIsSaid) {
  ASSERT_TRUE(store_->Write({.records = {{.key = "leader"}}}).ok());
  EXPECT_THAT(Publish(Rules("home", "Ranking", "b"))->warnings, ElementsAre(HasSubstr("no control plane leads")));
}

// As they were published before rules that only moved were recognised, and after damage.
TEST_F(PublishRulesTest, ARollbackPassesOverVersionsThatDecideTheSameOrCannotBeRead) {
  auto json = [](const std::string& model, const std::string& file) {
    return R"({"namespace":"home","objectives":[{"default_model":{"name":")" + model +
           R"("},"name":"Ranking","source":{"file":")" + file + R"("}}]})";
  };
  PublishRaw("rules/home", json("good", "home.js"));
  PublishRaw("rules/home", "not json");
  PublishRaw("rules/home", json("bad", "home.js"));
  PublishRaw("rules/home", json("bad", "/tmp/home.js"));
  auto back = RollBack(std::nullopt);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->published.info.rollback_of, 1);
}

// A store to which a colleague publishes just before a rollback is written.
class InterruptedStore : public store::ForwardingStore {
 public:
  InterruptedStore(store::Store& store, store::Publication colleague)
      : ForwardingStore(store), colleague_(std::move(colleague)) {}

  absl::StatusOr<store::Published> Rollback(const store::Restoration& restoration) override {
    if (colleague_) {
      EXPECT_TRUE(to().Publish(*std::exchange(colleague_, std::nullopt)).ok());
    }
    return to().Rollback(restoration);
  }

 private:
  std::optional<store::Publication> colleague_;
};

TEST_F(PublishRulesTest, ARollbackDoesNotTakeBackWhatAColleaguePublishesMeanwhile) {
  for (const char* model : {"a", "b"}) ASSERT_TRUE(Publish(Rules("home", "Ranking", model)).ok());
  InterruptedStore interrupted(
      *store_, {"rules/home",
                R"({"namespace":"home","objectives":[{"default_model":{"name":"new"},"name":"Ranking"}]})",
                "linus",
                "",
                {}});
  absl::Status status = RollBackRules(interrupted, {"home", std::nullopt, "grace", "", std::nullopt}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("version 3 is there, by linus"));
  EXPECT_EQ(store_->Latest()->sequence, 3);
}

TEST_F(PublishRulesTest, ARollbackGoesOnWhenAnotherNamespacePublishesMeanwhile) {
  for (const char* model : {"a", "b"}) ASSERT_TRUE(Publish(Rules("home", "Ranking", model)).ok());
  InterruptedStore interrupted(*store_, {"rules/risk", R"({"namespace":"risk"})", "linus", "", {}});
  auto back = RollBackRules(interrupted, {"home", std::nullopt, "grace", "", std::nullopt});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->published.info.rollback_of, 1);
}

TEST_F(PublishRulesTest, OfTwoTeamsThatTakeOneObjectiveAtTheSameTimeExactlyOneGetsIt) {
  for (int round = 0; round < 10; ++round) {
    const std::string objective = "Objective" + std::to_string(round);
    std::atomic<int> won = 0;
    {
      std::vector<std::jthread> teams;
      for (const char* name : {"a", "b", "c", "d"}) {
        teams.emplace_back([&, name] {
          auto own = Open();
          absl::Status status = PublishRules(*own, {Rules(name, objective), "ada", "", std::nullopt}).status();
          if (status.ok()) ++won;
          EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
        });
      }
    }
    EXPECT_EQ(won, 1);
    Composition composition(*store_);
    ASSERT_TRUE(composition.Advance().ok());
    EXPECT_THAT(composition.held_back(), IsEmpty());
  }
}

}  // namespace
}  // namespace signalbox::control
