// Context rules, traffic shifts with schedules, shadows, ensembles, overrides, static answers and policies.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/canonical_json.h"
#include "base/status.h"
#include "inference/open_inference.pb.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <typename Rule>
std::string Json(Rule rule) {
  rule.clear_source();
  return CanonicalJson(rule).value();
}

struct Case {
  std::string rest;
  std::string problem;
};

TEST(ContextRule, SaysAtLeastOneThingUnderACondition) {
  const v1::RuleSet rules = ReadBesideHome(
      "{contextRuleId: 'r', targetObjectives: Objectives.Home, when: when.country.is('US'), model: {ensemble: 'mix'}, "
      "policy: 'p', parameters: {depth: 5}},"
      "{policyId: 'p', limits: {burst: 5}}, {ensembleId: 'mix', mode: 'mean', members: [{name: 'a'}, {name: 'b'}]}");
  EXPECT_EQ(Json(rules.context_rules(0)),
            R"({"condition":{"field":{"field":"country","in":{"texts":["US"]}}},"id":"r","model":{"ensemble":"mix"},)"
            R"("objectives":["Home"],"parameters":{"depth":"5"},"policy":"p"})");
  const Case cases[] = {
      {"when: when.country.is('US')",
       "rules.js:2:1: context rule r: says nothing, expected at least one of model, policy and parameters"},
      {"model: {name: 'm'}",
       "rules.js:2:1: context rule r: when: is missing, expected a condition, such as when.country.is('US'); what "
       "holds "
       "everywhere is said by the Objective"},
      {"when: true, model: {name: 'm'}",
       "rules.js:2:58: context rule r: when: expected a condition, such as when.country.is('US'), got true"},
      {"when: when.country.is('US'), model: {ensemble: 'mxi'}",
       "rules.js:2:95: context rule r: ensemble mxi does not exist, did you mean \"mix\"?"},
      {"when: when.country.is('US'), model: {ensemble: 'mix', name: 'm'}",
       "rules.js:2:87: context rule r: model: unknown key \"name\", expected ensemble"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome("{contextRuleId: 'r', targetObjectives: Objectives.Home, " + one.rest +
                                   "},\n{ensembleId: 'mix', mode: 'mean', members: [{name: 'a'}, {name: 'b'}]}"),
                ElementsAre(HasSubstr(one.problem.substr(one.problem.find("context rule")))))
        << one.rest;
  }
}

std::string Shift(const std::string& rest) {
  return "{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'new'}, " + rest + "}";
}

TEST(TrafficShiftRule, FollowsASchedule) {
  const v1::RuleSet rules = ReadBesideHome(Shift(
      "unit: 'account', when: when.device.is('tv'), schedule: {start: '2026-01-01T00:00:00Z', steps: [{percentage: 1, "
      "hold: '30m'}, {percentage: 10, hold: '2h'}, {percentage: 100}]}"));
  EXPECT_EQ(
      Json(rules.traffic_shifts(0)),
      R"({"condition":{"field":{"field":"device","in":{"texts":["tv"]}}},"id":"s","objectives":["Home"],)"
      R"("schedule":{"start_unix_ms":"1767225600000","steps":[{"hold_ms":"1800000","share_ppm":10000},)"
      R"({"hold_ms":"7200000","share_ppm":100000},{"share_ppm":1000000}]},"to":{"name":"new"},"unit":["account"]})");
  const Case cases[] = {
      {"schedule: {}", "schedule.start: is missing, expected a time as text"},
      {"schedule: {start: '2026-01-01T00:00:00Z', steps: []}", "schedule.steps: has 0 steps, expected 1 to 100"},
      {"schedule: {start: '2026-01-01T00:00:00Z', steps: [{percentage: 1}, {percentage: 2}]}",
       "schedule.steps[0].hold: is missing, expected a duration as text: a whole number and s, m, h or d, such as "
       "'30m' or "
       "'2h'"},
      {"schedule: {start: '2026-01-01T00:00:00Z', steps: [{percentage: 1, hold: '0s'}, {percentage: 2}]}",
       "schedule.steps[0].hold: expected a duration as text"},
      {"schedule: {start: '2026-01-01T00:00:00Z', steps: [{percentage: 1, hold: '1h'}]}",
       "schedule.steps[0].hold: the last step is held for ever; remove it"},
      {"schedule: {start: '2026-01-01T00:00:00Z', steps: [{percentage: 1}]}, percentage: 5",
       "percentage: the schedule says the percentage; remove one of the two"},
  };
  for (const Case& one : cases) {
    const std::vector<std::string> problems = ProblemsBesideHome(Shift(one.rest));
    ASSERT_FALSE(problems.empty()) << one.rest;
    EXPECT_THAT(problems[0], HasSubstr("traffic shift s: " + one.problem)) << one.rest;
  }
}

TEST(TrafficShiftRule, OfSeveralOnlyOneIsForEverybody) {
  const std::string more =
      ",\n{trafficShiftId: 't', targetObjectives: Objectives.Home, toModel: {name: 'm'}, percentage: 5";
  EXPECT_THAT(ProblemsBesideHome(Shift("percentage: 5, when: when.device.is('tv')") + more + "}"), IsEmpty());
  EXPECT_THAT(ProblemsBesideHome(Shift("percentage: 5") + more + "}"),
              ElementsAre(HasSubstr("Objective Home has two traffic shifts")));
}

TEST(ShadowRule, SaysWhatToCompare) {
  const auto shadow = [](const std::string& rest) {
    return "{shadowId: 's', targetObjectives: Objectives.Home, model: {name: 'm'}, sampleRate: 10" + rest + "}";
  };
  EXPECT_EQ(Json(ReadBesideHome(shadow(", compare: 'exact'")).shadows(0)),
            R"({"comparison":{"exact":{}},"id":"s","model":{"name":"m"},"objectives":["Home"],"share_ppm":100000})");
  const v1::Comparison numbers =
      ReadBesideHome(shadow(", compare: {tolerance: 0.5, relative: 0.25}")).shadows(0).comparison();
  EXPECT_EQ(numbers.numeric().absolute(), 0.5);
  EXPECT_EQ(numbers.numeric().relative(), 0.25);
  EXPECT_EQ(ReadBesideHome(shadow(", compare: {rankCorrelation: 0.9}")).shadows(0).comparison().rank().min(), 0.9);
  const Case cases[] = {
      {", compare: 'similar'",
       "compare: expected 'exact', {tolerance: 1e-3, relative: 1e-4} or {rankCorrelation: 0.9}, got the text "
       "\"similar\""},
      {", compare: {rankCorrelation: 2}", "compare.rankCorrelation: expected a number from -1 to 1, got the number 2"},
      {", compare: {tolerance: -1}", "compare.tolerance: expected a number of at least 0, got the number -1"},
      {", compare: {tolerance: 1, rankCorrelation: 0}", "compare: unknown key \"tolerance\", expected rankCorrelation"},
      {", percentage: 5", "unknown key \"percentage\""},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome(shadow(one.rest)), ElementsAre(HasSubstr("shadow s: " + one.problem))) << one.rest;
  }
  EXPECT_THAT(
      ProblemsBesideHome("{shadowId: 's', targetObjectives: Objectives.Home, model: {ensemble: 'x'}, sampleRate: 1}"),
      ElementsAre(HasSubstr("shadow s: model.ensemble: an ensemble cannot stand here; expected a model")));
  EXPECT_THAT(
      ProblemsBesideHome(
          "...Array.from({length: 9}, (_, i) => ({shadowId: i, targetObjectives: Objectives.Home, model: {name: "
          "'m'}, sampleRate: 1}))"),
      ElementsAre(HasSubstr("Objective Home: has 9 shadows, expected at most 8")));
}

TEST(EnsembleRule, HasMembersThatAddUp) {
  const auto ensemble = [](const std::string& rest) { return "{ensembleId: 'mix', " + rest + "}"; };
  EXPECT_EQ(Json(ReadBesideHome(
                     ensemble("mode: 'weighted', members: [{name: 'a', version: 1, weight: 0.75}, {name: 'b', weight: "
                              "0.25}], minimumMembers: 1"))
                     .ensembles(0)),
            R"({"members":[{"model":{"name":"a","version":"1"},"weight":0.75},{"model":{"name":"b"},"weight":0.25}],)"
            R"("min_members":1,"mode":"WEIGHTED","name":"mix"})");
  const Case cases[] = {
      {"mode: 'median', members: [{name: 'a'}, {name: 'b'}]",
       "mode: expected 'first', 'mean', 'weighted' or 'all', got the text \"median\""},
      {"mode: 'mean', members: [{name: 'a'}]", "members: has 1 members, expected 2 to 16"},
      {"mode: 'mean', members: [{name: 'a'}, {name: 'a'}]", "members[1]: stands in the list already"},
      {"mode: 'mean', members: [{name: 'a', weight: 1}, {name: 'b'}]",
       "members[0].weight: only members of an ensemble of mode 'weighted' have weights; remove it"},
      {"mode: 'weighted', members: [{name: 'a', weight: 0.5}, {name: 'b', weight: 0.6}]",
       "members: weights add up to 1.1, expected 1 (tolerance 1e-9)"},
      {"mode: 'weighted', members: [{name: 'a', weight: 1}, {name: 'b'}]",
       "members[1].weight: is missing, expected a weight of more than 0, to 1"},
      {"mode: 'all', members: [{name: 'a'}, {ensemble: 'mix'}]", "members[1].ensemble: an ensemble cannot stand here"},
      {"mode: 'all', members: [{name: 'a'}, {name: 'b'}], minimumMembers: 3",
       "minimumMembers: expected a whole number from 1 to 2, got the number 3"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome(ensemble(one.rest)), ElementsAre(HasSubstr("ensemble mix: " + one.problem)))
        << one.rest;
  }
}

TEST(OverrideRule, TheAnswersThatItAllowsCount) {
  const auto rules = [](const std::string& last) {
    return "const targetObjectives = [], cellToModel = {}, objectives = [];\n"
           "for (let i = 0; i < 100; ++i) targetObjectives.push(Objectives['Home' + i]);\n"
           "for (const objective of targetObjectives) objectives.push({objective, defaultModel: {name: 'base'}});\n"
           "for (let i = 0; i < 1000; ++i) cellToModel['c' + i] = {name: 'm' + i};\n"
           "export default [...objectives, {abTestId: 'e', targetObjectives, cellToModel}" +
           last + "];";
  };
  EXPECT_THAT(Problems(rules("")), IsEmpty());
  EXPECT_THAT(Problems(rules(", {overrideId: 'o', targetObjectives, callers: {users: ['u']}}")),
              ElementsAre(HasSubstr("the rules lead to at least 200200 answers, expected at most 200000")));
}

TEST(OverrideRule, NamesItsCallers) {
  const auto rule = [](const std::string& callers) {
    return "{overrideId: 'o', targetObjectives: Objectives.Home, callers: " + callers + "}";
  };
  EXPECT_EQ(Json(ReadBesideHome(rule("{tenants: ['qa', 'load', 'qa'], users: ['alice']}")).overrides(0)),
            R"({"id":"o","objectives":["Home"],"tenants":["load","qa"],"users":["alice"]})");
  const Case cases[] = {
      {"{}", "callers: names nobody, expected at least one of tenants and users"},
      {"['alice']", "callers: expected who may override: {tenants: ['qa'], users: ['alice']}, got an array"},
      {"{user: ['alice']}", "callers: unknown key \"user\", did you mean \"users\"?"},
      {"{users: ['a\\nb']}", "callers.users[0]: expected a text of 1 to 1000 bytes without control characters"},
      {"{users: Array.from({length: 1001}, (_, i) => 'u' + i)}",
       "callers.users: has 1001 names, expected at most 1000"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome(rule(one.rest)), ElementsAre(HasSubstr("override o: " + one.problem))) << one.rest;
  }
}

TEST(StaticAnswer, IsOneResponse) {
  const auto answer = [](const std::string& text) {
    return "{objective: Objectives.Other, defaultModel: {name: 'm'}, staticAnswer: " + text + "}";
  };
  inference::ModelInferResponse response;
  ASSERT_TRUE(response.ParseFromString(
      ReadBesideHome(
          answer(
              "{outputs: [{name: 'scores', datatype: 'FP32', shape: [1, 2], data: [0.5, -1]}, {name: 'ids', datatype: "
              "'BYTES', shape: [1], data: ['x']}]}"))
          .objectives(1)
          .static_answer()
          .message()));
  EXPECT_THAT(response.outputs(0).contents().fp32_contents(), ElementsAre(0.5F, -1.0F));
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(1, 2));
  EXPECT_THAT(response.outputs(1).contents().bytes_contents(), ElementsAre("x"));
  EXPECT_EQ(ReadBesideHome(answer("{base64: 'aGVsbG8='}")).objectives(1).static_answer().message(), "hello");
  const Case cases[] = {
      {"{outputs: []}", "staticAnswer.outputs: expected an array of tensors"},
      {"{base64: '%'}", "staticAnswer.base64: is no base64"},
      {"{base64: ''}", "staticAnswer: is empty, expected one response message"},
      {"{outputs: [{name: 's', datatype: 'FP16', shape: [1], data: [0]}]}",
       "staticAnswer.outputs[0].datatype: expected a type of Open Inference: BOOL, INT8,"},
      {"{outputs: [{name: 's', datatype: 'FP32', shape: [2], data: [0]}]}",
       "staticAnswer.outputs[0].data: has 1 items, expected 2, the product of the shape"},
      {"{outputs: [{name: 's', datatype: 'INT8', shape: [1], data: [128]}]}",
       "staticAnswer.outputs[0].data[0]: expected a whole number from -128 to 127, got the number 128"},
      {"{outputs: [{name: 's', datatype: 'FP64', shape: [20000], data: Array.from({length: 20000}, () => 0.1)}]}",
       "staticAnswer: takes 1600"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(ProblemsBesideHome(answer(one.rest)), ElementsAre(HasSubstr("Objective Other: " + one.problem)))
        << one.rest;
  }
}

TEST(Policies, SayFirstWhatTheySayThemselves) {
  const v1::RuleSet rules = ReadBesideHome(
      "{policyId: 'mine', extends: ['a', 'b'], limits: {burst: 1}},"
      "{policyId: 'a', extends: 'base', limits: {burst: 2, requestsPerSecond: 20}},"
      "{policyId: 'b', limits: {requestsPerSecond: 30, payloadBytes: 300, priority: 'high'}, fallbackModels: [{name: "
      "'f'}]},"
      "{policyId: 'base', limits: {concurrentRequests: 7, payloadBytes: 400}}");
  ASSERT_EQ(rules.policies_size(), 4);
  EXPECT_EQ(Json(rules.policies(0)),
            R"({"fallback_models":[{"name":"f"}],"limits":{"burst":1,"concurrent_requests":7,"payload_bytes":"400",)"
            R"("priority":"HIGH","requests_per_second":20},"name":"mine"})");
}

TEST(Policies, SayHowRequestsAreHandled) {
  const v1::RuleSet rules = ReadBesideHome(
      "{policyId: 'mine', extends: 'base', deadlines: {perTryMs: 20}, retries: {idempotent: true, budgetPercentage: 7},"
      " hedging: {afterPercentile: 99.5}, affinity: {loadBoundPercentage: 150}, limits: {adaptiveConcurrency: {max: "
      "9}}},"
      "{policyId: 'base', deadlines: {totalMs: 900, perTryMs: 90}, retries: {tries: 5, backoffMs: 2}, "
      "affinity: {unit: ['account', 'user']}, bulkhead: {requests: 3, bufferedBytes: 4, connectionsPerHost: 5}, "
      "limits: {concurrentRequests: 7}},"
      "{policyId: 'counted', extends: 'mine', limits: {concurrentRequests: 8}}");
  ASSERT_EQ(rules.policies_size(), 3);
  EXPECT_EQ(Json(rules.policies(0)),
            R"({"affinity":{"load_bound_percent":150,"unit":["user"]},)"
            R"("bulkhead":{"buffered_bytes":"4","connections_per_host":5,"requests":3},)"
            R"("deadlines":{"per_try_ms":"20","total_ms":"900"},"hedging":{"percentile_ppm":995000},)"
            R"("limits":{"adaptive_concurrency":{"max":9}},"name":"mine",)"
            R"("retries":{"backoff_ms":"2","budget_ppm":70000,"idempotent":true,"tries":5}})");
  EXPECT_EQ(CanonicalJson(rules.policies(2).limits()).value(), R"({"concurrent_requests":8})");
}

TEST(Policies, NarrowTheRulesThatNameThem) {
  const std::string policies =
      ",{policyId: 'us', when: when.country.is('US')}, {policyId: 'us-tv', extends: 'us', when: when.device.is('tv'), "
      "limits: {burst: 5}}";
  const std::string both = R"({"all":{"conditions":[{"field":{"field":"device","in":{"texts":["tv"]}}},)"
                           R"({"field":{"field":"country","in":{"texts":["US"]}}}]}})";
  const v1::RuleSet rules = ReadBesideHome(
      "{abTestId: 1, targetObjectives: Objectives.Home, cellToModel: {1: {name: 'a'}}, policy: ['us', 'us-tv']},"
      "{trafficShiftId: 's', targetObjectives: Objectives.Home, toModel: {name: 'b'}, percentage: 5, policy: 'us-tv'},"
      "{contextRuleId: 'r', targetObjectives: Objectives.Home, policy: 'us-tv'},"
      "{contextRuleId: 'q', targetObjectives: Objectives.Home, policy: 'us', parameters: {a: 1}}" +
      policies);
  EXPECT_EQ(CanonicalJson(rules.experiments(0).condition()).value(), both);
  EXPECT_EQ(CanonicalJson(rules.traffic_shifts(0).condition()).value(), both);
  EXPECT_EQ(CanonicalJson(rules.context_rules(0).condition()).value(), both);
  EXPECT_EQ(rules.context_rules(0).policy(), "us-tv");
  // What is nothing but targeting is worked in, and gone.
  EXPECT_EQ(rules.context_rules(1).policy(), "");
  ASSERT_EQ(rules.policies_size(), 1);
  EXPECT_EQ(rules.policies(0).name(), "us-tv");
}

TEST(Policies, ThatCannotBeAreTold) {
  const Case cases[] = {
      {"{policyId: 'a', extends: 'b'},\n{policyId: 'b', extends: ['c']},\n{policyId: 'c', extends: 'a'}",
       "rules.js:2:1: policy a extends itself: a (rules.js:2:1) -> b (rules.js:3:1) -> c (rules.js:4:1) -> a; remove "
       "one of "
       "these from `extends`"},
      {"{policyId: 'a', extends: 'a'}", "rules.js:2:1: policy a extends itself: a (rules.js:2:1) -> a; remove one"},
      {"{policyId: 'standard'},\n{policyId: 'b', extends: 'standart'}",
       "rules.js:3:17: policy b: policy standart does not exist, did you mean \"standard\"?"},
      {"{policyId: 'p'},\n{policyId: 'p'}", "rules.js:3:1: policy p is declared twice, first at rules.js:2:1"},
      {"{policyId: 'p', when: when.country.is('US')},\n{objective: Objectives.Other, defaultModel: {name: 'm'}, "
       "policy: 'p'}",
       "rules.js:3:1: Objective Other: policy p at rules.js:2:1 holds only `when` its condition does, and an "
       "Objective's "
       "policy holds everywhere; name it in a context rule"},
      {"{policyId: 'p', limits: {burst: 1}},\n{abTestId: 1, targetObjectives: Objectives.Home, cellToModel: {1: {name: "
       "'a'}}, policy: 'p'}",
       "rules.js:3:1: experiment 1: policy p at rules.js:2:1 has no `when`, which is all that is taken of it here"},
      {"{policyId: 'p', limits: {burst: 1}},\n{contextRuleId: 'r', targetObjectives: Objectives.Home, policy: 'p'}",
       "rules.js:3:1: context rule r: has no `when`, and neither has policy p at rules.js:2:1"},
      {"{policyId: 'p', when: when.country.is('US')},\n{contextRuleId: 'r', targetObjectives: Objectives.Home, policy: "
       "'p'}",
       "rules.js:3:1: context rule r: says nothing: policy p at rules.js:2:1 has no limits"},
      {"{policyId: 'p', limits: {requestsPerSecond: -1}}",
       "policy p: limits.requestsPerSecond: expected a number from 0 (no limit) to 1e9, got the number -1"},
      {"{policyId: 'p', limits: {priority: 'urgent'}}",
       "policy p: limits.priority: expected 'low', 'normal' or 'high', got the text \"urgent\""},
      {"{policyId: 'p', limits: {rps: 5}}", "policy p: limits: unknown key \"rps\""},
      {"{policyId: 'p', limits: {concurrentRequests: 5, adaptiveConcurrency: {}}}",
       "policy p: limits.adaptiveConcurrency: stands beside concurrentRequests, expected one of the two"},
      {"{policyId: 'p', limits: {adaptiveConcurrency: {min: 5, max: 4}}}",
       "limits.adaptiveConcurrency: min is 5 and max 4, expected min <= max"},
      {"{policyId: 'p', deadlines: {totalMs: 0}}", "policy p: deadlines.totalMs: expected"},
      {"{policyId: 'p', retries: {tries: 11}}", "policy p: retries.tries: expected"},
      {"{policyId: 'p', retries: {idempotent: 'yes'}}",
       "policy p: retries.idempotent: expected true or false, got the text \"yes\""},
      {"{policyId: 'p', hedging: {}}",
       "policy p: hedging.afterPercentile: is missing, expected a percentile from 50 to 99.9"},
      {"{policyId: 'p', hedging: {afterPercentile: 20}}", "policy p: hedging.afterPercentile: expected a percentile"},
      {"{policyId: 'p', affinity: 'user'}", "policy p: affinity: expected an object: {unit: 'account'}, got"},
      {"{policyId: 'p', affinity: {unit: 'segments'}}", "policy p: affinity.unit: segments are a list"},
      {"{policyId: 'p', bulkhead: {requests: 0}}", "policy p: bulkhead.requests: expected"},
  };
  for (const Case& one : cases)
    EXPECT_THAT(ProblemsBesideHome(one.rest), ElementsAre(HasSubstr(one.problem))) << one.rest;
}

// A hundred policies that extend each other in all possible ways are no more work than a hundred.
TEST(Policies, ThatExtendManyAreResolvedOnce) {
  EXPECT_THAT(ProblemsBesideHome(
                  "...Array.from({length: 30}, (_, i) => ({policyId: 'p' + i, limits: {burst: i}, extends: i > 0 ? "
                  "Array.from({length: Math.min(i, 8)}, (_, j) => 'p' + (i - 1 - j)) : undefined}))"),
              IsEmpty());
  EXPECT_THAT(
      ProblemsBesideHome(
          "...Array.from({length: 100}, (_, i) => ({policyId: 'p' + i, limits: {burst: i}, extends: i < 99 ? 'p' + "
          "(i + 1) : undefined}))"),
      ElementsAre(HasSubstr("extends more than 32 policies one behind the other, the limit")));
}

}  // namespace
}  // namespace signalbox::rules
