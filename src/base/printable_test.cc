#include "base/printable.h"

#include <gtest/gtest.h>

namespace signalbox {
namespace {

TEST(Printable, TextWithoutControlCharactersStaysAsItIs) {
  for (const std::string text : {"", "canary 10 %", "zurück, s'il te plaît", "回滚", "\xe2\x80\xa6", "\xff\xc2"}) {
    EXPECT_FALSE(HoldsControlCharacters(text)) << text;
    EXPECT_EQ(EscapeControlCharacters(text), text);
  }
}

TEST(Printable, WhatCouldForgeALineIsFoundAndEscaped) {
  const std::pair<std::string, std::string> table[] = {
      {"ok\n* 99 evil", R"(ok\n* 99 evil)"},
      {"a\tb", R"(a\tb)"},
      {"a\rb", R"(a\x0db)"},
      {"\x1b[2Jgone", R"(\x1b[2Jgone)"},
      {"a\x7f", R"(a\x7f)"},
      {std::string("a\0b", 3), R"(a\x00b)"},
      {"a\xc2\x9b", R"(a\xc2\x9b)"},
      {"a\xe2\x80\xa8", R"(a\xe2\x80\xa8)"},
      {"\xe2\x80\xaelive", R"(\xe2\x80\xaelive)"},
      {"\xe2\x81\xa6live", R"(\xe2\x81\xa6live)"},
  };
  for (const auto& [text, escaped] : table) {
    EXPECT_TRUE(HoldsControlCharacters(text)) << escaped;
    EXPECT_EQ(EscapeControlCharacters(text), escaped);
  }
}

}  // namespace
}  // namespace signalbox
