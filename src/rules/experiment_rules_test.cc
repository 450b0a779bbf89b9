// Who takes part in an experiment: conditions, units, layers, holdouts, times, forced cells, remote allocation.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/canonical_json.h"
#include "base/status.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Experiment(const std::string& rest, int id = 1) {
  return fmt::format("{{abTestId: {}, targetObjectives: Objectives.Home, {}}}", id, rest);
}
const std::string kCells = "cellToModel: {1: {name: 'a'}, 2: {name: 'b'}}";
const std::string kParameters = "cellParameters: {1: {depth: 1}, 2: {depth: 2}}";

template <typename Rule>
std::string Json(Rule rule) {
  rule.clear_source();
  return CanonicalJson(rule).value();
}

TEST(ExperimentRule, SaysWhoTakesPartAndWhen) {
  const v1::RuleSet rules = ReadBesideHome(
      Experiment(kParameters +
                 ", when: when.device.is('tv'), unit: ['account', 'user'], layer: 'ranking', layerRange: "
                 "[0, 12.5], start: '2026-01-01T00:00:00Z', end: '2026-02-01T00:00:00+01:00', hashVersion: 2, "
                 "forcedCells: {'u 1': 2, u2: '1'}, remoteAllocation: {platform: 'growthbook', flag: 'f', "
                 "ttlSeconds: 60, deadlineMs: 5, fallback: {cell: 2}}") +
      ",{layerId: 'ranking', unit: ['account', 'user'], seed: 's', hashVersion: 1}");
  EXPECT_EQ(
      Json(rules.experiments(0)),
      R"({"allocation_ppm":1000000,"cells":[{"name":"1","parameters":{"depth":"1"},"weight":0.5,"weight_ppm":500000},)"
      R"({"name":"2","parameters":{"depth":"2"},"weight":0.5,"weight_ppm":500000}],)"
      R"("condition":{"field":{"field":"device","in":{"texts":["tv"]}}},"end_unix_ms":"1769900400000",)"
      R"("forced_cells":{"u 1":"2","u2":"1"},"hash_version":2,"id":"1","layer":"ranking","layer_end_ppm":125000,)"
      R"("objectives":["Home"],"remote":{"deadline_ms":5,"fallback":"CELL","fallback_cell":"2","flag":"f",)"
      R"("platform":"growthbook","ttl_ms":60000},"start_unix_ms":"1767225600000","unit":["account","user"]})");
  EXPECT_EQ(Json(rules.layers(0)), R"({"hash_version":1,"id":"ranking","seed":"s","unit":["account","user"]})");
}

TEST(ExperimentRule, HasTheUnitOfItsLayerWhereItSaysNone) {
  const v1::RuleSet rules = ReadBesideHome(Experiment(kCells + ", layer: 'l'") + ",{layerId: 'l', unit: 'device_id'}");
  EXPECT_THAT(rules.experiments(0).unit(), ElementsAre("device_id"));
  // The user is what is meant when nothing is said.
  EXPECT_THAT(ReadBesideHome(Experiment(kCells + ", unit: 'user'")).experiments(0).unit(), IsEmpty());
  EXPECT_THAT(ReadBesideHome(Experiment(kCells + ", unit: ['user']")).experiments(0).unit(), IsEmpty());
}

TEST(ExperimentRule, EveryMistakeInWhoTakesPartHasItsPlace) {
  struct Case {
    std::string rest;
    std::string problem;
  };
  const Case cases[] = {
      {"unit: 'appVersion '", "unit: there is no such context field, did you mean \"app_version\"?"},
      {"unit: 'segments'", "unit: segments are a list, which cannot be a unit; expected a field with one value"},
      {"unit: []", "unit: has 0 fields, expected 1 to 8"},
      {"unit: ['a', 'a']", "unit[1]: names a twice"},
      {"unit: 5", "unit: expected the name of a context field, such as 'user' or 'account', got the number 5"},
      {"layerRange: [0, 5]", "layerRange: has no meaning without layer; name the layer"},
      {"layer: 'l', layerRange: [5]",
       "layerRange: expected two percentages, where it begins and where it ends: [0, 30], got an array"},
      {"layer: 'l', layerRange: [30, 30]",
       "layerRange: is empty, expected two percentages, where it begins and where it ends: [0, 30]"},
      {"layer: 'l', layerRange: [0, 101]", "layerRange[1]: expected a percentage from 0 to 100, got the number 101"},
      {"layer: 'L'", "layer L does not exist; declared are l. Declare it with a rule {layerId: 'L', ...}"},
      {"start: '2026-01-01'",
       "start: expected a time as text, such as '2026-01-31T18:00:00Z' or "
       "'2026-01-31T18:00:00+01:00', got the text \"2026-01-01\""},
      {"start: '2026-02-30T00:00:00Z'",
       "start: expected a time as text, such as '2026-01-31T18:00:00Z' or "
       "'2026-01-31T18:00:00+01:00', got the text \"2026-02-30T00:00:00Z\""},
      {"start: '2026-02-01T00:00:00Z', end: '2026-01-01T00:00:00Z'",
       "end: is 2026-01-01T00:00:00Z, expected a time after the start, 2026-02-01T00:00:00Z"},
      {"hashVersion: 3", "hashVersion: expected a whole number from 1 to 2, got the number 3"},
      {"forcedCells: {u: '3'}", "forcedCells.u: there is no cell 3; the cells are 1, 2"},
      {"forcedCells: {'': '1'}", "forcedCells.: a unit of 0 bytes, expected 1 to 1000"},
      {"forcedCells: {'a\\u001bb': '1'}", "forcedCells: a unit holds control characters, expected none"},
      {"forcedCells: ['u']", "forcedCells: expected an object of units and their cells: {'user-1': '2'}, got an array"},
      {"forcedCells: Object.fromEntries(Array.from({length: 10001}, (_, i) => ['u' + i, '1']))",
       "forcedCells: has 10001 keys, expected at most 10000"},
      {"remoteAllocation: {}",
       "remoteAllocation.platform: is missing, expected a text of 1 to 200 letters, digits, '.', '_' "
       "and '-', or a whole number"},
      {"remoteAllocation: {platform: 'p', ttlSeconds: 0}",
       "remoteAllocation.ttlSeconds: expected a whole number from 1 to 86400, got the number 0"},
      {"remoteAllocation: {platform: 'p', deadlineMs: 20000}",
       "remoteAllocation.deadlineMs: expected a whole number from 1 to 10000, got the number 20000"},
      {"remoteAllocation: {platform: 'p', fallback: 'cell'}",
       "remoteAllocation.fallback: expected 'hash', 'none' or {cell: '1'}, got the text \"cell\""},
      {"remoteAllocation: {platform: 'p', fallback: {cell: 9}}",
       "remoteAllocation.fallback.cell: there is no cell 9; the cells are 1, 2"},
      {"policy: 'p'", "policy p does not exist; none is declared. Declare it with a rule {policyId: 'p', ...}"},
      {"whne: when.device.is('tv')", "unknown key \"whne\", did you mean \"when\"?"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome(Experiment(kCells + ", " + one.rest) + ",\n{layerId: 'l'}"),
                ElementsAre(HasSubstr("experiment 1: " + one.problem)))
        << one.rest;
  }
}

TEST(ExperimentRule, AMillionCellsAreRefusedSoon) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(ProblemsBesideHome(
                  Experiment("cellToModel: Object.fromEntries(Array.from({length: 1001}, (_, i) => ['c' + i, {name: "
                             "'m'}]))")),
              ElementsAre(HasSubstr("experiment 1: cellToModel: has 1001 keys, expected at most 1000")));
  EXPECT_THAT(ProblemsBesideHome(
                  "(() => { const cells = {}; const m = {name: 'm'}; for (let i = 0; i < 1e6; ++i) cells['c' + i] = m; "
                  "return {abTestId: 1, targetObjectives: Objectives.Home, cellToModel: cells}; })()"),
              ElementsAre(HasSubstr("")));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Layers, HaveNoOverlapAndOneUnit) {
  const auto in_layer = [](int id, const std::string& rest) {
    return Experiment(kCells + ", layer: 'l'" + (rest.empty() ? "" : ", " + rest), id);
  };
  EXPECT_THAT(ProblemsBesideHome(in_layer(1, "layerRange: [0, 30]") + ",\n" + in_layer(2, "layerRange: [30, 100]") +
                                 ",\n{layerId: 'l'}"),
              IsEmpty());
  EXPECT_THAT(
      ProblemsBesideHome(in_layer(1, "layerRange: [20, 50]") + ",\n" + in_layer(2, "layerRange: [0, 20.0001]") +
                         ",\n{layerId: 'l'}"),
      ElementsAre("rules.js:2:1: experiment 1 has 20 % to 50 % of layer l, which overlaps with 0 % to 20.0001 % of "
                  "experiment 2 at rules.js:3:1; give each a layerRange of its own"));
  EXPECT_THAT(ProblemsBesideHome(in_layer(1, "") + ",\n" + in_layer(2, "") + ",\n{layerId: 'l'}"),
              ElementsAre(HasSubstr("experiment 2 has 0 % to 100 % of layer l, which overlaps with 0 % to 100 %")));
  EXPECT_THAT(ProblemsBesideHome(in_layer(1, "unit: 'account'") + ",\n{layerId: 'l'}"),
              ElementsAre("rules.js:2:1: experiment 1 has the unit account, but layer l at rules.js:3:1 has user; all "
                          "experiments of a layer have the layer's"));
  EXPECT_THAT(ProblemsBesideHome("{layerId: 'l'},\n{layerId: 'l'}"),
              ElementsAre("rules.js:3:1: layer l is declared twice, first at rules.js:2:1; give one of them another "
                          "layerId"));
  EXPECT_THAT(ProblemsBesideHome("{layerId: 'l', hashVersion: 2}"),
              ElementsAre("rules.js:2:16: layer l: hashVersion: expected 1, which makes the layer a GrowthBook "
                          "namespace, got the number 2"));
}

TEST(Holdouts, NameLayersThatExist) {
  const v1::RuleSet rules = ReadBesideHome(
      "{holdoutId: 'h', percentage: 5, layers: ['b', 'a'], unit: 'account', when: when.country.is('US')},"
      "{layerId: 'a'}, {layerId: 'b'}");
  EXPECT_EQ(Json(rules.holdouts(0)),
            R"({"condition":{"field":{"field":"country","in":{"texts":["US"]}}},"id":"h","layers":["a","b"],)"
            R"("share_ppm":50000,"unit":["account"]})");
  EXPECT_THAT(ProblemsBesideHome("{holdoutId: 'h', percentage: 5, layers: ['rankin']},\n{layerId: 'ranking'}"),
              ElementsAre("rules.js:2:42: holdout h: layer rankin does not exist, did you mean \"ranking\"?"));
  EXPECT_THAT(
      ProblemsBesideHome("{holdoutId: 'h', percentage: 101}"),
      ElementsAre("rules.js:2:18: holdout h: percentage: expected a percentage from 0 to 100, got the number 101"));
}

// docs/decisions/0007: of one layer one applies, and of those with models one; all others may meet.
TEST(Experiments, ThatMeetDoNotSetTheSameParameter) {
  const std::string layers = ",\n{layerId: 'x'}, {layerId: 'y'}";
  const auto parameters = [](int id, const std::string& layer) {
    return Experiment(kParameters + ", allocationPercentage: 50" + (layer.empty() ? "" : ", layer: '" + layer + "'"),
                      id);
  };
  const auto models = [](int id, const std::string& layer) {
    return Experiment(kCells + ", " + kParameters + ", allocationPercentage: 50, layer: '" + layer + "'", id);
  };
  // Never meet: the default layer, one layer, two with models.
  EXPECT_THAT(ProblemsBesideHome(parameters(1, "") + ",\n" + parameters(2, "") + layers), IsEmpty());
  EXPECT_THAT(ProblemsBesideHome(models(1, "x") + ",\n" + models(2, "y") + layers), IsEmpty());
  // May meet.
  constexpr char kProblem[] =
      "experiment 2 sets parameter depth of Objective Home, and so does experiment 1 at rules.js:2:1";
  EXPECT_THAT(ProblemsBesideHome(parameters(1, "x") + ",\n" + parameters(2, "y") + layers),
              ElementsAre(HasSubstr(kProblem)));
  EXPECT_THAT(ProblemsBesideHome(parameters(1, "") + ",\n" + parameters(2, "y") + layers),
              ElementsAre(HasSubstr(kProblem)));
  EXPECT_THAT(ProblemsBesideHome(models(1, "x") + ",\n" + parameters(2, "y") + layers),
              ElementsAre(HasSubstr(kProblem)));
}

TEST(Experiments, BehindOneThatIsNotForEverybodyCanBeReached) {
  const std::string later = ",\n" + Experiment(kCells, 2);
  for (const std::string& rest :
       {std::string("when: when.device.is('tv')"), std::string("start: '2026-01-01T00:00:00Z'"),
        std::string("end: '2026-01-01T00:00:00Z'"), std::string("unit: 'account'"), std::string("layer: 'l'"),
        std::string("remoteAllocation: {platform: 'p', fallback: 'none'}")}) {
    EXPECT_THAT(ProblemsBesideHome(Experiment(kCells + ", " + rest) + later + ",\n{layerId: 'l'}"), IsEmpty()) << rest;
  }
  EXPECT_THAT(ProblemsBesideHome(Experiment(kCells) + ",\n" + Experiment(kCells + ", forcedCells: {u: 1}", 2)),
              IsEmpty());
  const std::string shift =
      ",\n{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'd'}, percentage: 5}";
  EXPECT_THAT(ProblemsBesideHome(Experiment(kCells) + shift + ",\n{holdoutId: 'h', percentage: 1}"), IsEmpty());
}

TEST(Rules, BehindASpreadArrayHaveTheirPlaces) {
  const std::vector<SourceFile> files = {
      {"more.js", "export const more = [{layerId: 'a'}, {layerId: 'b'}];"},
      {"rules.js",
       "import { more } from './more.js';\nconst local = [\n{objective: Objectives.Home, defaultModel: {name: "
       "'m'}},\n];\n"
       "export default [\n...local,\n{layerId: 'c'},\n...more,\n{layerId: 'd'},\n{holdoutId: 'h', percentage: 1}];"}};
  const auto rule_set = Evaluate("default", files);
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  EXPECT_EQ(rule_set->objectives(0).source().line(), 3U);
  EXPECT_EQ(rule_set->layers(0).source().line(), 7U);
  EXPECT_EQ(rule_set->layers(1).source().line(), 5U);  // the array, where nothing better is known
  EXPECT_EQ(rule_set->layers(3).source().line(), 9U);
  EXPECT_EQ(rule_set->holdouts(0).source().line(), 10U);
}

TEST(Experiments, TooManyOrTooLargeTogetherAreTold) {
  const auto layers = [](int count, const std::string& parameter) {
    return fmt::format(
        "...Array.from({{length: {}}}, (_, i) => ({{layerId: 'l' + i}})),\n"
        "...Array.from({{length: {}}}, (_, i) => ({{abTestId: i, layer: 'l' + i, targetObjectives: Objectives.Home, "
        "cellParameters: {{1: {{['p' + i]: {}}}}}}}))",
        count, count, parameter);
  };
  EXPECT_THAT(ProblemsBesideHome(layers(16, "1")), IsEmpty());
  EXPECT_THAT(ProblemsBesideHome(layers(17, "1")),
              ElementsAre(HasSubstr("Objective Home: has 17 layers of experiments, expected at most 16; put some "
                                    "experiments into one layer")));
  EXPECT_THAT(ProblemsBesideHome(layers(5, "'x'.repeat(1000)")),
              ElementsAre(HasSubstr("Objective Home: what is sent along may take ")));
}

}  // namespace
}  // namespace signalbox::rules
