// Every kind of rule, right and wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rules/cell_weights.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

// The rule set of `rules`, items of an array in JavaScript.
v1::RuleSet Read(const std::string& rules) {
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", "export default [" + rules + "]"}});
  EXPECT_TRUE(rule_set.ok()) << Message(rule_set.status());
  return rule_set.ok() ? *rule_set : v1::RuleSet();
}

// What is wrong with `rules`, beside an Objective `Home` with the default model `base`. Rules stand one a line, from
// line 2 on.
std::vector<std::string> Wrong(const std::string& rules) {
  return Problems("export default [{objective: Objectives.Home, defaultModel: {name: 'base'}},\n" + rules + "\n]");
}

std::string Experiment(const std::string& rest) {
  return "{abTestId: 1, targetObjectives: Objectives.Home, " + rest + "}";
}

TEST(ObjectiveRule, HoldsEverythingThatTheSchemaHas) {
  const v1::RuleSet rule_set = Read(R"js({
    objective: Objectives.Home,
    defaultModel: {name: 'ranker', version: 3},
    fallbackModels: [{name: 'ranker', version: '2'}, {name: 'popular'}],
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: 'RANKER',
    parameters: {depth: 50, alpha: 0.25, mode: 'fast', debug: false},
  })js");
  ASSERT_EQ(rule_set.objectives_size(), 1);
  v1::Objective objective = rule_set.objectives(0);
  objective.clear_source();
  EXPECT_EQ(CanonicalJson(objective).value(),
            R"({"default_model":{"name":"ranker","version":"3"},"fallback_models":[{"name":"ranker","version":"2"},)"
            R"({"name":"popular"}],"model_input_type":"TITLE_INPUT_TYPE","model_type":"RANKER","name":"Home",)"
            R"("parameters":{"alpha":"0.25","debug":"false","depth":"50","mode":"fast"}})");
}

TEST(ObjectiveRule, EveryMistakeHasItsPlace) {
  EXPECT_THAT(
      Problems(R"js(
function defineHomeRule() {
  return {
    objective: Objectives.Home,
    defaultModle: {name: 'ranker'},
    fallbackModels: [{name: 'a b'}, {name: 'c', verison: 2}, 'd'],
    modelType: 7,
    parameters: {sb_mine: 1, list: [], depth: NaN},
  };
}
)js"),
      ElementsAre(
          "rules.js:2:10: Objective Home: defaultModel: is missing, expected a model: {name: '...', version: '...'}",
          "rules.js:5:5: Objective Home: unknown key \"defaultModle\", did you mean \"defaultModel\"?",
          "rules.js:6:23: Objective Home: fallbackModels[0].name: expected a name of 1 to 200 letters, digits, '.', "
          "'_' and '-', got the text \"a b\"",
          "rules.js:6:49: Objective Home: fallbackModels[1]: unknown key \"verison\", did you mean \"version\"?",
          "rules.js:6:62: Objective Home: fallbackModels[2]: expected a model: {name: '...', version: '...'}, got the "
          "text \"d\"",
          "rules.js:7:5: Objective Home: modelType: expected a text, got the number 7",
          "rules.js:8:18: Objective Home: parameters.sb_mine: names that begin with sb_ belong to signalbox; choose "
          "another",
          "rules.js:8:30: Objective Home: parameters.list: expected a text, a finite number, true or false, got an "
          "array",
          "rules.js:8:40: Objective Home: parameters.depth: expected a text, a finite number, true or false, got the "
          "number NaN"));
}

TEST(ExperimentRule, CellsWithoutWeightsShareEqually) {
  const v1::RuleSet rule_set = Read(R"js(
    {objective: Objectives.Home, defaultModel: {name: 'base'}},
    {abTestId: 'spring-test', targetObjectives: [Objectives.Home], seed: 7, priority: -3, allocationPercentage: 12.5,
     cellToModel: {control: {name: 'base'}, treatment: {name: 'new'}},
     cellParameters: {treatment: {depth: 9}, parameters_only: {depth: 5}}})js");
  ASSERT_EQ(rule_set.experiments_size(), 1);
  const v1::Experiment& experiment = rule_set.experiments(0);
  EXPECT_EQ(experiment.id(), "spring-test");
  EXPECT_EQ(experiment.seed(), "7");
  EXPECT_EQ(experiment.priority(), -3);
  EXPECT_EQ(experiment.allocation_ppm(), 125'000U);
  ASSERT_EQ(experiment.cells_size(), 3);
  EXPECT_EQ(experiment.cells(0).weight_ppm(), 333'334U);
  EXPECT_EQ(experiment.cells(1).weight_ppm(), 333'333U);
  EXPECT_EQ(experiment.cells(2).name(), "parameters_only");
  EXPECT_FALSE(experiment.cells(2).has_model());
  EXPECT_EQ(experiment.cells(1).parameters().at("depth"), "9");
}

TEST(ExperimentRule, WeightsBecomePartsPerMillionThatAddUp) {
  EXPECT_THAT(WeightsAsPpm({0.5, 0.3, 0.2}), ElementsAre(500'000U, 300'000U, 200'000U));
  EXPECT_THAT(WeightsAsPpm({0.1, 0.2, 0.7}), ElementsAre(100'000U, 200'000U, 700'000U));
  EXPECT_THAT(WeightsAsPpm({1.0 / 3, 1.0 / 3, 1.0 / 3}), ElementsAre(333'334U, 333'333U, 333'333U));
  EXPECT_THAT(WeightsAsPpm({0.0000015, 0.9999985}), ElementsAre(2U, 999'998U));
  EXPECT_THAT(WeightsAsPpm({1, 0}), ElementsAre(1'000'000U, 0U));
  for (size_t cells = 1; cells <= 1000; ++cells) {
    const std::vector<uint32_t> ppm = WeightsAsPpm(std::vector<double>(cells, 1.0 / static_cast<double>(cells)));
    uint64_t sum = 0;
    for (const uint32_t part : ppm) sum += part;
    ASSERT_EQ(sum, 1'000'000U) << cells;
    ASSERT_LE(ppm.front() - ppm.back(), 1U) << cells;
  }
}

TEST(ExperimentRule, EveryMistakeHasItsPlace) {
  struct Case {
    std::string rest;
    std::string problem;
  };
  const Case cases[] = {
      {"cellToModel: {}", "rules.js:2:50: experiment 1: cellToModel: has no cells, expected at least one"},
      {"cellToModel: 5",
       "rules.js:2:50: experiment 1: cellToModel: expected an object of cells: {1: {name: '...'}, 2: {name: '...'}}, "
       "got the number 5"},
      {"",
       "rules.js:2:1: experiment 1: cellToModel: is missing, expected an object of cells: {1: {name: '...'}, 2: {name: "
       "'...'}}"},
      {"cellToModel: {1: {name: 'a'}}, cellWeights: {1: -1}",
       "rules.js:2:95: experiment 1: cellWeights.1: expected a weight from 0 to 1, got the number -1"},
      {"cellToModel: {1: {name: 'a'}}, cellWeights: {1: 1e300}",
       "rules.js:2:95: experiment 1: cellWeights.1: expected a weight from 0 to 1, got the number 1e+300"},
      {"cellToModel: {1: {name: 'a'}}, cellWeights: {1: NaN}",
       "rules.js:2:95: experiment 1: cellWeights.1: expected a weight from 0 to 1, got the number NaN"},
      {"cellToModel: {1: {name: 'a'}}, cellWeights: {1: '1'}",
       "rules.js:2:95: experiment 1: cellWeights.1: expected a weight from 0 to 1, got the text \"1\""},
      {"cellToModel: {1: {name: 'a'}, 2: {name: 'b'}}, cellWeights: {1: 1}",
       "rules.js:2:97: experiment 1: cellWeights.2: is missing, expected a weight from 0 to 1"},
      {"cellToModel: {a1: {name: 'a'}, a2: {name: 'b'}}, cellWeights: {a1: 0.5, a2: 0.5, a3: 0}",
       "rules.js:2:131: experiment 1: cellWeights.a3: there is no such cell; the cells are a1, a2"},
      {"cellToModel: {1: {name: 'a'}}, cellWeights: 1",
       "rules.js:2:81: experiment 1: cellWeights: expected an object of weights: {1: 0.5, 2: 0.5}, got the number 1"},
      {"cellToModel: {1: {name: 'a'}}, allocationPercentage: 0",
       "rules.js:2:81: experiment 1: allocationPercentage: expected a percentage from 0.0001 to 100, got the number 0"},
      {"cellToModel: {1: {name: 'a'}}, allocationPercentage: 101",
       "rules.js:2:81: experiment 1: allocationPercentage: expected a percentage from 0.0001 to 100, got the number "
       "101"},
      {"cellToModel: {1: {name: 'a'}}, allocationPercentage: 12.34567",
       "rules.js:2:81: experiment 1: allocationPercentage: expected at most four decimals (one user in a million), got "
       "12.34567"},
      {"cellToModel: {1: {name: 'a'}}, priority: 0.5",
       "rules.js:2:81: experiment 1: priority: expected a whole number, got the number 0.5"},
      {"cellToModel: {1: {name: 'a'}}, seed: {}",
       "rules.js:2:81: experiment 1: seed: expected a text of 1 to 200 letters, digits, '.', '_' and '-', or a whole "
       "number, got an object"},
      {"cellToModel: {1: {name: 'a'}}, modelType: 'A B'",
       "rules.js:2:81: experiment 1: modelType: expected 1 to 200 letters, digits, '.', '_' and '-', got the text \"A "
       "B\""},
      {"cellToModel: {1: () => 1}",
       "rules.js:2:64: experiment 1: cellToModel.1: expected a model: {name: '...', version: '...'}, got a function"},
      {"cellToModel: {1: null}",
       "rules.js:2:64: experiment 1: cellToModel.1: is missing, expected a model: {name: '...', version: '...'}"},
      {"cellToModel: {'a b': {name: 'a'}}",
       "rules.js:2:64: experiment 1: cellToModel.a b: expected a cell's name of 1 to 200 letters, digits, '.', '_' and "
       "'-'"},
      {"cellToModel: {1: {name: 'a', version: 1.5}}",
       "rules.js:2:79: experiment 1: cellToModel.1.version: expected a text of 1 to 200 letters, digits, '.', '_' and "
       "'-', or a whole number, got the number 1.5"},
      {"cellToModel: {1: {name: 'a'}}, cellsToModel: {}",
       "rules.js:2:81: experiment 1: unknown key \"cellsToModel\", did you mean \"cellToModel\"?"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Wrong(Experiment(one.rest)), ElementsAre(one.problem)) << one.rest;
  }
}

TEST(Rules, WhatIsNoRuleIsRefused) {
  struct Case {
    std::string rule;
    std::string problem;
  };
  const Case cases[] = {
      {"5", "rules.js:2:1: export default[1]: expected a rule, got the number 5"},
      {"'text'", "rules.js:2:1: export default[1]: expected a rule, got the text \"text\""},
      {"null", "rules.js:2:1: export default[1]: expected a rule, got nothing (undefined or null)"},
      {"NaN", "rules.js:2:1: export default[1]: expected a rule, got the number NaN"},
      {"new Map()", "rules.js:2:1: export default[1]: expected a rule, got a Map"},
      {"[]", "rules.js:2:1: export default[1]: expected a rule, got an array"},
      {"{}",
       "rules.js:2:1: export default[1]: no kind of rule: expected a key objective (an Objective), abTestId (an "
       "experiment), "
       "trafficShiftId (a traffic shift), contextRuleId (a context rule), layerId (a layer), holdoutId (a holdout), "
       "shadowId (a shadow), ensembleId (an ensemble), overrideId (an override), policyId (a policy) or fallbackModels "
       "(fallbacks); its keys are none"},
      {"{abTestID: 7}",
       "rules.js:2:1: export default[1]: no kind of rule: expected a key objective (an Objective), abTestId (an "
       "experiment), "
       "trafficShiftId (a traffic shift), contextRuleId (a context rule), layerId (a layer), holdoutId (a holdout), "
       "shadowId (a shadow), ensembleId (an ensemble), overrideId (an override), policyId (a policy) or fallbackModels "
       "(fallbacks); its keys are abTestID, did you "
       "mean \"abTestId\"?"},
      {"() => () => 1", "rules.js:2:1: export default[1]: expected a rule, got a function"},
      {"(() => { const a = {objective: Objectives.A}; a.defaultModel = a; return a; })()",
       "rules.js:2:2: export default[1]: Error: a value is nested more than 64 levels deep (does it contain itself?)"},
      {"{objective: 'Home', defaultModel: {name: 'm'}}",
       "rules.js:2:2: export default[1]: objective: expected Objectives.Home (without quotes), got the text \"Home\""},
      {"{objective: Objectives['no name'], defaultModel: {name: 'm'}}",
       "rules.js:2:2: export default[1]: objective: expected an Objective's name of 1 to 200 letters, digits and '_' "
       "that starts with a letter, got \"no name\""},
      {"{objective: [Objectives.A, Objectives.B], defaultModel: {name: 'm'}}",
       "rules.js:2:2: export default[1]: objective: expected one Objectives.Name, got an array"},
      {"{objective: Objectives.A, defaultModel: 'm'}",
       "rules.js:2:27: Objective A: defaultModel: expected a model: {name: '...', version: '...'}, got the text \"m\""},
      {"{objective: Objectives.A, defaultModel: {name: constants.TITEL_INPUT_TYPE}}",
       "rules.js:2:42: Error: constants.TITEL_INPUT_TYPE does not exist, did you mean \"TITLE_INPUT_TYPE\"?"},
      {"(Objectives.A = 5)", "rules.js:2:2: Error: Objectives and constants cannot be changed; they can only be read"},
      {"{trafficShiftId: -1, targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: 5}",
       "rules.js:2:2: export default[1]: trafficShiftId: expected a text of 1 to 200 letters, digits, '.', '_' and "
       "'-', or a whole number, got the number -1"},
      {"{trafficShiftId: 's', targetObjectives: [], toModel: {name: 'm'}, percentage: 5}",
       "rules.js:2:23: traffic shift s: targetObjectives: is an empty array, expected at least one Objectives.Name"},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: 100.1}",
       "rules.js:2:80: traffic shift s: percentage: expected a percentage from 0 to 100, got the number 100.1"},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: '5'}",
       "rules.js:2:80: traffic shift s: percentage: expected a percentage from 0 to 100, got the text \"5\""},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: Infinity}",
       "rules.js:2:80: traffic shift s: percentage: expected a percentage from 0 to 100, got the number Infinity"},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'base'}, percentage: 5}",
       "rules.js:2:1: traffic shift s would move nobody: base is the default model of Objective Home already, at "
       "rules.js:1:17"},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, fromModel: {name: 'old'}, toModel: {name: 'm'}, "
       "percentage: 5}",
       "rules.js:2:1: traffic shift s would move nobody: it shifts from old, but the default model of Objective Home "
       "at rules.js:1:17 is base"},
      {"{fallbackModels: [{name: 'a'}, {name: 'a'}], targetObjectives: Objectives.Home}",
       "rules.js:2:32: fallbacks (export default[1]): fallbackModels[1]: stands in the list already"},
      {"{fallbackModels: [{name: 'a'}], targetObjectives: [Objectives.Home, Objectives.Home]}",
       "rules.js:2:69: fallbacks (export default[1]): targetObjectives[1]: names Objective Home twice"},
      {"{fallbackModels: [], targetObjectives: Objectives.Elsewhere}",
       "rules.js:2:22: fallbacks: Objective Elsewhere does not exist; declared are Home. Declare it with a rule "
       "{objective: Objectives.Elsewhere, defaultModel: {name: '...'}}"},
  };
  for (const Case& one : cases) EXPECT_THAT(Wrong(one.rule), ElementsAre(one.problem)) << one.rule;
}

TEST(Rules, HugeOnesAreRefusedSoon) {
  const std::string many_keys = "Object.fromEntries(Array.from({length: 50000}, (_, i) => ['k' + i, {name: 'm'}]))";
  const std::string cases[] = {
      many_keys,
      Experiment("cellToModel: " + many_keys),
      Experiment("cellToModel: {1: {name: 'a'}}, cellWeights: " + many_keys),
      Experiment("cellParameters: {1: " + many_keys + "}"),
      "{trafficShiftId: 's', targetObjectives: Array.from({length: 50000}, (_, i) => Objectives['O' + i]), toModel: "
      "{name: 'm'}, percentage: 1}",
      "...Array.from({length: 5000}, (_, i) => ({objective: Objectives['Name' + i], defaultModel: {name: 'm'}})),"
      "...Array.from({length: 5000}, (_, i) => ({fallbackModels: [], targetObjectives: Objectives['Nome' + i + 'x']}))",
      "...Array.from({length: 60}, (_, i) => ({objective: Objectives['N' + i], defaultModel: {name: 'm'}})),"
      "...Array.from({length: 40}, (_, i) => ({abTestId: i, targetObjectives: Array.from({length: 60}, (_, i) => "
      "Objectives['N' + i]), cellToModel: Object.fromEntries(Array.from({length: 100}, (_, i) => [i, {name: 'm'}]))}))",
  };
  for (const std::string& rules : cases) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(Wrong(rules).empty()) << rules;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << rules;
  }
}

TEST(Rules, TooMuchOfThemIsToldOnceForTheWholeSet) {
  struct Case {
    std::string rest;
    std::string problem;
  };
  // Each rule alone is within the limits of what is copied.
  const Case cases[] = {
      {"parameters: {a: text, b: text, c: text, d: text, e: text}", "more than 16 MiB of text in one rule set"},
      {"fallbackModels: numbers", "more than 500000 values in one rule set"},
  };
  for (const Case& one : cases) {
    const std::vector<SourceFile> files = {
        {"a.js",
         "const text = 'x'.repeat(65536); const numbers = Array.from({length: 5000}, () => 1);\n"
         "const defineManyRules = () => Array.from({length: 150}, (_, i) => ({objective: Objectives['O' + i], "
         "defaultModel: {name: 'm'}, " +
             one.rest + "}));"},
        {"b.js", "export default [{objective: Objectives.Last, defaultModel: {name: 'm'}, fallbackModels: [1, 2]}]"}};
    const std::vector<std::string> problems = Problems(files);
    const auto told = std::count_if(problems.begin(), problems.end(), [&one](const std::string& problem) {
      return problem.find(one.problem) != std::string::npos;
    });
    EXPECT_EQ(told, 1) << fmt::format("{}", fmt::join(problems, "\n")).substr(0, 2000);
  }
}

TEST(Rules, ContradictionsNameBothPlaces) {
  struct Case {
    std::string rules;
    std::string problem;
  };
  const Case cases[] = {
      {"{objective: Objectives.Home, defaultModel: {name: 'other'}}",
       "rules.js:2:1: Objective Home has two default models, other here and base at rules.js:1:17; remove one of the "
       "two rules"},
      {Experiment("cellToModel: {1: {name: 'a'}}") + ",\n" + Experiment("cellToModel: {1: {name: 'b'}}"),
       "rules.js:3:1: experiment 1 is declared twice, first at rules.js:2:1; give one of them another abTestId"},
      {Experiment("cellParameters: {1: {depth: 1}}, allocationPercentage: 50") +
           ",\n{abTestId: 2, targetObjectives: Objectives.Home, cellParameters: {1: {depth: 2}}, layer: 'other'},\n"
           "{layerId: 'other'}",
       "rules.js:3:1: experiment 2 sets parameter depth of Objective Home, and so does experiment 1 at rules.js:2:1; "
       "both may apply to one request, so only one may, or put both into one layer"},
      {"{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'a'}, percentage: 5},\n"
       "{trafficShiftId: 't', targetObjectives: Objectives.Home, toModel: {name: 'b'}, percentage: 5}",
       "rules.js:3:1: Objective Home has two traffic shifts, t here and s at rules.js:2:1; one is allowed, or a "
       "`when` for one of the two"},
      {"{fallbackModels: [{name: 'a'}], targetObjectives: Objectives.Home},\n"
       "{fallbackModels: [{name: 'b'}], targetObjectives: Objectives.Home}",
       "rules.js:3:1: Objective Home has two lists of fallback models, here and at rules.js:2:1; write one list"},
      {"{objective: Objectives.Other, defaultModel: {name: 'm'}, modelInputType: 'TEXT'},\n"
       "{abTestId: 1, targetObjectives: Objectives.Other, cellToModel: {1: {name: 'a'}}, modelInputType: 'IMAGE'}",
       "rules.js:3:1: experiment 1: modelInputType is IMAGE, but Objective Other at rules.js:2:1 has TEXT; both must "
       "be the same"},
  };
  for (const Case& one : cases) EXPECT_THAT(Wrong(one.rules), ElementsAre(one.problem)) << one.rules;
}

TEST(Rules, OnesThatNobodyCanReachAreRefused) {
  const std::string everybody = Experiment("cellToModel: {1: {name: 'a'}, 2: {name: 'b'}}");
  const std::string later = "{abTestId: 2, targetObjectives: Objectives.Home, cellToModel: {1: {name: 'c'}}";
  const std::string shift =
      "{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'd'}, percentage: 5}";
  EXPECT_THAT(Wrong(everybody + ",\n" + later + "}"),
              ElementsAre("rules.js:3:1: experiment 2 can never be reached for Objective Home: experiment 1 at "
                          "rules.js:2:1 is asked before it and takes everybody; lower that one's allocationPercentage "
                          "or remove one of the two"));
  // Priority goes before declaration.
  EXPECT_THAT(
      Wrong(later + ", allocationPercentage: 1},\n" + Experiment("cellToModel: {1: {name: 'a'}}, priority: -1")),
      ElementsAre(StartsWith("rules.js:2:1: experiment 2 can never be reached for Objective Home: experiment 1 "
                             "at rules.js:3:1 is asked before it")));
  EXPECT_THAT(Wrong(shift + ",\n" + everybody),
              ElementsAre("rules.js:2:1: traffic shift s can never be reached for Objective Home: experiment 1 at "
                          "rules.js:3:1 is asked before it, takes everybody, and all of its cells have models; lower "
                          "that one's allocationPercentage or remove one of the two"));
  // Cells of no weight are nobody's.
  EXPECT_THAT(Wrong(shift + ",\n" +
                    Experiment("cellToModel: {1: {name: 'a'}}, cellParameters: {2: {depth: 1}}, "
                               "cellWeights: {1: 1, 2: 0}")),
              ElementsAre(StartsWith("rules.js:2:1: traffic shift s can never be reached")));
}

TEST(Rules, OnesThatSomebodyCanReachAreFine) {
  const std::string shift =
      "{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'd'}, percentage: 5}";
  const std::string other = "{objective: Objectives.Other, defaultModel: {name: 'base'}},\n";
  const std::string cases[] = {
      Experiment("cellToModel: {1: {name: 'a'}}, allocationPercentage: 99.9999") + ",\n" + shift,
      Experiment("cellToModel: {1: {name: 'a'}}, cellParameters: {2: {depth: 1}}") + ",\n" + shift,
      // Asked last, it may take everybody who is left.
      Experiment("cellToModel: {1: {name: 'a'}}, priority: 1") +
          ",\n{abTestId: 2, targetObjectives: Objectives.Home, cellToModel: {1: {name: 'c'}}, allocationPercentage: "
          "50}",
      other + Experiment("cellToModel: {1: {name: 'a'}}") +
          ",\n{abTestId: 2, targetObjectives: Objectives.Other, cellToModel: {1: {name: 'c'}}}",
  };
  for (const std::string& rules : cases) EXPECT_THAT(Wrong(rules), IsEmpty()) << rules;
}

}  // namespace
}  // namespace signalbox::rules
