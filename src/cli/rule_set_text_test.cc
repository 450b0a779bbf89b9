#include "cli/rule_set_text.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace signalbox::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::RuleSet Example() {
  v1::RuleSet rules;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"pb(
                                                              namespace: "home"
                                                              objectives {
                                                                name: "Ranking"
                                                                default_model { name: "ranker" version: "1" }
                                                                fallback_models { name: "popular" }
                                                                parameters { key: "depth" value: "50" }
                                                                parameters { key: "alpha" value: "1" }
                                                                source { file: "rules/home.js" line: 3 column: 1 }
                                                              }
                                                              experiments {
                                                                id: "12345"
                                                                objectives: "Ranking"
                                                                cells {
                                                                  name: "1"
                                                                  model { name: "ranker" version: "2" }
                                                                  weight_ppm: 333333
                                                                }
                                                                cells {
                                                                  name: "2"
                                                                  weight_ppm: 666667
                                                                  parameters { key: "depth" value: "80" }
                                                                }
                                                                allocation_ppm: 400000
                                                              }
                                                              traffic_shifts {
                                                                id: "canary"
                                                                objectives: "Ranking"
                                                                to { name: "ranker" version: "3" }
                                                                share_ppm: 10000
                                                              }
                                                            )pb",
                                                            &rules));
  return rules;
}

TEST(RuleSetText, SaysWhatDecidesInTheOrderInWhichItIsAsked) {
  EXPECT_EQ(DescribeRules(Example()),
            "Ranking   rules/home.js:3\n"
            "  experiment  12345, 40 % of users\n"
            "    cell 1          33.3333 %  ranker@2\n"
            "    cell 2          66.6667 %  ranker@1  (depth=80)\n"
            "  shift       canary: 1 % of traffic to ranker@3\n"
            "  default     ranker@1\n"
            "  fallback    popular\n"
            "  parameters  alpha=1 depth=50\n");
  EXPECT_EQ(DescribeRules(v1::RuleSet()), "no rules\n");
}

TEST(RuleSetText, CountsWithTheRightWords) {
  EXPECT_EQ(CountsText(Example()), "1 Objective, 1 experiment, 1 traffic shift");
  EXPECT_EQ(CountsText(v1::RuleSet()), "no Objectives, no experiments, no traffic shifts");
}

TEST(RuleSetText, ShowsEveryKind) {
  v1::RuleSet rules;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        objectives {
          name: "Ranking"
          default_model { ensemble: "mix" }
          policy: "standard"
          static_answer { message: "xyz" }
        }
        experiments {
          id: "1"
          objectives: "Ranking"
          cells { name: "a" weight_ppm: 1000000 }
          allocation_ppm: 500000
          layer: "l"
          layer_end_ppm: 300000
          hash_version: 2
          unit: "account"
          unit: "user"
          start_unix_ms: 1767225600000
          end_unix_ms: 1769900400000
          forced_cells { key: "u" value: "a" }
          condition {
            field {
              field: "device"
              in { texts: "tv" }
            }
          }
          remote { platform: "growthbook" ttl_ms: 60000 deadline_ms: 20 fallback: CELL fallback_cell: "a" }
        }
        traffic_shifts {
          id: "ramp"
          objectives: "Ranking"
          to { name: "new" }
          schedule {
            start_unix_ms: 1767225600000
            steps { share_ppm: 10000 hold_ms: 1800000 }
            steps { share_ppm: 1000000 }
          }
        }
        context_rules {
          id: "tv"
          objectives: "Ranking"
          condition {
            field {
              field: "device"
              in { texts: "tv" }
            }
          }
          model { name: "tv-ranker" }
          policy: "standard"
          parameters { key: "depth" value: "5" }
        }
        overrides {
          id: "testers"
          objectives: "Ranking"
          tenants: "qa"
          users: "alice"
          models { name: "new" }
        }
        shadows {
          id: "next"
          objectives: "Ranking"
          model { name: "next" }
          share_ppm: 100000
          comparison { rank { min: 0.9 } }
        }
        layers { id: "l" unit: "account" unit: "user" }
        holdouts { id: "h" share_ppm: 50000 layers: "l" }
        ensembles {
          name: "mix"
          mode: WEIGHTED
          members {
            model { name: "a" }
            weight: 0.75
          }
          members {
            model { name: "b" }
            weight: 0.25
          }
          min_members: 1
        }
        policies {
          name: "standard"
          limits { requests_per_second: 100 concurrent_requests: 20 priority: HIGH }
          fallback_models { name: "popular" }
        }
      )pb",
      &rules));
  EXPECT_EQ(DescribeRules(rules),
            "Ranking\n"
            "  override    testers: tenants qa, users alice may choose new\n"
            "  context     tv: tv-ranker, policy standard, (depth=5)\n"
            "    when      device is \"tv\"\n"
            "  experiment  1, 50 % of units, layer l from 0 % to 30 %, GrowthBook's hash 2\n"
            "    when      device is \"tv\"\n"
            "    runs      from 2026-01-01T00:00:00Z until 2026-01-31T23:00:00Z\n"
            "    unit      account, else user\n"
            "    cells by  growthbook, flag 1, kept for 60 s, waited for at most 20 ms; else cell a\n"
            "    testers   1 unit\n"
            "    cell a              100 %  ensemble:mix\n"
            "  shift       ramp: a growing share of traffic to new\n"
            "    schedule  from 2026-01-01T00:00:00Z: 1 % for 30 min, 100 %\n"
            "  default     ensemble:mix\n"
            "  at last     a static answer of 3 bytes\n"
            "  policy      standard\n"
            "  shadow      next: 10 % of requests to next, rank correlation at least 0.9\n"
            "\n"
            "layer l: by account, else user\n"
            "holdout h: 5 % by user take no part in the experiments of l\n"
            "ensemble mix: the weighted mean of a (0.75), b (0.25); at least 1\n"
            "policy standard: 100 requests/s, 20 at once, high priority, fallback to popular\n");
  EXPECT_EQ(CountsText(rules),
            "1 Objective, 1 experiment, 1 traffic shift, 1 context rule, 1 layer, 1 holdout, 1 shadow, 1 ensemble, 1 "
            "override, 1 policy");
  v1::RuleSet after = rules;
  after.mutable_shadows(0)->set_share_ppm(200'000);
  after.mutable_holdouts()->Clear();
  after.mutable_policies(0)->mutable_limits()->set_burst(5);
  EXPECT_THAT(DescribeChanges(rules, after),
              ElementsAre("- holdout h", "~ shadow next: 10 % -> 20 % of requests", "~ policy standard"));
}

TEST(RuleSetText, ChangesAreToldRuleByRule) {
  v1::RuleSet after = Example();
  after.mutable_traffic_shifts(0)->set_share_ppm(500'000);
  after.mutable_objectives(0)->mutable_default_model()->set_version("2");
  after.mutable_experiments()->Clear();
  v1::Objective& added = *after.add_objectives();
  added.set_name("Search");
  added.mutable_default_model()->set_name("finder");
  EXPECT_THAT(DescribeChanges(Example(), after),
              ElementsAre("~ Objective Ranking: default ranker@1 -> ranker@2", "+ Objective Search: default finder",
                          "- experiment 12345", "~ traffic shift canary: 1 % -> 50 %"));
}

TEST(RuleSetText, AChangeOfAScheduleIsToldStepByStep) {
  v1::RuleSet after = Example();
  v1::RampSchedule& schedule = *after.mutable_traffic_shifts(0)->mutable_schedule();
  schedule.set_start_unix_ms(1'767'225'600'000);
  schedule.add_steps()->set_share_ppm(10'000);
  schedule.mutable_steps(0)->set_hold_ms(1'800'000);
  schedule.add_steps()->set_share_ppm(1'000'000);
  EXPECT_THAT(DescribeChanges(Example(), after),
              ElementsAre("~ traffic shift canary: 1 % -> schedule from 2026-01-01T00:00:00Z: 1 % for 30 min, 100 %"));
  EXPECT_THAT(DescribeChanges(after, Example()),
              ElementsAre("~ traffic shift canary: schedule from 2026-01-01T00:00:00Z: 1 % for 30 min, 100 % -> 1 %"));
}

TEST(RuleSetText, ARuleThatOnlyMovedInItsFileHasNotChanged) {
  v1::RuleSet after = Example();
  after.mutable_objectives(0)->mutable_source()->set_line(99);
  EXPECT_THAT(DescribeChanges(Example(), after), IsEmpty());
}

}  // namespace
}  // namespace signalbox::cli
