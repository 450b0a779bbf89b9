#include "rules/rules.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As published ("State of Routing in Model Serving", 2026).
constexpr char kPublished[] = R"js(
function defineAB12345Rule() {
  const abTestId = 12345;
  const objective = Objectives.ContinueWatchingRanking;
  const abTestCellToModel = {
    1: {name: "netflix-continue-watching-model-default"},
    2: {name: "netflix-continue-watching-model-cell-2"},
    3: {name: "netflix-continue-watching-model-cell-3"}
  };
  return {
    cellToModel: abTestCellToModel,
    abTestId: abTestId,
    targetObjectives: objective,
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'SCORER'
  };
}
)js";

constexpr char kObjective[] = R"js(
function defineContinueWatchingRankingRule() {
  return {objective: Objectives.ContinueWatchingRanking, defaultModel: {name: "default", version: "7"}};
}
)js";

TEST(Rules, ThePublishedExampleRunsAsItStands) {
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"home.js", kObjective}, {"ab.js", kPublished}});
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  ASSERT_EQ(rule_set->experiments_size(), 1);
  const v1::Experiment& experiment = rule_set->experiments(0);
  EXPECT_EQ(experiment.id(), "12345");
  EXPECT_THAT(experiment.objectives(), ElementsAre("ContinueWatchingRanking"));
  EXPECT_EQ(experiment.model_input_type(), "TITLE_INPUT_TYPE");
  EXPECT_EQ(experiment.model_type(), "SCORER");
  EXPECT_EQ(experiment.allocation_ppm(), 1'000'000U);
  ASSERT_EQ(experiment.cells_size(), 3);
  EXPECT_EQ(experiment.cells(2).name(), "3");
  EXPECT_EQ(experiment.cells(2).model().name(), "netflix-continue-watching-model-cell-3");
  EXPECT_EQ(experiment.source().file(), "ab.js");
  EXPECT_EQ(experiment.source().line(), 2U);
}

TEST(Rules, AMisspelledObjectiveIsNamedWhereItStandsWithTheNearestOne) {
  EXPECT_THAT(
      Problems(R"js(
function defineHomeRule() {
  return {objective: Objectives.ContinueWatchingRanking, defaultModel: {name: "default"}};
}
const target = Objectives.ContinueWatchingRankng;
const defineShiftRule = () => ({
  trafficShiftId: "canary", targetObjectives: target, toModel: {name: "new"}, percentage: 10,
});
)js"),
      ElementsAre("rules.js:5:16: traffic shift canary: Objective ContinueWatchingRankng does not exist, did you "
                  "mean \"ContinueWatchingRanking\"?"));
}

TEST(Rules, WeightsThatDoNotAddUpAreListed) {
  EXPECT_THAT(Problems(R"js(
export default [
  {objective: Objectives.Home, defaultModel: {name: "default"}},
  {
    abTestId: 12345,
    targetObjectives: Objectives.Home,
    cellToModel: {1: {name: "a"}, 2: {name: "b"}, 3: {name: "c"}},
    cellWeights: {1: 0.5, 2: 0.3, 3: 0.3},
  },
];
)js"),
              ElementsAre("rules.js:8:5: experiment 12345: weights add up to 1.1, expected 1 (tolerance 1e-9); cells "
                          "1=0.5 2=0.3 3=0.3"));
}

}  // namespace
}  // namespace signalbox::rules
