// Files of tests: what comes out of them, and what is wrong with them.
#include "rules/rule_tests.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox::rules {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

TestFile RunFile(const std::string& text, const Limits& limits = {}) {
  return EvaluateTests(std::vector<SourceFile>{{"home.test.js", text}}, limits);
}

// What is wrong with the file, and with its tests.
std::vector<std::string> ProblemsOf(const std::string& text, const Limits& limits = {}) {
  const TestFile file = RunFile(text, limits);
  std::vector<std::string> problems;
  for (const Diagnostic& problem : file.problems) problems.push_back(Format(problem));
  for (const RuleTest& test : file.tests) {
    for (const Diagnostic& problem : test.problems) problems.push_back(Format(problem));
  }
  return problems;
}

// Of the body of one test, on the second line.
std::vector<std::string> ProblemsIn(const std::string& body, const Limits& limits = {}) {
  return ProblemsOf("test('x', () => {\n" + body + "\n});", limits);
}

TEST(RuleTests, WhatIsExpectedComesOutAsPlainData) {
  const TestFile file = RunFile(R"js(
test('everything', () => {
  expect({
    objective: Objectives.Home, user: 'u1', country: 'US', locale: 'en-US', device: 'tv', surface: 'home', tenant: 'web',
    trafficType: 'replay', appVersion: '4.2', segments: ['kids', 'premium'], attributes: {plan: 'basic', age: 7},
    now: '2026-11-01T00:00:00Z', override: {model: 'm@1', cells: {12345: '2'}}, undefined: undefined,
  })
    .model('m@2').model({name: 'm', version: 2}).cell(12345, '2').noCell('777').reason('experiment').parameter('depth', 80)
    .fallbacks('a', 'b').shadow('s1').policy('p').override('testers').staticAnswer();
  distribution({objective: 'Home'}, {users: 500}).model('m', {share: 3, tolerance: 0.2}).cell('1', '2', {share: 50});
});
)js");
  ASSERT_THAT(file.problems, IsEmpty());
  ASSERT_EQ(file.tests.size(), 1U);
  const RuleTest& test = file.tests[0];
  EXPECT_EQ(test.name, "everything");
  EXPECT_EQ(test.place.line, 2U);
  ASSERT_THAT(test.problems, IsEmpty());
  ASSERT_EQ(test.decisions.size(), 2U);
  const TestedContext& context = test.decisions[0].context;
  EXPECT_EQ(context.objective, "Home");
  EXPECT_EQ(context.user, "u1");
  EXPECT_EQ(context.country, "US");
  EXPECT_EQ(context.locale, "en-US");
  EXPECT_EQ(context.device, "tv");
  EXPECT_EQ(context.surface, "home");
  EXPECT_EQ(context.tenant, "web");
  EXPECT_EQ(context.traffic_type, "replay");
  EXPECT_EQ(context.app_version, "4.2");
  EXPECT_EQ(context.segments, "kids premium");
  EXPECT_THAT(context.attributes, ElementsAre(Pair("plan", "basic"), Pair("age", "7")));
  EXPECT_EQ(context.now_unix_ms, 1'793'491'200'000);
  EXPECT_EQ(context.override_model, "m@1");
  EXPECT_THAT(context.override_cells, ElementsAre(Pair("12345", "2")));
  std::vector<std::string> texts;
  for (const Expectation& expectation : test.decisions[0].expectations) texts.push_back(Text(expectation));
  EXPECT_THAT(texts, ElementsAre(".model('m@2')", ".model('m@2')", ".cell('12345', '2')", ".noCell('777')",
                                 ".reason('experiment')", ".parameter('depth', '80')", ".fallbacks('a', 'b')",
                                 ".shadow('s1')", ".policy('p')", ".override('testers')", ".staticAnswer()"));
  EXPECT_EQ(test.decisions[0].expectations[0].place.line, 8U);
  EXPECT_EQ(test.decisions[0].expectations[10].place.line, 9U);
  const ExpectedDecision& distribution = test.decisions[1];
  EXPECT_EQ(distribution.users, 500U);
  EXPECT_EQ(distribution.expectations[0].share, 3);
  EXPECT_EQ(distribution.expectations[0].tolerance, 0.2);
  EXPECT_EQ(distribution.expectations[1].tolerance, 1);
}

TEST(RuleTests, AMisspelledWordIsNamedWithTheNearestOne) {
  EXPECT_THAT(ProblemsIn("expect({objective: 'X'}).modle('m');"),
              ElementsAre(AllOf(StartsWith("home.test.js:2:"),
                                HasSubstr("there is no expectation \"modle\", did you mean \"model\"?"))));
  EXPECT_THAT(ProblemsIn("expect({objectiv: 'X'}).model('m');"),
              ElementsAre(HasSubstr("\"objectiv\" is no field of a request, did you mean \"objective\"?")));
  EXPECT_THAT(ProblemsIn("expect({objective: 'X'}).reason('experimnt');"),
              ElementsAre(HasSubstr("there is no reason \"experimnt\", did you mean \"experiment\"?")));
  EXPECT_THAT(ProblemsIn("distribution({objective: 'X'}, {user: 5}).model('m', {share: 1});"),
              ElementsAre(HasSubstr("unknown key \"user\", did you mean \"users\"?")));
}

TEST(RuleTests, WhatDoesNotFitIsToldWithWhatIsExpected) {
  const std::pair<const char*, const char*> cases[] = {
      {"expect({}).model('m')", "objective: is missing"},
      {"expect(5).model('m')", "expected an object such as {objective: 'X'"},
      {"expect({objective: 5}).model('m')", "objective: expected a text, got the number 5"},
      {"expect({objective: 'X', now: 'yesterday'}).model('m')", "now: expected a time as text"},
      {"expect({objective: 'X', segments: 'kids'}).model('m')", "segments: expected an array of texts"},
      {"expect({objective: 'X', attributes: {a: []}}).model('m')",
       "attributes.a: expected a text, a number, true or false"},
      {"expect({objective: 'X', trafficType: 'dead'}).model('m')", "trafficType: expected one of live, synthetic"},
      {"expect({objective: 'X', override: {modl: 'm'}}).model('m')", "override: unknown key \"modl\""},
      {"expect({objective: 'X'}).model()", ".model(): 0 arguments, expected a model"},
      {"expect({objective: 'X'}).model(() => 1)", ".model(): expected a model: .model('ranker@2'), got a function"},
      {"expect({objective: 'X'}).cell('1')", ".cell(): 1 argument, expected an experiment and a cell"},
      {"expect({objective: 'X'}).model('m', {share: 5})", ".model(): 2 arguments"},
      {"expect({objective: 'X'}).staticAnswer('x')", ".staticAnswer(): 1 argument, expected nothing"},
      {"distribution({objective: 'X', user: 'u'}).model('m', {share: 5})", "the users are generated; leave `user` out"},
      {"distribution({objective: 'X'}, {users: 0}).model('m', {share: 5})", "users: expected a whole number from 1"},
      {"distribution({objective: 'X'}, {users: 1e9}).model('m', {share: 5})", "users: expected a whole number from 1"},
      {"distribution({objective: 'X'}).model('m')", ".model(): expected {share, tolerance} in percent"},
      {"distribution({objective: 'X'}).model('m', {share: 101})", ".model(): expected {share, tolerance} in percent"},
      {"distribution({objective: 'X'}).noCell('m')", "not of a distribution, which has .model() and .cell()"},
      {"expect({objective: 'X'})", "expects nothing of this request"},
      {"", "expects nothing; add expect("},
      {"test('y', () => {})", "test() inside of a test"},
      {"null.x", "TypeError: null has no properties"},
      {"const {model} = expect({objective: 'X'}); model('m')", "is called on something that is no expectation"},
      {"return Promise.resolve(1)", "an async function cannot be a test"},
      {"import('./home.js')", "import() is not possible in rules"},
  };
  for (const auto& [body, expected] : cases) {
    EXPECT_THAT(ProblemsIn(body), testing::Contains(HasSubstr(expected))) << body;
  }
}

TEST(RuleTests, AllMistakesOfATestAreToldAtOnce) {
  EXPECT_THAT(ProblemsIn("expect({objective: 'X', contry: 'US'}).model()\n.cell('a').reason('?');"),
              ElementsAre(StartsWith("home.test.js:2:"), StartsWith("home.test.js:2:"), StartsWith("home.test.js:3:"),
                          StartsWith("home.test.js:3:")));
}

TEST(RuleTests, AFileThatCannotRunHasNoTests) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "has no test"},
      {"test('x', () => {", "SyntaxError"},
      {"expect({objective: 'X'}).model('m')", "expect() outside of a test; put it into one"},
      {"distribution({objective: 'X'})", "distribution() outside of a test"},
      {"test('x')", "expected a function"},
      {"test(5, () => {})", "expected a name of 1 to 200 bytes"},
      {"test('', () => {})", "expected a name of 1 to 200 bytes"},
      {"test('a\\u001b[31m', () => {})", "without control characters"},
      {"test('a\\nb', () => {})", "without control characters"},
      {"import {x} from './nothing.js'; test('x', () => {})", "home.test.js:1:17: import: there is no file"},
      {"import './home.test.js'; test('x', () => {})", "is a file of tests"},
      {"import '../../etc/passwd'; test('x', () => {})", "leads out of the folder"},
      {"for (;;) test('x', () => {})", "more than 10000 tests in one file"},
      {"await 1; test('x', () => {})", "rules cannot wait"},
      {"const x = Date.now()", "Date is not defined"},
  };
  for (const auto& [text, expected] : cases) {
    const TestFile file = RunFile(text);
    ASSERT_EQ(file.problems.size(), 1U) << text;
    EXPECT_THAT(Format(file.problems[0]), AllOf(StartsWith("home.test.js:1:"), HasSubstr(expected))) << text;
    EXPECT_THAT(file.tests, IsEmpty()) << text;
  }
}

TEST(RuleTests, AFileThatDoesNotEndIsStoppedWhereItLoops) {
  Limits limits;
  limits.time_max = std::chrono::milliseconds(200);
  EXPECT_THAT(ProblemsOf("test('x', () => {\n  for (;;) {}\n});", limits),
              ElementsAre(AllOf(StartsWith("home.test.js:2:"), HasSubstr("200 ms of CPU time"))));
}

TEST(RuleTests, AMillionExpectationsAreTooManyAlsoForOneThatCatchesErrors) {
  // It is the number that is to end it, also on a machine or in a build that is slow.
  Limits limits;
  limits.time_max = std::chrono::minutes(1);
  EXPECT_THAT(
      ProblemsIn("for (let i = 0; i < 1e6; ++i) { try { expect({objective: 'X'}).model('m'); } catch {} }", limits),
      ElementsAre(HasSubstr("more than 100000 expectations in one file")));
  EXPECT_THAT(
      ProblemsIn("for (let i = 0; i < 30; ++i) distribution({objective: 'X'}, {users: 1e6}).model('m', {share: 1});",
                 limits),
      testing::Contains(HasSubstr("more than 20000000 users in one file")));
}

TEST(RuleTests, TestsMayImportWhatRulesExport) {
  const std::vector<SourceFile> files = {
      {"rules/home.test.js",
       "import {ranker} from './common.js';\n"
       "test('x', () => { expect({objective: home}).model(ranker(3)); });\n"
       "const home = 'Home';"},
      {"rules/common.js", "export const ranker = (version) => ({name: 'ranker', version});"}};
  const TestFile file = EvaluateTests(files);
  ASSERT_THAT(file.problems, IsEmpty());
  ASSERT_EQ(file.tests.size(), 1U);
  ASSERT_THAT(file.tests[0].problems, IsEmpty());
  EXPECT_EQ(Text(file.tests[0].decisions[0].expectations[0]), ".model('ranker@3')");
}

TEST(RuleTests, AFileOfTestsBelowTheRulesReachesThem) {
  TestFolder folder;
  std::filesystem::create_directory(folder.File("tests"));
  std::ofstream(folder.File("common.js")) << "export const x = 'X';";
  std::ofstream(folder.File("tests/home.test.js"))
      << "import {x} from '../common.js'; test('x', () => { expect({objective: x}).model('m'); });";
  const auto alone = ReadTestFile(folder.File("tests/home.test.js"), {});
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(EvaluateTests(*alone).problems.size(), 1U);
  const auto files = ReadTestFile(folder.File("tests/home.test.js"), {folder.File("home.js")});
  ASSERT_TRUE(files.ok()) << Message(files.status());
  EXPECT_THAT(EvaluateTests(*files).problems, IsEmpty());
}

}  // namespace
}  // namespace signalbox::rules
