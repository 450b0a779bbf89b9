// What the rules of a snapshot may not say, wherever the snapshot comes from: one case for each check of each kind.
#include "decide/rule_checks.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Beside what every case may refer to. The case's own rule stands at r.js:1:2.
std::string ProblemsWith(const std::string& rule) {
  v1::Snapshot proto = ParseSnapshot(fmt::format(
      "rule_sets {{ rule_set {{ namespace: 'team'"
      " objectives {{ name: 'Home' default_model {{ name: 'm' }} }}"
      " policies {{ name: 'strict' }} layers {{ id: 'ranking' unit: 'account' }}"
      " ensembles {{ name: 'mix' mode: MEAN members {{ model {{ name: 'a' }} }} members {{ model {{ name: 'b' }} }} }}"
      " {} }} }}",
      rule));
  return std::string(Message(Snapshot::Compile(std::move(proto)).status()));
}

struct Case {
  std::string rule;
  // Behind "r.js:1:2: KIND ID: "; empty: is accepted.
  std::string problem;
};

// Each with `head` as the beginning of its rule.
void Check(const std::string& kind, const std::string& head, const std::string& subject,
           const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    const std::string rule =
        fmt::format("{} {{ {} {} source {{ file: 'r.js' line: 1 column: 2 }} }}", kind, head, each.rule);
    SCOPED_TRACE(rule.substr(0, 300));
    if (each.problem.empty())
      EXPECT_THAT(ProblemsWith(rule), IsEmpty());
    else
      EXPECT_THAT(ProblemsWith(rule), HasSubstr(fmt::format("r.js:1:2: {}{}", subject, each.problem)));
  }
}

std::string Repeated(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += fmt::format(fmt::runtime(text), i) + " ";
  return all;
}

TEST(RuleChecks, RefuseOverrides) {
  const std::string to_home = "objectives: 'Home' ";
  Check("overrides", "", "override ",
        {{"id: 'o'" + to_home + "users: 'alice'", ""},
         {"id: 'o'" + to_home + "tenants: 'qa' models { ensemble: 'mix' } models { name: 'm' version: '2' }", ""},
         {to_home + "users: 'alice'", ": has no id, expected one"},
         {"id: 'a b'" + to_home + "users: 'alice'", "a b: not an id, expected 1 to 200 letters"},
         {"id: 'o' users: 'alice'", "o: targets no Objective, expected at least one"},
         {"id: 'o' objectives: 'Home' objectives: 'Home' users: 'alice'", "o: targets Objective Home twice"},
         {"id: 'o' objectives: 'Away' users: 'alice'",
          "o: targets Objective Away, which namespace team does not declare; it declares Home"},
         {"id: 'o'" + to_home, "o: names no callers, expected a tenant or a user at least"},
         {"id: 'o'" + to_home + "users: 'alice' models { name: 'a b' }", "o: model \"a b\": not a model"},
         {"id: 'o'" + to_home + "users: 'alice' models {}", "o: model \"\": not a model"},
         {"id: 'o'" + to_home + "users: 'alice' models { ensemble: 'mxi' }",
          "o: model: ensemble mxi is not declared in namespace team"},
         {"id: 'o'" + to_home + "users: 'alice' models { ensemble: 'mix' name: 'm' }",
          "o: model ensemble:mix: names a model and an ensemble, expected one of them"}});
  EXPECT_THAT(ProblemsWith("overrides { id: 'o' objectives: 'Home' users: 'a' } "
                           "overrides { id: 'o' objectives: 'Home' users: 'b' }"),
              HasSubstr("override o: declared twice in namespace team"));
  const std::string many = "overrides {{ id: 'o{}' objectives: 'Home' users: 'a' }}";
  EXPECT_THAT(ProblemsWith(Repeated(100, many)), IsEmpty());
  EXPECT_THAT(ProblemsWith(Repeated(101, many)), HasSubstr("has 101 overrides, expected at most 100"));
}

TEST(RuleChecks, RefusePoliciesAndTheirUse) {
  const std::string big(65537, 'x');
  Check("policies", "name: 'p' ", "policy p: ",
        {{"limits { requests_per_second: 0.5 burst: 1 priority: HIGH } static_answer { message: 'x' }", ""},
         {"limits { requests_per_second: -1 }", "-1 requests per second, expected 0 or more"},
         {"limits { requests_per_second: nan }", "nan requests per second, expected 0 or more"},
         {"limits { requests_per_second: inf }", "inf requests per second, expected 0 or more"},
         {"limits { concurrent_requests: 1 adaptive_concurrency {} }",
          "a number of concurrent requests beside an adaptive one, expected one of the two"},
         {"limits { adaptive_concurrency { min: 1 max: 1 } }", ""},
         {"limits { adaptive_concurrency { min: 2 max: 1 } }", "adaptive concurrency from 2 to 1, expected min <= max"},
         {"deadlines { total_ms: -1 }", "a time of -1 ms, expected 0 to 3600000 ms"},
         {"retries { backoff_max_ms: 3600001 }", "a time of 3600001 ms"},
         {"retries { tries: 10 idempotent: true budget_ppm: 1000000 }", ""},
         {"retries { tries: 11 }", "11 tries, expected at most 10"},
         {"retries { budget_ppm: 1000001 }", "a retry budget of 1000001 ppm, expected at most 1000000"},
         {"hedging {}", "hedging after the percentile 0 ppm, expected 1 to 999999"},
         {"hedging { percentile_ppm: 1000000 }", "hedging after the percentile 1000000 ppm"},
         {"affinity { unit: 'account' load_bound_percent: 101 }", ""},
         {"affinity {}", "affinity without a unit, expected the name of a field"},
         {"affinity { unit: 'segments' }", "its unit is segments"},
         {"affinity { unit: 'user' load_bound_percent: 100 }", "a load bound of 100 %, expected more than 100"},
         {Repeated(9, "fallback_models {{ name: 'm{}' }}"), "9 fallback models, expected at most 8"},
         {"fallback_models { ensemble: 'mix' }",
          "fallback model ensemble:mix: is an ensemble, expected a model of its own"},
         {"static_answer { message: '" + big.substr(1) + "' }", ""},
         {"static_answer { message: '" + big + "' }", "a static answer of 65537 bytes, expected at most 65536"}});
  EXPECT_THAT(ProblemsWith("policies { name: 'strict' }"), HasSubstr("policy strict: declared twice"));
  EXPECT_THAT(ProblemsWith("objectives { name: 'Away' default_model { name: 'm' } policy: 'strct' }"),
              HasSubstr("Objective Away: policy strct is not declared in namespace team"));
  Check("context_rules", "id: 'c' objectives: 'Home' ", "context rule c: ",
        {{"policy: 'strict'", ""},
         {"model { ensemble: 'mix' } condition { all {} }", ""},
         {"", "says nothing, expected a model, a policy or parameters"},
         {"policy: 'strct'", "policy strct is not declared in namespace team"},
         {"parameters { key: 'sb_x' value: '1' }", "parameter sb_x: names that begin with sb_ belong to signalbox"},
         {"policy: 'strict' condition { field { field: 'country' } }", "condition: country: asks nothing"},
         {"policy: 'strict' condition { field { field: 'country' regex: '(' } }", "condition: "}});
}

TEST(RuleChecks, RefuseEnsembles) {
  const std::string two = "members { model { name: 'a' } } members { model { name: 'b' } } ";
  Check("ensembles", "name: 'e' ", "ensemble e: ",
        {{"mode: FIRST min_members: 2 " + two, ""},
         {"mode: WEIGHTED members { model { name: 'a' } weight: 0.9 } members { model { name: 'b' } weight: 0.1 }", ""},
         {two, "has no mode, expected FIRST, MEAN, WEIGHTED or ALL"},
         {"mode: 7 " + two, "has no mode, expected FIRST, MEAN, WEIGHTED or ALL"},
         {"mode: ALL members { model { name: 'a' } }", "1 members, expected 2 to 16"},
         {"mode: ALL " + Repeated(17, "members {{ model {{ name: 'a{}' }} }}"), "17 members, expected 2 to 16"},
         {"mode: ALL min_members: 3 " + two, "3 members have to answer, but it has 2"},
         {"mode: ALL members { model { name: 'a' } } members { model { name: 'a' } }", "has the member a twice"},
         {"mode: ALL " + two + "members { model { ensemble: 'mix' } }",
          "member ensemble:mix: is an ensemble, expected a model of its own"},
         {"mode: WEIGHTED members { model { name: 'a' } weight: 1 } members { model { name: 'b' } }",
          "member b has the weight 0, expected more than 0"},
         {"mode: WEIGHTED members { model { name: 'a' } weight: nan } members { model { name: 'b' } weight: 1 }",
          "member a has the weight nan, expected more than 0"},
         {"mode: WEIGHTED members { model { name: 'a' } weight: 0.5 } members { model { name: 'b' } weight: 0.6 }",
          "the weights of its members add up to 1.1, expected 1"}});
  EXPECT_THAT(ProblemsWith("ensembles { name: 'mix' mode: ALL " + two + "}"),
              HasSubstr("ensemble mix: declared twice in namespace team"));
  EXPECT_THAT(ProblemsWith("objectives { name: 'Away' default_model { ensemble: 'x' } }"),
              HasSubstr("Objective Away: default model: ensemble x is not declared in namespace team"));
}

TEST(RuleChecks, RefuseLayersAndHoldouts) {
  Check("layers", "id: 'l' ", "layer l: ",
        {{"unit: 'account' unit: 'user' hash_version: 1", ""},
         {"hash_version: 3", "hash version 3, expected 0 (signalbox's own), 1 or 2 (GrowthBook's)"},
         {Repeated(9, "unit: 'u{}'"), "a unit of 9 fields, expected at most 8"},
         {"unit: ''", "a field of its unit has no name"},
         {"unit: 'segments'", "its unit is segments, expected a field with one value"}});
  EXPECT_THAT(ProblemsWith("layers { id: 'ranking' }"), HasSubstr("layer ranking: declared twice"));
  Check("holdouts", "id: 'h' ", "holdout h: ",
        {{"share_ppm: 1000000 layers: 'ranking'", ""},
         {"share_ppm: 1000001", "share is 1000001 ppm, expected 0 to 1000000"},
         {"layers: 'search'", "layer search is not declared in namespace team"},
         {"unit: 'segments'", "its unit is segments"},
         {"condition { field { field: 'age' number { min: nan } } }", "condition: "}});
}

TEST(RuleChecks, RefuseExperimentsInLayersAndOutside) {
  const std::string cells = "cells { name: '1' weight_ppm: 500000 } cells { name: '2' weight_ppm: 500000 } ";
  const std::string remote = "remote {{ platform: 'p' ttl_ms: {} deadline_ms: {} {} }}";
  Check("experiments", "id: '1' objectives: 'Home' allocation_ppm: 1000000 " + cells, "experiment 1: ",
        {{"layer: 'ranking' unit: 'account' layer_end_ppm: 1000000", ""},
         {"layer: 'search' layer_end_ppm: 1", "layer search is not declared in namespace team"},
         {"layer: 'ranking' unit: 'user' layer_end_ppm: 1",
          "its unit is user, but that of its layer ranking is account; expected the same"},
         {"layer: 'ranking' unit: 'account' layer_begin_ppm: 5 layer_end_ppm: 5",
          "range 5 to 5 ppm of layer ranking, expected 0 to 1000000, and to begin before its end"},
         {"layer: 'ranking' unit: 'account' layer_end_ppm: 1000001", "range 0 to 1000001 ppm of layer ranking"},
         {"layer_end_ppm: 5", "has a range of a layer, but names no layer"},
         {"start_unix_ms: 5 end_unix_ms: 6", ""},
         {"start_unix_ms: 5 end_unix_ms: 5", "ends before it starts"},
         {"start_unix_ms: -5", "ends before it starts"},
         {"forced_cells { key: 'u' value: '3' }", "forces u into cell 3, which it does not have"},
         {"hash_version: 9", "hash version 9, expected 0"},
         {fmt::format(fmt::runtime(remote), 1000, 1, "fallback: CELL fallback_cell: '2'"), ""},
         {fmt::format(fmt::runtime(remote), 999, 1, ""), "remote allocation lives 999 ms, expected 1000 to 86400000"},
         {fmt::format(fmt::runtime(remote), 86'400'001, 1, ""), "remote allocation lives 86400001 ms"},
         {fmt::format(fmt::runtime(remote), 1000, 0, ""), "remote allocation has 0 ms, expected 1 to 10000"},
         {fmt::format(fmt::runtime(remote), 1000, 10'001, ""), "remote allocation has 10001 ms, expected 1 to 10000"},
         {fmt::format(fmt::runtime(remote), 1000, 1, "fallback: CELL fallback_cell: '3'"),
          "falls back to cell 3, which it does not have"},
         {"remote { ttl_ms: 1000 deadline_ms: 1 }", "its remote allocation names no platform, expected one"}});
  const auto in_layer = [&](int id, int begin, int end) {
    return fmt::format(
        "experiments {{ id: '{}' objectives: 'Home' allocation_ppm: 1000000 {} layer: 'ranking' unit: 'account' "
        "layer_begin_ppm: {} layer_end_ppm: {} }} ",
        id, cells, begin, end);
  };
  EXPECT_THAT(ProblemsWith(in_layer(1, 0, 300) + in_layer(2, 300, 400)), IsEmpty());
  EXPECT_THAT(
      ProblemsWith(in_layer(1, 0, 301) + in_layer(2, 300, 400)),
      HasSubstr("experiment 2: has 300 to 400 ppm of layer ranking, of which experiment 1 at namespace team has "
                "0 to 301; expected ranges of their own"));
  EXPECT_THAT(ProblemsWith(in_layer(1, 0, 900) + in_layer(2, 10, 20) + in_layer(3, 800, 999)),
              HasSubstr("experiment 3: has 800 to 999 ppm of layer ranking, of which experiment 1"));
}

TEST(RuleChecks, RefuseShiftsAndShadows) {
  Check("traffic_shifts", "id: 's' objectives: 'Home' to { name: 'n' } ", "traffic shift s: ",
        {{"schedule { start_unix_ms: 1 steps { share_ppm: 1 hold_ms: 1 } steps { share_ppm: 2 } }", ""},
         {"schedule { steps { share_ppm: 1 } }", "its schedule has no start, expected one"},
         {"schedule { start_unix_ms: 1 }", "0 steps, expected 1 to 100"},
         {"schedule { start_unix_ms: 1 " + Repeated(101, "steps {{ share_ppm: {} hold_ms: 1 }}") + "}",
          "101 steps, expected 1 to 100"},
         {"schedule { start_unix_ms: 1 steps { share_ppm: 1 } steps { share_ppm: 2 } }",
          "step 1: is held for 0 ms, expected more than 0"},
         {"schedule { start_unix_ms: 1 steps { share_ppm: 1 hold_ms: -1 } }", "step 1: is held for -1 ms"},
         {"schedule { start_unix_ms: 1 steps { share_ppm: 1000001 } }", "step 1: share is 1000001 ppm"},
         {"from { ensemble: 'x' }", "the model that it shifts from: ensemble x is not declared"}});
  Check("shadows", "id: 'x' objectives: 'Home' ", "shadow x: ",
        {{"model { name: 'n' } comparison { numeric { absolute: 0 relative: 0.5 } }", ""},
         {"model { ensemble: 'mix' }", "model ensemble:mix: is an ensemble, expected a model of its own"},
         {"model { name: 'n' } share_ppm: 1000001", "share is 1000001 ppm"},
         {"model { name: 'n' } comparison { numeric { absolute: -1 } }", "a tolerance is not a number of 0 or more"},
         {"model { name: 'n' } comparison { numeric { relative: nan } }", "a tolerance is not a number of 0 or more"},
         {"model { name: 'n' } comparison { rank { min: 1.5 } }", "a rank correlation of 1.5, expected -1 to 1"},
         {"model { name: 'n' } comparison { rank { min: nan } }", "a rank correlation of nan, expected -1 to 1"}});
  const std::string many = "shadows {{ id: 'x{}' objectives: 'Home' model {{ name: 'n' }} }}";
  EXPECT_THAT(ProblemsWith(Repeated(8, many)), IsEmpty());
  EXPECT_THAT(ProblemsWith(Repeated(9, many)), HasSubstr("has 9 shadows, expected at most 8"));
}

TEST(RuleChecks, RefuseTrafficThatNoShareIs) {
  v1::Snapshot proto = ExampleSnapshot();
  auto& traffic = *proto.mutable_rule_sets(0)->mutable_traffic();
  traffic.add_shifts()->set_shift("ranker-canary");
  traffic.mutable_shifts(0)->set_share_ppm(1'000'001);
  EXPECT_THAT(std::string(Message(Snapshot::Compile(proto).status())),
              HasSubstr("namespace home: traffic of ranker-canary: share is 1000001 ppm, expected 0 to 1000000"));
}

}  // namespace
}  // namespace signalbox::decide
