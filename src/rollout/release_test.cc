// How new rules of a namespace come into effect: scopes, pauses, pins, going back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/test_world.h"

namespace signalbox::rollout {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// One host, `home` version 1 active, and a plan with two scopes.
struct Serving : World {
  explicit Serving(ControllerOptions options = {}) : World(options) {
    Fleet(R"pb(shards {
                 key: "a"
                 value {}
               })pb");
    AddHost("h1", "a");
    DataPlane("eu-1").add_scopes("region=eu");
    DataPlane("us-1").add_scopes("region=us");
    Publish("home", {"ranker@1"});
    Settle();
    EXPECT_EQ(ActiveVersion("home"), 1);
  }
  void PlanScopes(const std::string& more = "") {
    Plan("home", R"pb(steps { scope: "region=eu" hold_ms: 60000 }
                      steps { scope: "region=us" hold_ms: 60000 })pb" +
                     more);
  }
};

TEST(Release, GoesThroughItsScopesOneAfterTheOther) {
  Serving world;
  world.PlanScopes();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::WIDENING);
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 2);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.Pass(59'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  world.Pass(2'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 2);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.Pass(61'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 0);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
}

TEST(Release, AClockThatJumpsDoesNotShortenAHold) {
  Serving world;
  world.PlanScopes();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.JumpClock(3'600'000);
  world.Pass(10'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  world.Pass(51'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 2);
}

TEST(Release, WaitsForTheDataPlanesOfAScopeAndNotForEver) {
  Serving world;
  world.DataPlane("eu-2").add_scopes("region=eu");
  world.PlanScopes();
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Pass(59'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  world.Pass(10'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 2);
  EXPECT_THAT(world.log,
              testing::Contains("home version 2: data plane eu-1 is not waited for any more in region=eu: it "
                                "has not taken it"));
}

TEST(Release, AStepIsNotPassedWhileNoDataPlaneOfTheScopeHasAcknowledged) {
  Serving world;
  world.PlanScopes();
  world.DataPlane("eu-1").set_connected(false);
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Pass(300'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  EXPECT_EQ(world.ReasonOf("home"),
            "in effect in region=eu, acknowledged by no data plane that is connected: start one with `--scope "
            "region=eu`, or `signalbox rollout promote` to go on without");
  world.DataPlane("eu-1").set_connected(true);
  world.stuck.clear();
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 2);
}

TEST(Release, ADataPlaneThatGoesAwayWithoutTakingItIsWaitedForAsOneThatStays) {
  Serving world;
  world.DataPlane("eu-2").add_scopes("region=eu");
  world.Plan("home", R"pb(steps { scope: "region=eu" }
                          steps { scope: "region=us" })pb");
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.DataPlane("eu-1").set_connected(false);
  world.Pass(30'000);
  EXPECT_EQ(world.ReasonOf("home"), "in effect in region=eu, not acknowledged by data plane eu-1 (it is away)");
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
  world.Pass(40'000);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Release, AVersionWithAnotherContentIsNoAcknowledgement) {
  Serving world;
  world.PlanScopes();
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.DataPlane("eu-1").set_running_version(world.sequence());
  world.DataPlane("eu-1").set_withheld("Objective Fraud is declared twice");
  world.Pass(5'000);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("in effect in region=eu, but data plane eu-1 is not sent it"));
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("Objective Fraud is declared twice; where that stays so for 60 s it "
                                                "fails, `signalbox rollout promote` goes on without"));
  world.Pass(70'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("mend that and publish again, or `signalbox rollout retry`"));
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
}

TEST(Release, OneThatRefusesAndGoesAwayHasRefused) {
  Serving world;
  world.DataPlane("eu-2").add_scopes("region=eu");
  world.PlanScopes();
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.DataPlane("eu-1").set_refused_version(world.sequence());
  world.DataPlane("eu-1").set_refusal("not enough memory");
  world.DataPlane("eu-1").set_connected(false);
  world.Pass(70'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
}

TEST(Release, OneThatADataPlaneGoesOnRefusingFailsAndIsTakenBack) {
  Serving world;
  world.PlanScopes();
  world.stuck.insert("eu-1");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.DataPlane("eu-1").set_refused_version(world.sequence());
  world.DataPlane("eu-1").set_refusal("not enough memory");
  world.Pass(70'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("data plane eu-1 refuses it: not enough memory"));
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 0);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
}

TEST(Release, PausedGoesNoStepFurther) {
  Serving world;
  world.PlanScopes("paused: true");
  world.Publish("home", {"ranker@2"});
  world.Pass(300'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::VALIDATED);
  EXPECT_EQ(world.ReasonOf("home"), "paused");
  world.PlanScopes();
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 2);
  world.PlanScopes("paused: true");
  world.Pass(300'000);
  EXPECT_EQ(world.ActiveVersion("home", "region=us"), 0);
}

TEST(Release, PromotedSkipsTheStepsThatAreLeft) {
  Serving world;
  world.PlanScopes();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.PlanScopes("promoted_version: 2");
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 0);
}

TEST(Release, CancelledGoesBackWhereItHadBegun) {
  Serving world;
  world.PlanScopes();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.PlanScopes("cancelled_version: 2");
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::CANCELLED);
  EXPECT_EQ(world.ReasonOf("home"), "cancelled by alice");
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 0);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  EXPECT_FALSE(world.Has("h1", "ranker@2"));
  world.PlanScopes();
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 2);
}

TEST(Release, OneThatWasCancelledBeforeItCameIsNotBegun) {
  Serving world;
  world.PlanScopes("cancelled_version: 2");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::CANCELLED);
  EXPECT_THAT(world.commands, testing::Not(testing::Contains("load h1 ranker@2")));
}

TEST(Release, IsSupersededByANewerOne) {
  Serving world;
  world.answers["load h1 ranker@2"] = std::nullopt;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::LOADING);
  world.Publish("home", {"ranker@3"});
  world.Pass(120'000);
  EXPECT_EQ(world.ActiveVersion("home"), 3);
  EXPECT_EQ(world.Rollouts("home").past(0).state(), v1::Rollout::CANCELLED);
  EXPECT_EQ(world.Rollouts("home").past(0).reason(), "superseded by version 3");
}

TEST(Release, APinnedVersionRunsAndWhatIsPublishedWaits) {
  Serving world;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.Plan("home", "pinned_version: 1");
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.Publish("home", {"ranker@3"});
  world.Pass(60'000);
  EXPECT_EQ(world.ActiveVersion("home"), 1);
  world.Plan("home", "");
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 3);
}

TEST(Release, WhatHadToGiveWayToAPinGoesOnWhenItIsGone) {
  Serving world;
  world.answers["load h1 ranker@2"] = std::nullopt;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.Plan("home", "pinned_version: 1");
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::CANCELLED);
  world.answers.clear();
  world.Plan("home", "");
  world.Pass(120'000);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Release, ARollbackLoadsNothingAndTakesOneBatch) {
  Serving world;
  world.PlanScopes("promoted_version: 2");
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 2);
  world.commands.clear();
  const int batches = world.batches;
  world.Publish("home", {"ranker@1"}, /*rollback_of=*/1);
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 3);
  EXPECT_THAT(world.commands, IsEmpty());
  EXPECT_EQ(world.batches, batches + 1);
}

TEST(Release, ARollbackGoesThroughAPauseAndPastFailingHosts) {
  Serving world;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.PlanScopes("paused: true");
  world.answers["load * ranker@1"] = absl::InternalError("no");
  world.answers["dry-run * ranker@1"] = absl::InternalError("no");
  world.Publish("home", {"ranker@1"}, /*rollback_of=*/1);
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 3);
}

TEST(Release, ARollbackTakesBackTheScopes) {
  Serving world;
  world.PlanScopes();
  world.Publish("home", {"ranker@2"});
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 2);
  world.Publish("home", {"ranker@1"}, /*rollback_of=*/1);
  world.Settle();
  EXPECT_EQ(world.ActiveVersion("home"), 3);
  EXPECT_EQ(world.ActiveVersion("home", "region=eu"), 0);
}

TEST(Release, WhatIsNotValidatedInTimeFails) {
  Serving world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   }
                   models {
                     key: "ranker"
                     value { load_timeout_ms: 3600000 }
                   })pb");
  world.answers["load h1 ranker@2"] = std::nullopt;
  world.Publish("home", {"ranker@2"});
  world.Settle();
  world.JumpClock(-86'400'000);
  world.Pass(599'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::LOADING);
  world.Pass(2'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("not validated within 600 s: host h1 of shard a"));
}

TEST(Release, AFailedOneIsTriedAgainWhenTheAttemptIsRaised) {
  Serving world;
  world.answers["load h1 ranker@2"] = absl::InternalError("no such file");
  world.Publish("home", {"ranker@2"});
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  world.answers.clear();
  world.Pass(60'000);
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  world.Plan("home", "attempt: 1");
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.ActiveVersion("home"), 2);
}

TEST(Release, RulesThatDoNotGoWithThoseOfOthersFail) {
  Serving world;
  v1::RuleSet rules;
  rules.set_namespace_("other");
  rules.add_objectives()->set_name("Objective_home");
  rules.mutable_objectives(0)->mutable_default_model()->set_name("mine");
  world.PublishRules(rules);
  world.Settle();
  EXPECT_EQ(world.StateOf("other"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("other"), HasSubstr("Objective_home"));
}

TEST(Release, OfTwoThatClaimOneObjectiveAtOnceTheFirstIsActivated) {
  Serving world;
  for (const char* name : {"zeta", "alpha"}) {
    v1::RuleSet rules;
    rules.set_namespace_(name);
    rules.add_objectives()->set_name("Disputed");
    rules.mutable_objectives(0)->mutable_default_model()->set_name("ranker");
    rules.mutable_objectives(0)->mutable_default_model()->set_version("1");
    world.PublishRules(rules);
  }
  world.Settle();
  EXPECT_EQ(world.StateOf("zeta"), v1::Rollout::ACTIVE);
  EXPECT_EQ(world.StateOf("alpha"), v1::Rollout::FAILED);
}

TEST(Release, ModelsThatDependOnEachOtherFail) {
  Serving world;
  world.Fleet(R"pb(shards {
                     key: "a"
                     value {}
                   }
                   models {
                     key: "x"
                     value { depends_on: "y" }
                   }
                   models {
                     key: "y"
                     value { depends_on: "x" }
                   })pb");
  world.Publish("home", {"x"});
  world.Settle();
  EXPECT_EQ(world.StateOf("home"), v1::Rollout::FAILED);
  EXPECT_THAT(world.ReasonOf("home"), HasSubstr("x depends on y, y depends on x"));
}

}  // namespace
}  // namespace signalbox::rollout
