#include "rules/rules.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/canonical_json.h"
#include "base/hash.h"
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

TEST(Rules, AllMistakesOfAllFilesAreToldAtOnceInOrder) {
  const std::vector<SourceFile> files = {
      {"b.js",
       "function defineRule() {\n  return {objective: Objectives.B, defaultModel: {nam: 'm'}};\n}\n"
       "function defineOtherRule() { throw new Error('no'); }"},
      {"a.js", "export default [{objective: Objectives.A}, 5]"},
      {"c.js", "function defineRule( {"}};
  EXPECT_THAT(Problems(files),
              ElementsAre("a.js:1:17: Objective A: defaultModel: is missing, expected a model: {name: '...', version: "
                          "'...'}",
                          "a.js:1:44: export default[1]: expected a rule, got the number 5",
                          "b.js:2:36: Objective B: defaultModel.name: is missing, expected a name of 1 to 200 letters, "
                          "digits, '.', '_' and '-'",
                          "b.js:2:51: Objective B: defaultModel: unknown key \"nam\", did you mean \"name\"?",
                          "b.js:4:36: defineOtherRule: Error: no", HasSubstr("c.js:1:23: SyntaxError:")));
}

TEST(Rules, OneMistakeIsNotToldTwice) {
  const std::string shift =
      "export default [{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: 5}]";
  // The Objective is declared, but with a mistake.
  EXPECT_THAT(
      Problems(std::vector<SourceFile>{{"a.js", shift}, {"b.js", "export default [{objective: Objectives.Home}]"}}),
      ElementsAre(HasSubstr("b.js:1:17: Objective Home: defaultModel: is missing")));
  // Whether it is declared cannot be known.
  EXPECT_THAT(Problems(std::vector<SourceFile>{{"a.js", shift}, {"b.js", "export default ["}}),
              ElementsAre(HasSubstr("b.js:1:17: SyntaxError")));
}

TEST(Rules, ARuleWithOneMistakeIsSearchedForOthers) {
  EXPECT_THAT(
      Problems("export default [{objective: Objectives.Home, defaultModel: {name: 'm'}},\n"
               "{trafficShiftId: 's', targetObjectives: Objectives.Hom, toModel: {name: 'n'}, percentage: 500}]"),
      ElementsAre(HasSubstr("traffic shift s: Objective Hom does not exist, did you mean \"Home\"?"),
                  HasSubstr("percentage: expected a percentage from 0 to 100")));
}

TEST(Rules, ColumnsCountAsEditorsDo) {
  EXPECT_THAT(
      Problems("export default [{/* \xF0\x9F\x98\x80 \xC3\xA9 */ objective: Objectives.Home, defaultModel: 5}]"),
      ElementsAre(HasSubstr("rules.js:1:57: ")));
  EXPECT_THAT(Problems("/* \xF0\x9F\x98\x80 */ throw new Error('x')"), ElementsAre(HasSubstr("rules.js:1:16: ")));
}

TEST(Rules, FunctionsMayBeConstantsMayCallOthersAndMayReturnSeveralRules) {
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", R"js(
const model = (version) => ({name: 'ranker', version});
const objectives = {home: Objectives.Home, search: Objectives.Search};
const defineObjectivesRules = () => Object.entries(objectives).map(([key, objective]) => ({
  ...{objective}, defaultModel: model(key === 'home' ? 1 : 2),
}));
function defineShiftRule() {
  const targetObjectives = [...Object.values(objectives)];
  return {trafficShiftId: 'canary', targetObjectives, toModel: model(3), percentage: 0.5};
}
function helper() { throw new Error('never called'); }
)js"}});
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  ASSERT_EQ(rule_set->objectives_size(), 2);
  EXPECT_EQ(rule_set->objectives(1).default_model().version(), "2");
  ASSERT_EQ(rule_set->traffic_shifts_size(), 1);
  EXPECT_EQ(rule_set->traffic_shifts(0).share_ppm(), 5000U);
  EXPECT_EQ(rule_set->traffic_shifts(0).source().line(), 7U);
}

TEST(Rules, NothingThatIsNamedAsARuleIsLeftOut) {
  const std::string text = R"js(
const defineARule = wrap(() => ({objective: Objectives.A, defaultModel: {name: 'm'}}));
function wrap(f) { return f; }
let defineBRule = {objective: Objectives.B, defaultModel: {name: 'm'}};
var [defineCRule] = [() => ({objective: Objectives.C, defaultModel: {name: 'm'}})];
function defineDRule() { return {objective: Objectives.D, defaultModel: {name: 'm'}}; }
)js";
  const std::string module = R"js(
export function defineFRule() { return {objective: Objectives.F, defaultModel: {name: 'm'}}; }
export const defineERule = () => ({objective: Objectives.E, defaultModel: {name: 'm'}});
)js";
  // In a large file names are found without its syntax tree.
  for (const std::string& filling : {std::string(), "//" + std::string(300 << 10, ' ')}) {
    const auto rule_set =
        Evaluate("default", std::vector<SourceFile>{{"a.js", text + filling}, {"b.js", module + filling}});
    ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
    std::vector<std::string> names;
    for (const v1::Objective& objective : rule_set->objectives()) names.push_back(objective.name());
    EXPECT_THAT(names, testing::UnorderedElementsAre("A", "B", "C", "D", "E", "F"));
    EXPECT_THAT(std::vector<std::string>(names.begin() + 4, names.end()), ElementsAre("F", "E"));
    for (const v1::Objective& objective : rule_set->objectives()) EXPECT_GT(objective.source().line(), 1U);
  }
  const std::string expected = "the name of a rule's function is define...Rule";
  EXPECT_THAT(Problems("function defineHomeRle() {}"), ElementsAre(HasSubstr("declares no rule"), HasSubstr(expected)));
  EXPECT_THAT(Problems(text + "const define\xC3\x9CRule = () => 1;"),
              ElementsAre(HasSubstr("rules.js:7:7: define\xC3\x9CRule would be left out: " + expected)));
  EXPECT_THAT(Problems(text + "function defineModel(name) { return {name}; }"), ElementsAre());
  EXPECT_THAT(Problems(module + "export default []"),
              ElementsAre(HasSubstr("rules.js:4:16: there is `export default`")));
  for (const std::string& filling : {std::string(), "//" + std::string(300 << 10, ' ')}) {
    EXPECT_THAT(
        Problems(text + "function defineDRule() { return []; }" + filling),
        ElementsAre("rules.js:7:10: defineDRule is declared twice, first at rules.js:6:10; rename one of them"));
  }
}

TEST(Rules, ThousandsOfThemAreFine) {
  std::string written_out;
  for (int i = 0; i < 5000; ++i) {
    written_out += fmt::format(
        "function defineObjective{0}Rule() {{\n"
        "  return {{ objective: Objectives.O{0}, defaultModel: {{ name: 'ranker', version: {0} }} }};\n}}\n",
        i);
  }
  const std::string made_by_a_loop =
      "export default Array.from({length: 5000}, (_, i) => ({objective: Objectives['O' + i], defaultModel: {name: "
      "'ranker', version: i}}));";
  for (const std::string& text : {written_out, made_by_a_loop}) {
    const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", text}});
    ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
    ASSERT_EQ(rule_set->objectives_size(), 5000);
    EXPECT_EQ(rule_set->objectives(4999).name(), "O4999");
  }
}

TEST(Rules, ThousandsOfMistakesAreCutShort) {
  const std::vector<std::string> problems = Problems("export default Array.from({length: 5000}, () => 5)");
  ASSERT_EQ(problems.size(), 201U);
  EXPECT_EQ(problems.back(), "... and 4800 more errors");
}

TEST(Rules, TheSameFilesGiveTheSameBytes) {
  const std::vector<SourceFile> files = {{"home.js", kObjective}, {"ab.js", kPublished}};
  const auto canonical = [&files] {
    auto rule_set = Evaluate("default", files);
    EXPECT_TRUE(rule_set.ok()) << Message(rule_set.status());
    return CanonicalJson(*rule_set).value();
  };
  const std::string first = canonical();
  // Pinned: changes only with the schema, never with a machine, a moment or a release of the engine.
  EXPECT_EQ(Sha256Hex(first), "305a5be096b2fc1ffaae2c205617def85b0c741bdbff1765a5749c93bee9c75b");
  std::vector<std::string> others(8);
  std::vector<std::thread> threads;
  threads.reserve(others.size());
  for (std::string& other : others) threads.emplace_back([&other, &canonical] { other = canonical(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(others, testing::Each(first));
}

TEST(Rules, WhatIsGivenToEvaluateIsChecked) {
  const SourceFile good{"home.js", kObjective};
  EXPECT_THAT(Problems(std::vector<SourceFile>{good, good}), ElementsAre("home.js: given twice, expected once"));
  EXPECT_EQ(Format(EvaluateWithDiagnostics("Home!", std::vector<SourceFile>{good}).diagnostics.at(0)),
            "namespace \"Home!\": expected 1 to 63 lower-case letters, digits and '-' that start with a letter");
  Limits limits;
  limits.files_max = 1;
  limits.source_bytes_max = 10;
  limits.source_bytes_total_max = 20;
  EXPECT_THAT(Problems(std::vector<SourceFile>{good, {"b.js", ""}}, limits),
              ElementsAre("2 files in one rule set, expected at most 1",
                          fmt::format("{} bytes in all files together, the limit is 20", good.text.size()),
                          fmt::format("home.js: {} bytes, the limit is 10", good.text.size())));
  EXPECT_TRUE(Evaluate("default", {}).ok());
}

}  // namespace
}  // namespace signalbox::rules
