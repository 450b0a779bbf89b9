// Of a context rule, its Objective and the Objective's policy the narrowest that says something counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::ElementsAre;

class PolicyTest : public testing::Test {
 protected:
  // On a TV the context rule's policy `narrow` holds.
  void Compile(const std::string& of_objective, const std::string& of_wide, const std::string& of_narrow) {
    snapshot_ = CompileOrDie(ParseSnapshot(
        "rule_sets { rule_set { namespace: 'n' objectives { name: 'X' default_model { name: 'm' } " + of_objective +
        " } policies { name: 'wide' " + of_wide + " } policies { name: 'narrow' " + of_narrow +
        " } context_rules { id: 'tv' objectives: 'X' policy: 'narrow' "
        "condition { field { field: 'device' in { texts: 'tv' } } } } } }"));
  }

  Decision OnATv() const { return Decide(*snapshot_, {.objective = "X", .device = "tv"}); }
  Decision Elsewhere() const { return Decide(*snapshot_, {.objective = "X", .device = "phone"}); }

  static std::vector<std::string> Fallbacks(const Decision& decision) {
    std::vector<std::string> models;
    for (const Answer* each : decision.fallbacks) models.push_back(each->model->id);
    return models;
  }

 private:
  std::shared_ptr<const Snapshot> snapshot_;
};

TEST_F(PolicyTest, AContextRulesGoesBeforeWhatTheObjectiveSaysItself) {
  Compile("fallback_models { name: 'own' } static_answer { message: 'own' }", "",
          "fallback_models { name: 'tv' } static_answer { message: 'tv' } limits { burst: 5 }");
  EXPECT_THAT(Fallbacks(OnATv()), ElementsAre("tv"));
  EXPECT_EQ(OnATv().static_answer->message, "tv");
  EXPECT_EQ(OnATv().policy->limits.burst, 5u);
  EXPECT_THAT(Fallbacks(Elsewhere()), ElementsAre("own"));
  EXPECT_EQ(Elsewhere().static_answer->message, "own");
  EXPECT_EQ(Elsewhere().policy, nullptr);
}

TEST_F(PolicyTest, WhatAContextRulesDoesNotSayStays) {
  Compile("policy: 'wide' fallback_models { name: 'own' }",
          "fallback_models { name: 'wide' } static_answer { message: 'wide' } "
          "limits { burst: 7 requests_per_second: 70 }",
          "limits { requests_per_second: 5 }");
  EXPECT_THAT(Fallbacks(OnATv()), ElementsAre("own"));
  EXPECT_EQ(OnATv().static_answer->message, "wide");
  EXPECT_EQ(OnATv().policy->name, "narrow");
  EXPECT_EQ(OnATv().policy->limits.requests_per_second, 5);
  EXPECT_EQ(OnATv().policy->limits.burst, 7u);
  EXPECT_EQ(Elsewhere().policy->name, "wide");
  EXPECT_EQ(Elsewhere().policy->limits.requests_per_second, 70);
}

TEST_F(PolicyTest, EveryFieldOfTheHandlingIsMergedByItself) {
  Compile(
      "policy: 'wide'",
      "limits { concurrent_requests: 7 } deadlines { total_ms: 900 per_try_ms: 90 } retries { tries: 5 idempotent: "
      "true } "
      "affinity { unit: 'account' unit: 'user' } bulkhead { requests: 3 }",
      "limits { adaptive_concurrency { min: 2 max: 9 } } deadlines { per_try_ms: 20 } retries { budget_ppm: 70000 } "
      "hedging { percentile_ppm: 950000 min_delay_ms: 4 } affinity { unit: 'device' load_bound_percent: 150 } "
      "bulkhead { buffered_bytes: 1000 }");
  const Policy& tv = *OnATv().policy;
  EXPECT_TRUE(tv.limits.concurrency_is_adaptive);
  EXPECT_EQ(tv.limits.adaptive_min, 2u);
  EXPECT_EQ(tv.limits.adaptive_max, 9u);
  EXPECT_EQ(tv.limits.concurrent_requests, 0u);
  EXPECT_EQ(tv.total_ms, 900);
  EXPECT_EQ(tv.per_try_ms, 20);
  EXPECT_EQ(tv.retries.tries, 5u);
  EXPECT_TRUE(tv.retries.idempotent);
  EXPECT_EQ(tv.retries.budget_ppm, 70'000u);
  EXPECT_EQ(tv.hedge_percentile_ppm, 950'000u);
  EXPECT_EQ(tv.hedge_min_delay_ms, 4);
  ASSERT_EQ(tv.affinity_unit.size(), 1u);
  EXPECT_EQ(tv.affinity_unit[0].id, FieldId::kDevice);
  EXPECT_EQ(tv.load_bound_percent, 150u);
  EXPECT_EQ(tv.bulkhead.requests, 3u);
  EXPECT_EQ(tv.bulkhead.buffered_bytes, 1000u);
  const Policy& wide = *Elsewhere().policy;
  EXPECT_EQ(wide.limits.concurrent_requests, 7u);
  EXPECT_FALSE(wide.limits.concurrency_is_adaptive);
  ASSERT_EQ(wide.affinity_unit.size(), 2u);
  EXPECT_EQ(wide.affinity_unit[0].name, "account");
  EXPECT_EQ(wide.load_bound_percent, 125u);
  EXPECT_EQ(wide.hedge_percentile_ppm, 0u);
}

TEST_F(PolicyTest, ThatIsTheObjectivesAsWellGoesBeforeTheObjectiveWhereAContextRuleNamesIt) {
  Compile("policy: 'narrow' fallback_models { name: 'own' }", "", "fallback_models { name: 'tv' }");
  EXPECT_THAT(Fallbacks(OnATv()), ElementsAre("tv"));
  EXPECT_THAT(Fallbacks(Elsewhere()), ElementsAre("own"));
}

TEST_F(PolicyTest, AFallbackThatWasChosenIsNotTriedAgain) {
  Compile("fallback_models { name: 'own' }", "", "fallback_models { name: 'tv' } fallback_models { name: 'm' }");
  EXPECT_THAT(Fallbacks(OnATv()), ElementsAre("tv"));
}

}  // namespace
}  // namespace signalbox::decide
