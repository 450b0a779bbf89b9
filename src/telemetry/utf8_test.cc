#include "telemetry/utf8.h"

#include <gtest/gtest.h>

namespace signalbox::telemetry {
namespace {

std::string Valid(std::string_view text) {
  std::string out;
  AppendValidUtf8(text, out);
  return out;
}

TEST(Utf8, ValidTextStaysAsItIs) {
  for (std::string_view text :
       {"", "plain", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x9A\xA6", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"}) {
    EXPECT_EQ(Valid(text), text);
  }
}

TEST(Utf8, EveryByteThatBelongsToNoCharacterIsReplaced) {
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_EQ(Valid("a\x80z"), "a" + replacement + "z");
  EXPECT_EQ(Valid("\xC3"), replacement);
  EXPECT_EQ(Valid("\xC3("), replacement + "(");
  EXPECT_EQ(Valid("\xC0\x80"), replacement + replacement) << "an overlong zero";
  EXPECT_EQ(Valid("\xE0\x80\x80"), replacement + replacement + replacement) << "an overlong form";
  EXPECT_EQ(Valid("\xED\xA0\x80"), replacement + replacement + replacement) << "a surrogate";
  EXPECT_EQ(Valid("\xF4\x90\x80\x80"), replacement + replacement + replacement + replacement) << "above U+10FFFF";
  EXPECT_EQ(Valid("\xFF"), replacement);
}

TEST(Utf8, APrefixNeverEndsInsideACharacter) {
  EXPECT_EQ(Utf8Prefix("abc", 3), "abc");
  EXPECT_EQ(Utf8Prefix("abc", 2), "ab");
  EXPECT_EQ(Utf8Prefix("a\xE2\x82\xAC", 3), "a");
  EXPECT_EQ(Utf8Prefix("a\xE2\x82\xAC"
                       "b",
                       4),
            "a\xE2\x82\xAC");
  EXPECT_EQ(Utf8Prefix("\x80\x80\x80\x80\x80\x80\x80\x80", 6).size(), 6u) << "garbage is cut where it is";
}

}  // namespace
}  // namespace signalbox::telemetry
