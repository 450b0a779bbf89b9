#include "effect/field_values.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "effect/field_test.h"

namespace signalbox::effect {
namespace {

std::vector<v1::FieldTest> Tests(const std::vector<std::string>& texts) {
  std::vector<v1::FieldTest> tests;
  for (const std::string& text : texts)
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &tests.emplace_back())) << text;
  return tests;
}

// Every kind by what holds for it, as "TF", and its example.
std::vector<std::string> Signatures(const FieldValues& values) {
  std::vector<std::string> texts;
  for (const ValueKind& kind : values.kinds) {
    std::string text;
    for (const bool holds : kind.holds) text += holds ? 'T' : 'F';
    texts.push_back(text + (kind.is_absent ? " absent" : ""));
  }
  return texts;
}

using testing::UnorderedElementsAre;

TEST(FieldValues, OneValueIsNotTwoTexts) {
  const auto values = WorkOutKinds("country", Tests({"in { texts: 'US' }", "in { texts: 'CA' texts: 'US' }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FF absent", "TT", "FT", "FF"));
}

TEST(FieldValues, APrefixHoldsForTheTextsThatBeginWithIt) {
  const auto values = WorkOutKinds("device", Tests({"prefix { texts: 'tv' }", "in { texts: 'tv-4k' }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FF absent", "TT", "TF", "FF"));
}

TEST(FieldValues, RangesThatMeetLeaveTheValuesBetweenTheirEnds) {
  const auto values = WorkOutKinds(
      "age", Tests({"number { min: 18 }", "number { max: 21 excludes_max: true }", "number { min: 30 }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FFF absent", "FTF", "TTF", "TFF", "TFT", "FFF"));
  EXPECT_FALSE(values.is_approximate);
}

TEST(FieldValues, VersionsAreOrderedAsSemanticVersions) {
  const auto values =
      WorkOutKinds("app_version",
                   Tests({"version { min: '4.2' }", "version { max: '4.2' excludes_min: true excludes_max: true }",
                          "version { min: '4.2' max: '4.2' }"}),
                   false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FFF absent", "FTF", "TFT", "TFF", "FFF"));
}

TEST(FieldValues, AListCanHaveSeveralItemsAtOnce) {
  const auto values = WorkOutKinds("segments", Tests({"in { texts: 'kids' }", "in { texts: 'vip' }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FF", "TF", "FT", "TT"));
}

TEST(FieldValues, ARegularExpressionMayMatchAnyValueThatNoRuleNames) {
  const auto values = WorkOutKinds("surface", Tests({"in { texts: 'home' }", "regex: '^ho'"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("FF absent", "TT", "FT", "FF"));
  for (const ValueKind& kind : values.kinds) EXPECT_TRUE(kind.has_example);
}

TEST(FieldValues, ATrafficTypeIsOneOfFourAndAlwaysThere) {
  const auto values = WorkOutKinds("traffic_type", Tests({"in { texts: 'synthetic' }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("T", "F"));
}

TEST(FieldValues, AUnitThatRulesNameIsAKindOfItsOwn) {
  const auto values = WorkOutKinds("user", Tests({"in { texts: 'u1' texts: 'u2' }"}), true);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("F absent", "T", "T", "F"));
}

TEST(FieldValues, EveryExampleIsOfItsKind) {
  for (const char* field : {"plan", "segments"}) {
    const auto tests = Tests({"in { texts: '4' texts: 'x' }", "prefix { texts: '4' texts: 'y' }",
                              "number { min: 3 max: 7 }", "regex: 'z$'", "present {}"});
    const FieldTests compiled(tests);
    const FieldValues values = WorkOutKinds(field, tests, false);
    for (const ValueKind& kind : values.kinds) {
      if (!kind.has_example) continue;
      for (size_t i = 0; i < tests.size(); ++i) {
        bool holds = false;
        std::string_view rest = kind.example;
        while (std::string_view(field) == "segments" && !rest.empty()) {
          const size_t space = std::min(rest.find(' '), rest.size());
          holds = holds || compiled.Holds(i, rest.substr(0, space));
          rest.remove_prefix(std::min(space + 1, rest.size()));
        }
        if (std::string_view(field) == "plan") holds = compiled.Holds(i, rest);
        EXPECT_EQ(holds, kind.holds[i]) << field << " " << kind.example << " test " << i;
      }
    }
  }
}

}  // namespace
}  // namespace signalbox::effect
