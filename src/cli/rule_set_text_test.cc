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

TEST(RuleSetText, ARuleThatOnlyMovedInItsFileHasNotChanged) {
  v1::RuleSet after = Example();
  after.mutable_objectives(0)->mutable_source()->set_line(99);
  EXPECT_THAT(DescribeChanges(Example(), after), IsEmpty());
}

}  // namespace
}  // namespace signalbox::cli
