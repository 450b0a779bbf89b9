#include "effect/field_values.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <random>

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

// Values as requests may have them, those that rules and candidates are made of among them.
std::string AnyValue(std::mt19937_64& random) {
  static const std::vector<std::string> kParts = {
      "a",    "ab", "other", "x",  "4.", "5.",  "4", "5", "0", "1.2", "7", "9007199254740992", "9007199254740994",
      "1e17", "-",  "-beta", "+x", ".",  "6.9", "3"};
  std::string value;
  for (size_t parts = 1 + random() % 3; parts > 0; --parts) value += kParts[random() % kParts.size()];
  return value;
}

v1::FieldTest AnyTest(bool is_version, std::mt19937_64& random) {
  v1::FieldTest test;
  const auto number = [&] {
    static constexpr double kNumbers[] = {1, 2, 5, 41, 9007199254740992, 9007199254740994, 1e17, -3};
    return kNumbers[random() % std::size(kNumbers)];
  };
  const auto version = [&] {
    static constexpr const char* kVersions[] = {"4.2", "4.5.0", "5.0.0-beta", "7.0.0", "4.15.0", "50"};
    return kVersions[random() % std::size(kVersions)];
  };
  switch (random() % 3) {
    case 0:
      for (size_t texts = 1 + random() % 3; texts > 0; --texts) test.mutable_in()->add_texts(AnyValue(random));
      if (random() % 2 == 0) test.mutable_in()->add_texts(random() % 2 == 0 ? "other" : "aother");
      break;
    case 1:
      test.mutable_prefix()->add_texts(random() % 2 == 0 ? "a" : is_version ? "5." : "9");
      break;
    default:
      if (is_version) {
        test.mutable_version()->set_min(version());
        test.mutable_version()->set_excludes_min(random() % 2 == 0);
      } else {
        test.mutable_number()->set_min(number());
        test.mutable_number()->set_excludes_min(random() % 2 == 0);
      }
  }
  return test;
}

TEST(FieldValues, EveryValueIsOfAKind) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 random(seed);
    const bool is_version = random() % 2 == 0;
    std::vector<v1::FieldTest> tests;
    for (size_t count = 1 + random() % 4; count > 0; --count) tests.push_back(AnyTest(is_version, random));
    const FieldTests compiled(tests);
    const FieldValues values = WorkOutKinds("plan", tests, false);
    for (int i = 0; i < 200; ++i) {
      const std::string value = AnyValue(random);
      std::vector<bool> holds;
      for (size_t test = 0; test < tests.size(); ++test) holds.push_back(compiled.Holds(test, value));
      const bool is_known = std::any_of(values.kinds.begin(), values.kinds.end(), [&](const ValueKind& kind) {
        const bool is_named = std::find(kind.named.begin(), kind.named.end(), value) != kind.named.end();
        return kind.holds == holds && (kind.is_open || is_named);
      });
      ASSERT_TRUE(is_known || values.is_approximate) << "seed " << seed << " value " << value;
    }
  }
}

TEST(FieldValues, AVersionInARangeMayBeginWithAText) {
  for (const char* prefix : {"4.", "5.", "6"}) {
    const auto values = WorkOutKinds("app_version",
                                     Tests({fmt::format("prefix {{ texts: '{}' }}", prefix),
                                            "version { min: '4.5.0' max: '7.0.0' excludes_min: true }"}),
                                     false);
    EXPECT_THAT(Signatures(values), testing::IsSupersetOf({"TT", "TF", "FT", "FF"})) << prefix;
    EXPECT_TRUE(values.is_approximate);
  }
}

TEST(FieldValues, NoNumberIsBeyondTheLargest) {
  const auto values = WorkOutKinds("age", Tests({"number { min: 1.7976931348623157e308 excludes_min: true }"}), false);
  EXPECT_THAT(Signatures(values), UnorderedElementsAre("F absent", "F"));
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
