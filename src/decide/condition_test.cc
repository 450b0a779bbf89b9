#include "decide/condition.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory_resource>

#include "base/allocation_count.h"
#include "base/status.h"
#include "decide/condition_text.h"
#include "decide/decide.h"
#include "decide/test_snapshot.h"

namespace signalbox::decide {
namespace {

using ::testing::HasSubstr;

v1::Condition Parse(const std::string& text) {
  v1::Condition proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

// A condition with all that keeps it alive.
class Compiled {
 public:
  explicit Compiled(const std::string& text) : proto_(Parse(text)) {
    const auto compiled = compiler_.Compile(proto_, memory_);
    if (compiled.ok()) condition_ = *compiled;
    error_ = std::string(Message(compiled.status()));
  }

  bool Holds(const RequestContext& context) const {
    EXPECT_EQ(error_, "");
    return condition_ == nullptr || decide::Holds(*condition_, context, notes_);
  }
  uint32_t notes() const { return notes_; }
  const std::string& error() const { return error_; }

 private:
  const v1::Condition proto_;
  std::pmr::monotonic_buffer_resource memory_;
  ConditionCompiler compiler_{memory_};
  const Condition* condition_ = nullptr;
  std::string error_;
  mutable uint32_t notes_ = 0;
};

const Attribute kAttributes[] = {{"plan", "basic"}, {"age", "42"}, {"nothing", ""}};
constexpr int64_t kSaturdayNoonMs = 1'767'441'600'000;  // 2026-01-03T12:00:00Z

RequestContext Context() {
  return {.objective = "X",
          .user = "member-1",
          .country = "US",
          .locale = "en-US",
          .device = "tv",
          .tenant = "web",
          .traffic_type = TrafficType::kSynthetic,
          .app_version = "4.2.1",
          .segments = "kids premium",
          .attributes = kAttributes,
          .now_unix_ms = kSaturdayNoonMs};
}

TEST(Condition, IsTrueOrFalseAsItsTestsAre) {
  const std::pair<const char*, bool> cases[] = {
      {R"(field { field: "country" in { texts: "US" } })", true},
      {R"(field { field: "country" in { texts: "CA" } })", false},
      {R"(field { field: "country" in { texts: "AT" texts: "BE" texts: "CA" texts: "DE" texts: "US" } })", true},
      {R"(field { field: "country" in { texts: "AT" texts: "BE" texts: "CA" texts: "DE" texts: "U" } })", false},
      {R"(field { field: "traffic_type" in { texts: "synthetic" } })", true},
      {R"(field { field: "user" prefix { texts: "guest" texts: "member-" } })", true},
      {R"(field { field: "user" prefix { texts: "member-1" texts: "member-10" texts: "m" } })", true},
      {R"(field { field: "user" prefix { texts: "member-11" texts: "n" texts: "a" } })", false},
      {R"(field { field: "locale" regex: "^en" })", true},
      {R"(field { field: "locale" regex: "US" })", true},
      {R"(field { field: "locale" regex: "^US" })", false},
      {R"(field { field: "locale" regex: "(?i)EN-us" })", true},
      {R"(field { field: "plan" in { texts: "basic" } })", true},
      {R"(field { field: "age" number { min: 42 max: 42 } })", true},
      {R"(field { field: "age" number { min: 42 excludes_min: true } })", false},
      {R"(field { field: "age" number { max: 41.5 } })", false},
      {R"(field { field: "app_version" version { min: "4.2" } })", true},
      {R"(field { field: "app_version" version { min: "4.2.1" excludes_min: true } })", false},
      {R"(field { field: "app_version" version { max: "4.2.1-beta" } })", false},
      {R"(field { field: "app_version" version { min: "4" max: "5" excludes_max: true } })", true},
      {R"(field { field: "segments" in { texts: "premium" } })", true},
      {R"(field { field: "segments" in { texts: "kids premium" } })", false},
      {R"(field { field: "segments" prefix { texts: "prem" } })", true},
      {R"(field { field: "plan" present {} })", true},
      {R"(field { field: "nothing" present {} })", false},
      {R"(field { field: "surface" present {} })", false},
      {R"(not { field { field: "surface" in { texts: "home" } } })", true},
      {R"(all {})", true},
      {R"(any {})", false},
      {R"(not { all {} })", false},
      {R"(all { conditions { field { field: "country" in { texts: "US" } } } conditions { field { field: "device" in { texts: "tv" } } } })",
       true},
      {R"(all { conditions { field { field: "country" in { texts: "US" } } } conditions { any {} } })", false},
      {R"(any { conditions { field { field: "country" in { texts: "CA" } } } conditions { field { field: "device" in { texts: "tv" } } } })",
       true},
      {R"(time { from_unix_ms: 1767441600000 })", true},
      {R"(time { to_unix_ms: 1767441600000 })", false},
      {R"(time { from_unix_ms: 1767441600001 })", false},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Compiled(text).Holds(Context()), expected) << text;
}

TEST(Condition, OfAWrongTypeIsFalseAndNoted) {
  for (const char* test :
       {R"(field { field: "plan" number { min: 1 } })", R"(field { field: "plan" version { min: "1" } })"}) {
    const Compiled condition(test);
    EXPECT_FALSE(condition.Holds(Context()));
    EXPECT_EQ(condition.notes(), kWrongType);
    EXPECT_TRUE(Compiled(fmt::format("not {{ {} }}", test)).Holds(Context()));
  }
  const Compiled missing(R"(field { field: "surface" number { min: 1 } })");
  EXPECT_FALSE(missing.Holds(Context()));
  EXPECT_EQ(missing.notes(), kNoNote) << "a field that is not there has no type";
}

TEST(Condition, TakesDecimalNumbersOnly) {
  const Compiled condition(R"(field { field: "age" number { min: -1e300 } })");
  const std::pair<const char*, bool> cases[] = {
      {"12", true},   {"-0.5", true}, {"1e3", true}, {"", false},  {"1,5", false},   {"0x10", false}, {"inf", false},
      {"nan", false}, {" 1", false},  {"1 ", false}, {"-", false}, {"1e999", false}, {"+1", false}};
  for (const auto& [text, expected] : cases) {
    const Attribute attribute = {"age", text};
    EXPECT_EQ(condition.Holds({.attributes = {&attribute, 1}}), expected) << text;
  }
}

// Short whole numbers are read in a way of their own: on both sides of its limit the value must be the text's.
TEST(Condition, ReadsANumberAsItStands) {
  for (const char* text : {"0", "-0", "7", "-7", "007", "42.5", "-42.5", "1e3", "123456789012345", "-123456789012345",
                           "999999999999999", "1234567890123456", "9007199254740993"}) {
    const Compiled condition(
        fmt::format(R"(field {{ field: "age" number {{ min: {0} max: {0} }} }})", std::stod(text)));
    const Attribute attribute = {"age", text};
    EXPECT_TRUE(condition.Holds({.attributes = {&attribute, 1}})) << text;
  }
}

TEST(Condition, WithoutATimeIsInNoWindow) {
  for (const char* window : {"time { from_unix_ms: 1 }", "time { to_unix_ms: 9 }", "weekly { to_minute: 0 }"}) {
    EXPECT_FALSE(Compiled(window).Holds({})) << window;
    EXPECT_TRUE(Compiled(fmt::format("not {{ {} }}", window)).Holds({})) << window;
  }
}

TEST(WeeklyWindow, FollowsTheLocalWeekAndGoesOverMidnight) {
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t saturday = kSaturdayNoonMs - 12 * kHourMs;
  const std::tuple<const char*, int64_t, bool> cases[] = {
      {"days: 6 days: 7 from_minute: 1080 to_minute: 1380", 18, true},
      {"days: 6 days: 7 from_minute: 1080 to_minute: 1380", 23, false},
      {"days: 6 days: 7 from_minute: 1080 to_minute: 1380", 24 + 20, true},
      {"days: 6 days: 7 from_minute: 1080 to_minute: 1380", 48 + 20, false},
      {"days: 5 from_minute: 1320 to_minute: 120", 1, true},  // Friday 22:00 to Saturday 02:00
      {"days: 5 from_minute: 1320 to_minute: 120", 2, false},
      {"days: 5 from_minute: 1320 to_minute: 120", 22, false},
      {"days: 5 from_minute: 1320 to_minute: 120", -2, true},
      {"days: 6 from_minute: 0 to_minute: 1440", 23, true},
      {"days: 6 from_minute: 0 to_minute: 1440", 24, false},
      {"days: 6 from_minute: 0 to_minute: 60 utc_offset_minutes: 60", -1, true},
      {"days: 6 from_minute: 0 to_minute: 60 utc_offset_minutes: 60", 0, false},
      {"days: 6 from_minute: 0 to_minute: 60 utc_offset_minutes: -600", 10, true},
      {"from_minute: 600 to_minute: 600", 3, true},  // every day from 10:00 to 10:00
  };
  for (const auto& [window, hour, expected] : cases) {
    const Compiled condition(fmt::format("weekly {{ {} }}", window));
    EXPECT_EQ(condition.Holds({.now_unix_ms = saturday + hour * kHourMs}), expected) << window << " at " << hour;
  }
}

TEST(Condition, SaysWhatIsWrongWithIt) {
  std::string deep = "all {}";
  for (int i = 0; i < 40; ++i) deep = fmt::format("not {{ {} }}", deep);
  const std::pair<std::string, const char*> cases[] = {
      {"", "asks nothing"},
      {R"(field { field: "x" })", "x: asks nothing"},
      {R"(field { in { texts: "x" } })", "names no field"},
      {R"(field { field: "x" in {} })", "x: no texts to compare with"},
      {R"(field { field: "x" regex: "a(b" })", "x: regular expression \"a(b\": missing )"},
      {R"(field { field: "x" regex: "(a)\\1" })", "invalid escape sequence"},
      {R"(field { field: "x" regex: "((a{1000}){1000}){1000}" })", "regular expression"},
      {fmt::format(R"(field {{ field: "x" regex: "{}" }})", std::string(1001, 'a')),
       "1001 bytes, expected at most 1000"},
      {R"(field { field: "x" number {} })", "without ends"},
      {R"(field { field: "x" number { min: nan } })", "no number"},
      {R"(field { field: "x" version { min: "four" } })", "\"four\" is no version"},
      {"weekly { days: 8 }", "day 8, expected 1 (Monday) to 7 (Sunday)"},
      {"weekly { from_minute: 1440 }", "expected 0 to 1439"},
      {"weekly { utc_offset_minutes: 900 }", "expected -720 to 840"},
      {"time {}", "has no ends"},
      {deep, "deeper than"},
  };
  for (const auto& [text, expected] : cases) EXPECT_THAT(Compiled(text).error(), HasSubstr(expected)) << text;
}

TEST(Condition, FindsATextAmongAsManyAsThereMayBe) {
  std::string texts;
  for (int i = 0; i < 10'000; ++i) texts += fmt::format("texts: \"user-{}\" ", i);
  const Compiled table(fmt::format(R"(field {{ field: "user" in {{ {} }} }})", texts));
  const Compiled prefixes(fmt::format(R"(field {{ field: "user" prefix {{ {} }} }})", texts));
  for (int i = 0; i < 10'000; ++i) {
    const std::string user = fmt::format("user-{}", i);
    ASSERT_TRUE(table.Holds({.user = user})) << user;
    ASSERT_TRUE(prefixes.Holds({.user = user})) << user;
    ASSERT_TRUE(prefixes.Holds({.user = user + "x"})) << user;
    ASSERT_FALSE(table.Holds({.user = user + "x"})) << user;
  }
  EXPECT_FALSE(prefixes.Holds({.user = "user"}));
  EXPECT_FALSE(prefixes.Holds({.user = "zzz"}));
}

TEST(Condition, TellsTextsOfEveryLengthApart) {
  const std::vector<std::string> texts = {"a",        "ab",        "abc", "abcd", "abcde", "abcdef",   "abcdefg",
                                          "abcdefgh", "abcdefghi", "b",   "ba",   "aa",    "a\xC3\xA9"};
  for (const std::string& text : texts) {
    const Compiled condition(fmt::format(R"(field {{ field: "user" in {{ texts: "{}" }} }})", text));
    for (const std::string& value : texts) EXPECT_EQ(condition.Holds({.user = value}), value == text) << value;
    EXPECT_FALSE(condition.Holds({.user = text + std::string(1, '\0')})) << text;
    EXPECT_FALSE(condition.Holds({.user = std::string(1, '\0') + text})) << text;
  }
}

TEST(Condition, IsEvaluatedWithoutAllocation) {
  const Compiled condition(R"(
    all {
      conditions { field { field: "country" in { texts: "A" texts: "B" texts: "C" texts: "D" texts: "US" } } }
      conditions { field { field: "user" prefix { texts: "m" } } }
      conditions { field { field: "age" number { min: 1 } } }
      conditions { field { field: "app_version" version { min: "4.0.0-rc.1" } } }
      conditions { field { field: "segments" in { texts: "premium" } } }
      conditions { weekly { days: 6 to_minute: 1440 } }
    })");
  const RequestContext context = Context();
  const uint64_t before = AllocationCount();
  const bool holds = condition.Holds(context);
  EXPECT_EQ(AllocationCount(), before);
  EXPECT_TRUE(holds);
}

TEST(ConditionText, ReadsLikeASentence) {
  EXPECT_EQ(ConditionText(Parse(R"(
              all {
                conditions { field { field: "country" in { texts: "CA" texts: "US" } } }
                conditions { not { field { field: "device" in { texts: "tv" } } } }
                conditions {
                  any {
                    conditions { field { field: "age" number { min: 18 max: 30 excludes_max: true } } }
                    conditions { field { field: "app_version" version { min: "4.2" } } }
                    conditions { time { from_unix_ms: 951825599000 to_unix_ms: 1767441600250 } }
                    conditions { weekly { days: 6 from_minute: 1080 to_minute: 1380 utc_offset_minutes: 60 } }
                  }
                }
              })")),
            "country in (\"CA\", \"US\") and not device is \"tv\" and (18 <= age < 30 or app_version >= 4.2 or time "
            "from 2000-02-29T11:59:59Z until 2026-01-03T12:00:00.250Z or Sat 18:00 to 23:00 UTC+01:00)");
}

TEST(ConditionCompiler, WhatSaysTheSameIsKeptOnceWhereverItStands) {
  std::pmr::monotonic_buffer_resource memory;
  ConditionCompiler compiler(memory);
  const v1::Condition us = Parse(R"(field { field: "country" in { texts: "CA" texts: "US" } })");
  const v1::Condition again = us;
  const v1::Condition other = Parse(R"(field { field: "country" in { texts: "CA" } })");
  const auto first = compiler.CompileShared(us);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*compiler.CompileShared(again), *first);
  EXPECT_NE(*compiler.CompileShared(other), *first);
  uint32_t notes = 0;
  EXPECT_TRUE(decide::Holds(**first, Context(), notes));
  EXPECT_FALSE(decide::Holds(**compiler.CompileShared(other), Context(), notes));
  EXPECT_FALSE(compiler.CompileShared(Parse(R"(field { field: "country" })")).ok());
}

}  // namespace
}  // namespace signalbox::decide
