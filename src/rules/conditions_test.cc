// `when`: what it makes, and what it says to mistakes.
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
using testing::StartsWith;

constexpr char kHead[] = "export default [{objective: Objectives.Home, defaultModel: {name: 'base'}},\n";

std::string ContextRule(const std::string& condition) {
  return fmt::format("{{contextRuleId: 'r', targetObjectives: Objectives.Home, model: {{name: 'm'}}, when: {}}}",
                     condition);
}

// The condition that `text` makes, in JSON.
std::string Made(const std::string& text) {
  const auto rule_set = Evaluate("default", std::vector<SourceFile>{{"rules.js", kHead + ContextRule(text) + "]"}});
  if (!rule_set.ok()) return std::string(Message(rule_set.status()));
  return CanonicalJson(rule_set->context_rules(0).condition()).value();
}

std::vector<std::string> Wrong(const std::string& condition) { return Problems(kHead + ContextRule(condition) + "]"); }

TEST(Conditions, AreTheDataThatTheyRead) {
  struct Case {
    std::string text;
    std::string json;
  };
  const Case cases[] = {
      {"when.country.is('US')", R"({"field":{"field":"country","in":{"texts":["US"]}}})"},
      {"when.country.in('US', 'CA', 'US')", R"({"field":{"field":"country","in":{"texts":["CA","US"]}}})"},
      {"when.country.in(['US', 'CA'])", R"({"field":{"field":"country","in":{"texts":["CA","US"]}}})"},
      {"when.country.isNot('US')", R"({"not":{"field":{"field":"country","in":{"texts":["US"]}}}})"},
      {"when.country.notIn('US', 'CA')", R"({"not":{"field":{"field":"country","in":{"texts":["CA","US"]}}}})"},
      {"when.user.startsWith('qa-')", R"({"field":{"field":"user","prefix":{"texts":["qa-"]}}})"},
      {"when.locale.matches(/^en-/i)", R"({"field":{"field":"locale","regex":"(?i)^en-"}})"},
      {"when.locale.matches('^en-')", R"({"field":{"field":"locale","regex":"^en-"}})"},
      {"when.surface.exists()", R"({"field":{"field":"surface","present":{}}})"},
      {"when.trafficType.is('live')", R"({"field":{"field":"traffic_type","in":{"texts":["live"]}}})"},
      {"when.attribute('plan').is('basic')", R"({"field":{"field":"plan","in":{"texts":["basic"]}}})"},
      {"when.attribute('kids').is(true)", R"({"field":{"field":"kids","in":{"texts":["true"]}}})"},
      {"when.attribute('age').is(18)", R"({"field":{"field":"age","number":{"max":18,"min":18}}})"},
      {"when.attribute('age').atLeast(18)", R"({"field":{"field":"age","number":{"min":18}}})"},
      {"when.attribute('age').below(0.5)", R"({"field":{"field":"age","number":{"excludes_max":true,"max":0.5}}})"},
      {"when.attribute('age').between(18, 30)", R"({"field":{"field":"age","number":{"max":30,"min":18}}})"},
      {"when.appVersion.atLeast('4.2')", R"({"field":{"field":"app_version","version":{"min":"4.2.0"}}})"},
      {"when.appVersion.is('v')", ""},
      {"when.appVersion.above('4.2.0-beta.1+7')",
       R"({"field":{"field":"app_version","version":{"excludes_min":true,"min":"4.2.0-beta.1"}}})"},
      {"when.appVersion.startsWith('4.')", R"({"field":{"field":"app_version","prefix":{"texts":["4."]}}})"},
      {"when.segments.has('kids')", R"({"field":{"field":"segments","in":{"texts":["kids"]}}})"},
      {"when.segments.hasAny('kids', 'gold')", R"({"field":{"field":"segments","in":{"texts":["gold","kids"]}}})"},
      {"when.segments.hasAll('kids', 'gold')",
       R"({"all":{"conditions":[{"field":{"field":"segments","in":{"texts":["gold"]}}},)"
       R"({"field":{"field":"segments","in":{"texts":["kids"]}}}]}})"},
      {"when.time.from('2026-01-01T00:00:00Z')", R"({"time":{"from_unix_ms":"1767225600000"}})"},
      {"when.time.between('2026-01-01T00:00:00Z', '2026-01-01T02:00:00+01:00')",
       R"({"time":{"from_unix_ms":"1767225600000","to_unix_ms":"1767229200000"}})"},
      {"when.time.weekly({days: ['sun', 'sat'], from: '18:00', to: '23:30', utcOffset: '+01:00'})",
       R"({"weekly":{"days":[6,7],"from_minute":1080,"to_minute":1410,"utc_offset_minutes":60}})"},
      {"when.country.is('US').not()", R"({"not":{"field":{"field":"country","in":{"texts":["US"]}}}})"},
      {"when.not(when.not(when.country.is('US')))", R"({"field":{"field":"country","in":{"texts":["US"]}}})"},
      // By hand, as the schema has it.
      {"{field: {field: 'country', in: {texts: ['US']}}}", R"({"field":{"field":"country","in":{"texts":["US"]}}})"},
  };
  for (const Case& one : cases) {
    if (one.json.empty()) continue;
    EXPECT_EQ(Made(one.text), one.json) << one.text;
  }
}

TEST(Conditions, ThatMeanTheSameAreTheSame) {
  const std::string us = "when.country.is('US')";
  const std::string tv = "when.device.is('tv')";
  const std::string both = Made(us + ".and(" + tv + ")");
  EXPECT_THAT(both, StartsWith(R"({"all":{"conditions":[)"));
  for (const std::string& same :
       {tv + ".and(" + us + ")", "when.all(" + us + ", " + tv + ")", us + ".and(" + us + ").and(" + tv + ")",
        us + ".and(" + tv + ".and(" + us + "))", "when.any(" + us + ".and(" + tv + "))"}) {
    EXPECT_EQ(Made(same), both) << same;
  }
  EXPECT_EQ(Made(us + ".or(when.country.is('CA'))"), Made("when.country.in('CA', 'US')"));
}

TEST(Conditions, MisuseIsToldWhereItStands) {
  struct Case {
    std::string text;
    std::string problem;
  };
  const Case cases[] = {
      {"when.country.in()", "2:96: Error: when.country.in: expected at least one value, such as 'US'"},
      {"when.country.is()",
       "2:96: Error: when.country.is: expected a text, such as 'US', got nothing (undefined or null)"},
      {"when.country.is(5)", "2:96: Error: when.country.is: expected a text, such as 'US', got the number 5"},
      {"when.country.is('')",
       "2:96: Error: when.country.is: expected a text that is not empty; whether there is a value tells .exists()"},
      {"when.country.is('U\\nS')",
       "2:96: Error: when.country.is: the text \"U\\nS\" holds control characters, expected none"},
      {"when.contry.is('US')", "2:77: Error: when has no contry, did you mean \"country\"?"},
      {"when.country.iss('US')", "2:77: Error: when.country has no iss, did you mean \"is\"?"},
      {"when.country.atLeast(5)",
       "2:77: Error: when.country has no atLeast; it has is, isNot, in, notIn, startsWith, matches, exists"},
      {"when.country.is('US').adn(when.device.is('tv'))", "2:96: Error: a condition has no adn, did you mean \"and\"?"},
      {"when.country.is('US').and(5)",
       "2:105: Error: and: expected a condition, such as when.country.is('US'), got the number 5"},
      {"when.country.is('US').and()", ""},
      {"when.country.is('US').and(when.device)",
       "2:105: Error: and: expected a condition, such as when.country.is('US'), got a field without a test"},
      {"when.all()", "2:88: Error: when.all: expected at least one condition"},
      {"when.trafficType.is('shaddow')",
       "2:100: Error: when.trafficType.is: there is no traffic type \"shaddow\", did you mean \"shadow\"?; expected "
       "live, "
       "synthetic, replay, shadow"},
      {"when.attribute('country').is('US')",
       "2:88: Error: when.attribute: country is a field of its own: write when.country"},
      {"when.attribute(7)",
       "2:88: Error: when.attribute: expected the name of an attribute, of 1 to 200 letters, digits, '.', '_' and '-', "
       "got "
       "the number 7"},
      {"when.attribute('age').atLeast('18')",
       "2:105: Error: when.attribute('age').atLeast: expected a number, got the text \"18\""},
      {"when.attribute('age').atLeast(NaN)",
       "2:105: Error: when.attribute('age').atLeast: expected a finite number, got the number NaN"},
      {"when.attribute('age').between(3, 2)",
       "2:105: Error: when.attribute('age').between: nothing is between 3 and 2; the smaller number comes first"},
      {"when.appVersion.atLeast(4.2)",
       "2:99: Error: when.appVersion.atLeast: expected a version as text, such as '4.2.1', got the number 4.2"},
      {"when.appVersion.is('four')",
       "2:99: Error: when.appVersion.is: expected a version as text, such as '4.2.1', got the text \"four\""},
      {"when.appVersion.between('4.10', '4.9')",
       "2:99: Error: when.appVersion.between: nothing is between 4.10.0 and 4.9.0; the lower version comes first"},
      {"when.segments.has('a b')", "2:97: Error: when.segments.has: the segment \"a b\" holds a space, expected none"},
      {"when.time.from('2026-01-01')",
       "2:93: Error: when.time.from: expected a time as text, such as '2026-01-31T18:00:00Z' or "
       "'2026-01-31T18:00:00+01:00', got the text \"2026-01-01\""},
      {"when.time.between('2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z')",
       "2:93: Error: when.time.between: no time is from 2026-01-02T00:00:00Z and before 2026-01-01T00:00:00Z; the "
       "earlier one comes first"},
      {"when.time.weekly({days: ['Samstag'], from: '18:00', to: '23:00'})",
       "2:93: Error: when.time.weekly: days: expected mon, tue, wed, thu, fri, sat, sun, got the text \"Samstag\""},
      {"when.time.weekly({from: '18:00', too: '23:00'})",
       "2:93: Error: when.time.weekly: unknown key \"too\", did you mean \"to\"?"},
      {"when.time.weekly({from: '25:00', to: '23:00'})",
       "2:93: Error: when.time.weekly: from: expected a time of day, such as '18:00', got the text \"25:00\""},
      {"(when.country = 5)", "2:77: Error: when cannot be changed, it can only be read"},
      {"(when.country.is = 5)", "2:77: Error: when.country cannot be changed, it can only be read"},
  };
  for (const Case& one : cases) {
    if (one.problem.empty()) continue;
    EXPECT_THAT(Wrong(one.text), ElementsAre("rules.js:" + one.problem)) << one.text;
  }
}

TEST(Conditions, WhatRe2CannotRunIsRefusedWithItsReason) {
  struct Case {
    std::string text;
    std::string problem;
  };
  const Case cases[] = {
      {"/a(?=b)/",
       "RE2 cannot run the regular expression a(?=b): invalid perl operator: (?=; look-ahead, look-behind and "
       "named groups are not possible"},
      {R"(/(a)\1/)",
       R"(RE2 cannot run the regular expression (a)\1: invalid escape sequence: \1; there are no back references)"},
      {"/a/g", "of a regular expression's flags only i, m and s have a meaning here; remove the others"},
      {"/(?:a{1000}){1000}/",
       "RE2 cannot run the regular expression (?:a{1000}){1000}: invalid repetition size: {1000}"},
      {"'('", "RE2 cannot run the regular expression (: missing ): ("},
      {"''", "expected a regular expression that is not empty"},
      {"'x'.repeat(1001)", "a regular expression of 1001 bytes, expected at most 1000"},
      {"5", "expected a regular expression such as /^beta-/i, got the number 5"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Wrong("when.user.matches(" + one.text + ")"),
                ElementsAre(StartsWith("rules.js:2:93: Error: when.user.matches: " + one.problem)))
        << one.text;
  }
}

TEST(Conditions, WrittenByHandAreCheckedAllTheSame) {
  struct Case {
    std::string text;
    std::string problem;
  };
  const Case cases[] = {
      {"'US'", "when: expected a condition, such as when.country.is('US'), got the text \"US\""},
      {"when.country", "when: expected a condition, such as when.country.is('US'), got a field without a test"},
      {"when.country.is",
       "when: expected a condition, such as when.country.is('US'), got a function; are the () "
       "behind it missing?"},
      {"when.country.isNot('US').not",
       "when: expected a condition, such as when.country.is('US'), got a function; are the () behind it missing?"},
      {"{}", "when: expected a condition, such as when.country.is('US'), got an object"},
      {"{fields: {}}",
       "when: expected a condition, such as when.country.is('US'), got an object with the key \"fields\", did you mean "
       "\"field\"?"},
      {"{field: {field: 'country', regex: '('}}", "when: RE2 cannot run the regular expression (: missing ): ("},
      {"{all: {conditions: [{any: {conditions: []}}]}}", "when: expected at least one condition"},
      {"{weekly: {from_minute: 1500, to_minute: 1}}",
       "when: expected from_minute: a whole number from 0 to 1439, got the number 1500"},
      {"{field: {field: 'country', number: {min: 1}}}",
       "when: country is no number; only attributes are compared as numbers"},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(Wrong(one.text), ElementsAre("rules.js:2:77: context rule r: " + one.problem)) << one.text;
  }
}

TEST(Conditions, HaveLimitsWithNames) {
  EXPECT_THAT(Wrong("when.user.in(Array.from({length: 100000}, (_, i) => 'u' + i))"),
              ElementsAre(StartsWith("rules.js:2:93: Error: when.user.in: has 100000 values, expected at most 10000 in "
                                     "one condition; lists of users belong into a segment")));
  EXPECT_THAT(Wrong("Array.from({length: 40}).reduce((c, _, i) => i % 2 ? c.and(when.user.is('a' + i)) : "
                    "c.or(when.user.is('b' + i)), when.user.is('x'))"),
              ElementsAre(HasSubstr("conditions are nested more than 16 deep, the limit of one condition")));
  EXPECT_THAT(Wrong("when.all(...Array.from({length: 1001}, (_, i) => when.user.is('u' + i)))"),
              ElementsAre(HasSubstr("when.all: more than 1000 tests in one condition, the limit")));
  EXPECT_THAT(Wrong("when.user.is('x'.repeat(1001))"),
              ElementsAre(HasSubstr("when.user.is: a text of 1001 bytes, expected at most 1000")));
}

// What a rule file does to the language, or hides in its objects, reaches at most its own conditions, and these are
// data.
TEST(Conditions, AreOutOfReachForTricks) {
  EXPECT_EQ(
      Made(
          "(() => { Array.prototype[Symbol.iterator] = null; Object.freeze = null; return when.country.is('US'); })()"),
      R"({"field":{"field":"country","in":{"texts":["US"]}}})");
  EXPECT_THAT(Wrong("(() => { const c = when.country.is('US'); c.toJSON().field.in.texts.push('CA'); return c; })()"),
              ElementsAre(HasSubstr("TypeError")));
  EXPECT_THAT(Wrong("{get all() { throw new Error('mine') }}"), ElementsAre(HasSubstr("Error: mine")));
  EXPECT_THAT(Wrong("(() => { const a = {not: null}; a.not = a; return when.not(a); })()"),
              ElementsAre(HasSubstr("nested more than 64 levels")));
  EXPECT_THAT(Wrong("new Proxy({}, {ownKeys: () => Array.from({length: 200000}, (_, i) => 'k' + i)})"),
              ElementsAre(HasSubstr("")));
  EXPECT_THAT(Wrong("when.country.is({toString() { return 'US'; }})"),
              ElementsAre(HasSubstr("when.country.is: expected a text, such as 'US', got an object")));
}

TEST(Conditions, NegatedOnesHaveAllMethods) {
  const std::string us = Made("when.country.is('US')");
  for (const char* same : {"when.country.isNot('US').not()", "when.country.notIn(['US']).not()",
                           "when.country.is('US').not().not()", "when.not(when.country.isNot('US'))"}) {
    EXPECT_EQ(Made(same), us) << same;
  }
}

// What a file does to the prototypes of arrays and objects, or to the global object, must not lose or add a test.
TEST(Conditions, DoNotChangeWithPrototypes) {
  const std::string tricks =
      "for (let i = 0; i < 4; ++i) Object.defineProperty(Array.prototype, i, {__proto__: null, set(v) {}, get() { "
      "return 'x' }});\n"
      "for (const key of ['all', 'any', 'not', 'conditions', 'texts', 'in', 'field', 'has', 'get', 'value', "
      "'writable', "
      "'toJSON']) Object.defineProperty(Object.prototype, key, {__proto__: null, set(v) {}, get() { return undefined "
      "}});\n"
      "globalThis.Proxy = function () { return {} };\n";
  for (const char* condition :
       {"when.country.in('US', 'CA').and(when.device.is('tv'), when.surface.is('home')).and(when.tenant.is('a'))",
        "when.any(when.country.is('US'), when.device.is('tv')).or(when.tenant.is('a'))",
        "when.attribute('age').in(1, 2, 'x', true)", "when.attribute('age').in([1, 2, 'x', true])",
        "when.segments.hasAll('a', 'b', 'c')", "when.country.notIn('US', 'CA').not()",
        "when.time.weekly({days: ['sat', 'sun'], from: '18:00', to: '23:00'})"}) {
    const std::string made = Made(condition);
    ASSERT_THAT(made, StartsWith("{")) << condition;
    const std::string rules = kHead + ContextRule(condition) + "]";
    const auto here = Evaluate("default", std::vector<SourceFile>{{"rules.js", tricks + rules}});
    ASSERT_TRUE(here.ok()) << condition << ": " << Message(here.status());
    EXPECT_EQ(CanonicalJson(here->context_rules(0).condition()).value(), made) << condition;
    const auto imported =
        Evaluate("default", std::vector<SourceFile>{{"rules.js", "import { tricks } from './tricks.js';\n" + rules},
                                                    {"tricks.js", tricks + "export const tricks = 1;\n"}});
    ASSERT_TRUE(imported.ok()) << condition << ": " << Message(imported.status());
    EXPECT_EQ(CanonicalJson(imported->context_rules(0).condition()).value(), made) << condition;
  }
}

TEST(Conditions, CanBeWrittenAsText) {
  const std::string us = R"({"field":{"field":"country","in":{"texts":["US"]}}})";
  for (const std::string text : {"`${C}`", "JSON.stringify(C)", "C + ''"}) {
    EXPECT_THAT(Wrong("(() => { const C = when.country.is('US'); throw new Error(" + text + ") })()"),
                ElementsAre(HasSubstr("Error: " + us)))
        << text;
  }
  EXPECT_THAT(Wrong("(() => { throw new Error(JSON.stringify(when.country.isNot('US'))) })()"),
              ElementsAre(HasSubstr(R"(Error: {"not":)" + us + "}")));
}

// A list of lists would take the square of its length.
TEST(Conditions, ChainsTakeTimeInProportionToTheirLength) {
  const std::string chain =
      "(() => { let all; for (let n = 0; n < 6; ++n) { all = when.user.is('x'); for (let i = 0; i < 900; ++i) all = "
      "all.or(when.user.is('u' + i)); } return all; })()";
  EXPECT_THAT(Made(chain), StartsWith(R"({"field":{"field":"user","in":)"));
}

TEST(Conditions, PassFromFileToFile) {
  const auto rule_set = Evaluate(
      "default", std::vector<SourceFile>{{"common.js", "export const tvOnly = when.device.is('tv');"},
                                         {"rules.js", "import { tvOnly } from './common.js';\n" + std::string(kHead) +
                                                          ContextRule("when.country.is('US').and(tvOnly)") + "]"}});
  ASSERT_TRUE(rule_set.ok()) << Message(rule_set.status());
  EXPECT_EQ(CanonicalJson(rule_set->context_rules(0).condition()).value(),
            Made("when.device.is('tv').and(when.country.is('US'))"));
}

}  // namespace
}  // namespace signalbox::rules
