// Values that no rule can have, and how messages show them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "rules/rule_tests.h"
#include "rules/test_rules.h"

namespace signalbox::rules {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

std::string Home(const std::string& more) {
  return "export default [{objective: Objectives.Home, defaultModel: {name: 'base'}" + more;
}

// A rule file can be somebody else's: what it says must not steer a terminal, nor look like another line of ours.
TEST(RefusedValues, AreShownOnOneLineWithoutControlCharacters) {
  const std::string texts[] = {
      Home("}, {trafficShiftId: '\\u001b[2Jevil'}]"),
      Home(", '\\u001b[2Jkey\\nrules.js:1:1: forged': 1}]"),
      Home("}, {abTestId: '\\u202Eevil'}]"),
      "throw new Error('a\\nrules.js:1:1: forged \\u001b[2J \\u2066');",
      "throw 'a\\nrules.js:1:1: forged \\u202E';",
      Home(", parameters: {'\\u001b[2J': {}}}]"),
      "const \\u202Ex = 1;",
  };
  for (const std::string& text : texts) {
    const std::vector<std::string> problems = Problems(text);
    ASSERT_THAT(problems, Not(IsEmpty())) << text;
    EXPECT_THAT(problems, Each(StartsWith("rules.js:1:"))) << text;
    for (const char* raw : {"\n", "\x1b", "\xe2\x80\xae", "\xe2\x81\xa6"})
      EXPECT_THAT(problems, Each(Not(HasSubstr(raw)))) << text;
  }
}

TEST(RefusedValues, AStaticAnswerMayHave64KiBInBase64) {
  const std::string answer = "}, staticAnswer: {base64: 'A'.repeat(87380) + '";
  const std::string home = "export default [{objective: Objectives.Home, defaultModel: {name: 'base'";
  EXPECT_THAT(Problems(home + answer + "AA=='}}]"), IsEmpty());
  EXPECT_THAT(Problems(home + answer + "AAA='}}]"),
              ElementsAre(HasSubstr("takes 65537 bytes, expected at most 65536")));
}

TEST(RefusedValues, SayWhereTheyAre) {
  const std::string cells = "}, {abTestId: 1, targetObjectives: Objectives.Home, cellToModel: ";
  EXPECT_THAT(Problems(Home(
                  cells + "(() => { const a = {}; for (let i = 0; i < 100001; ++i) a['k' + i] = 1; return a; })()}]")),
              ElementsAre(HasSubstr(
                  "export default[1]: Error: cellToModel: an object of 100001 keys, expected at most 1000; take")));
  EXPECT_THAT(
      Problems(Home(cells + "{}, forcedCells: Object.fromEntries(Array.from({length: 100001}, (_, i) => [i, 1]))}]")),
      ElementsAre(HasSubstr("forcedCells: an object of 100001 keys, expected at most 10000; take some out")));
  EXPECT_THAT(Problems(Home("}, Object.fromEntries(Array.from({length: 100001}, (_, i) => [i, 1]))]")),
              ElementsAre(HasSubstr("an object of 100001 keys, expected at most 100000, and fewer in most places")));
  EXPECT_THAT(Problems(Home(", fallbackModels: [{name: 'x'}, {name: 'x'.repeat(90000)}]}]")),
              ElementsAre(HasSubstr("export default[0]: Error: fallbackModels[1].name: a text of 90000 characters, "
                                    "expected at most 87384")));
  EXPECT_THAT(Problems(Home(", parameters: {a: 'x\\uD800y'}}]")),
              ElementsAre(HasSubstr("parameters.a: a text with half of a character (a lone surrogate)")));
  EXPECT_THAT(Problems(Home(", parameters: {a: '\\u{1F600}'}}]")), IsEmpty());
  EXPECT_THAT(Problems(Home(", staticAnswer: {outputs: [{name: 's', datatype: 'FP32', shape: [1], data: [1e39]}]}}]")),
              ElementsAre(HasSubstr("expected a number that FP32 can hold, got the number 1e+39")));
}

TEST(RefusedValues, RulesThatHoldThemselvesAreToldAndEnd) {
  for (const std::string& text :
       {std::string("const f = () => [f];\nexport default f;"), std::string("const a = [() => a];\nexport default a;"),
        std::string("const a = [], b = [() => a];\na.push(() => b);\nexport default a;")})
    EXPECT_THAT(Problems(text), ElementsAre(HasSubstr("holds itself, expected a rule, an array of rules, or"))) << text;
  EXPECT_THAT(Problems("const deeper = () => () => [deeper()];\nexport default deeper();"),
              ElementsAre(HasSubstr("functions and arrays of rules are nested more than 16 deep; return one array")));
  // The same array twice, side by side.
  EXPECT_THAT(Problems("const home = {objective: Objectives.Home, defaultModel: {name: 'm'}};\n"
                       "const none = () => [];\nexport default [() => [home], none, none];"),
              IsEmpty());
}

TEST(RefusedValues, WhatNeedsTooMuchMemoryIsToldWithItsPlaceAndWhatToDo) {
  EXPECT_THAT(
      Problems("const cells = {};\nfor (let i = 0; i < 1000000; ++i)\n  cells['k' + i] = '1';\nexport default [];"),
      ElementsAre(testing::AllOf(StartsWith("rules.js:3:"), HasSubstr("more than 64 MiB, the limit of a whole rule"),
                                 HasSubstr("forcedCells takes 10000 units"))));
}

TEST(RefusedValues, ImportMetaIsNone) {
  EXPECT_THAT(Problems("export const url = import.meta.url;"),
              ElementsAre(HasSubstr("import.meta does not exist in rules")));
}

TEST(RefusedValues, UnitsHaveBothSpellings) {
  const std::string layer = "}, {layerId: 'l', unit: ";
  const auto rule_set =
      Evaluate("default", std::vector<SourceFile>{{"rules.js", Home(layer + "['trafficType', 'appVersion']}]")}});
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  EXPECT_THAT(rule_set->layers(0).unit(), ElementsAre("traffic_type", "app_version"));
  EXPECT_THAT(Problems(Home(layer + "['app_version', 'appVersion']}]")),
              ElementsAre(HasSubstr("names app_version twice")));
}

TEST(RefusedValues, TestsTakeTheBooleansThatRulesTake) {
  const TestFile file = EvaluateTests(std::vector<SourceFile>{
      {"home.test.js",
       "test('x', () => expect({objective: 'Home', attributes: {kids: true}}).parameter('a', false));"}});
  ASSERT_THAT(file.tests, SizeIs(1));
  EXPECT_THAT(file.tests[0].problems, IsEmpty());
  ASSERT_THAT(file.tests[0].decisions, SizeIs(1));
  EXPECT_EQ(file.tests[0].decisions[0].context.attributes[0].second, "true");
  EXPECT_EQ(file.tests[0].decisions[0].expectations[0].arguments[1], "false");
}

}  // namespace
}  // namespace signalbox::rules
