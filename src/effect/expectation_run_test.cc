// What tests expect of rules, against the decisions of these rules.
#include "effect/expectation_run.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "rules/rules.h"

namespace signalbox::effect {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kRules[] = R"js(
export default [
  {objective: Objectives.Home, defaultModel: {name: 'home', version: 1}, parameters: {depth: 40}},
  {targetObjectives: Objectives.Home, fallbackModels: [{name: 'popular'}, {name: 'static', version: 2}]},
  {abTestId: 12345, targetObjectives: Objectives.Home, cellToModel: {1: {name: 'home', version: 2}, 2: {name: 'home', version: 3}}},
  {objective: Objectives.Search, defaultModel: {name: 'search'}},
  {trafficShiftId: 'canary', targetObjectives: Objectives.Search, toModel: {name: 'search', version: 2}, percentage: 10},
];
)js";

std::shared_ptr<const decide::Snapshot> SnapshotOf(const std::string& text) {
  auto rule_set = rules::Evaluate("default", std::vector<rules::SourceFile>{{"home.js", text}});
  EXPECT_TRUE(rule_set.ok()) << Message(rule_set.status());
  auto snapshot = CompileForTests(*std::move(rule_set));
  EXPECT_TRUE(snapshot.ok()) << Message(snapshot.status());
  return *std::move(snapshot);
}

TestOutcome RunTest(const std::string& body, const ExpectationRunOptions& options = {},
                    const std::string& rules = kRules) {
  const rules::TestFile file =
      rules::EvaluateTests(std::vector<rules::SourceFile>{{"home.test.js", "test('x', () => {\n" + body + "\n});"}});
  EXPECT_THAT(file.problems, IsEmpty());
  EXPECT_EQ(file.tests.size(), 1U);
  return RunExpectations(*SnapshotOf(rules), file.tests[0], options);
}

// "EXPECTATION | EXPECTED | RECEIVED"
std::vector<std::string> FailuresOf(const std::string& body, const ExpectationRunOptions& options = {},
                                    const std::string& rules = kRules) {
  std::vector<std::string> failures;
  const TestOutcome outcome = RunTest(body, options, rules);
  EXPECT_EQ(outcome.passed, outcome.failures.empty());
  for (const FailedExpectation& failure : outcome.failures)
    failures.push_back(fmt::format("{} | {} | {}", failure.expectation, failure.expected, failure.received));
  return failures;
}

TEST(ExpectationRun, WhatTheRulesSayPasses) {
  const TestOutcome outcome = RunTest(
      "expect({objective: 'Home'}).model('home@1').reason('default').parameter('depth', 40).noCell('12345')\n"
      "  .fallbacks('popular', 'static@2');\n"
      "expect({objective: 'Search'}).fallbacks();");
  EXPECT_TRUE(outcome.passed);
  EXPECT_EQ(outcome.expectations, 6U);
  EXPECT_THAT(outcome.failures, IsEmpty());
}

TEST(ExpectationRun, AFailureSaysWhatIsExpectedWhatCameAndWhy) {
  const TestOutcome outcome = RunTest("expect({objective: 'Home'})\n  .model('home@2')\n  .reason('experiment');");
  EXPECT_FALSE(outcome.passed);
  ASSERT_EQ(outcome.failures.size(), 2U);
  const FailedExpectation& failure = outcome.failures[0];
  EXPECT_EQ(failure.place.file, "home.test.js");
  EXPECT_EQ(failure.place.line, 3U);
  EXPECT_EQ(failure.expectation, ".model('home@2')");
  EXPECT_EQ(failure.expected, "home@2");
  EXPECT_EQ(failure.received, "home@1, default");
  EXPECT_THAT(failure.why, testing::Contains(AllOf(HasSubstr("experiment 12345"), HasSubstr("home.js:5:"))));
  // Of the same request: told once.
  EXPECT_THAT(outcome.failures[1].why, IsEmpty());
}

TEST(ExpectationRun, EveryKindOfExpectationFailsWithItsOwnWords) {
  EXPECT_THAT(
      FailuresOf(
          "expect({objective: 'Home'}).cell(12345, '1').reason('override').parameter('depth', 41).parameter('x', 1)\n"
          ".fallbacks('popular').shadow('s').policy('p').override('o').staticAnswer();"),
      ElementsAre(".cell('12345', '1') | cell 1 of 12345 | no experiment", ".reason('override') | override | default",
                  ".parameter('depth', '41') | depth = 41 | depth = 40",
                  ".parameter('x', '1') | x = 1 | no such parameter, but depth",
                  ".fallbacks('popular') | popular | popular, static@2", ".shadow('s') | s | none",
                  ".policy('p') | p | none", ".override('o') | o | none", ".staticAnswer() | a static answer | none"));
}

TEST(ExpectationRun, AShadowThatIsNeverDrawnIsNotExpected) {
  const auto rules = [](const std::string& rate) {
    return "export default [{objective: Objectives.Home, defaultModel: {name: 'home'}}, {shadowId: 's', "
           "targetObjectives: Objectives.Home, model: {name: 'next'}, sampleRate: " +
           rate + "}];";
  };
  const std::string body = "expect({objective: 'Home'}).shadow('s');";
  EXPECT_THAT(FailuresOf(body, {}, rules("0.0001")), IsEmpty());
  EXPECT_THAT(FailuresOf(body, {}, rules("0")), ElementsAre(".shadow('s') | s | none"));
}

TEST(ExpectationRun, WhatNoRuleNamesIsToldSoThatNoTestPassesForEver) {
  EXPECT_THAT(FailuresOf("expect({objective: 'Home'}).model('hom@1').noCell('1234');"),
              ElementsAre(HasSubstr("no rule names hom@1, did you mean \"home@1\"?"),
                          HasSubstr("there is no experiment 1234, did you mean \"12345\"?")));
  EXPECT_THAT(FailuresOf("expect({objective: 'Hme'}).model('home@1').reason('default');"),
              ElementsAre(AllOf(HasSubstr("unknown Objective \"Hme\""), HasSubstr("did you mean \"Home\"?"))));
  EXPECT_THAT(FailuresOf("distribution({objective: 'Hme'}).model('home@1', {share: 0});"),
              ElementsAre(HasSubstr("unknown Objective \"Hme\"")));
}

TEST(ExpectationRun, AShareOfNothingOfWhatNoRuleNamesDoesNotPass) {
  EXPECT_THAT(
      FailuresOf(
          "distribution({objective: 'Home'}, {users: 10}).model('hom@1', {share: 0}).cell('1234', '1', {share: 0});"),
      ElementsAre(HasSubstr("no rule names hom@1"), HasSubstr("there is no experiment 1234")));
}

TEST(ExpectationRun, DistributionsAreMeasuredOverGeneratedUsers) {
  const std::string body =
      "distribution({objective: 'Home'}, {users: 20000}).cell(12345, 1, {share: 50, tolerance: 1.5})\n"
      "  .model('home@3', {share: 50, tolerance: 1.5}).model('home@1', {share: 0, tolerance: 0});";
  const TestOutcome outcome = RunTest(body);
  EXPECT_TRUE(outcome.passed);
  ASSERT_EQ(outcome.shares.size(), 3U);
  EXPECT_EQ(outcome.shares[0].users, 20000U);
  EXPECT_EQ(outcome.shares[0].matching + outcome.shares[1].matching, 20000U);
  // The same seed gives the same users, and another one others.
  EXPECT_EQ(RunTest(body).shares[0].matching, outcome.shares[0].matching);
  EXPECT_NE(RunTest(body, {.seed = 2}).shares[0].matching, outcome.shares[0].matching);
  EXPECT_EQ(RunTest(body, {.users = 1000}).shares[0].users, 1000U);
}

TEST(ExpectationRun, AShareThatIsNotAsExpectedIsToldWithItsNumbers) {
  const std::vector<std::string> failures = FailuresOf(
      "distribution({objective: 'Search'}, {users: 10000}).model('search@2', {share: 20, tolerance: 2});", {.seed = 7});
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_THAT(failures[0], AllOf(HasSubstr("20 % +- 2"), HasSubstr("of 10000 users, seed 7)")));
}

TEST(ExpectationRun, TheUnitThatAnExperimentNeedsIsGenerated) {
  const std::string rules =
      "export default [{objective: Objectives.Home, defaultModel: {name: 'a'}},\n"
      "  {abTestId: 'x', targetObjectives: Objectives.Home, unit: 'account', cellToModel: {1: {name: 'b'}, 2: {name: "
      "'c'}}}];";
  EXPECT_THAT(FailuresOf("distribution({objective: 'Home'}, {users: 5000}).model('b', {share: 50, tolerance: 3})\n"
                         "  .model('a', {share: 0, tolerance: 0});",
                         {}, rules),
              IsEmpty());
  // One that is given stays: all of them are in its cell.
  const TestOutcome given = RunTest(
      "distribution({objective: 'Home', attributes: {account: 'a1'}}, {users: 100}).model('b', {share: 50, "
      "tolerance: 50});",
      {}, rules);
  ASSERT_EQ(given.shares.size(), 1U);
  EXPECT_EQ(given.shares[0].matching % 100, 0U);
}

TEST(ExpectationRun, ATestWithMistakesDoesNotPass) {
  const rules::TestFile file =
      rules::EvaluateTests(std::vector<rules::SourceFile>{{"home.test.js", "test('x', () => {})"}});
  ASSERT_EQ(file.tests.size(), 1U);
  EXPECT_FALSE(RunExpectations(*SnapshotOf(kRules), file.tests[0]).passed);
}

}  // namespace
}  // namespace signalbox::effect
