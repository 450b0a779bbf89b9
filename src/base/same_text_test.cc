#include "base/same_text.h"

#include <gtest/gtest.h>

#include <string>

namespace signalbox {
namespace {

TEST(SameText, IsEqualityForEveryLengthAndEveryByte) {
  for (size_t size = 0; size <= 40; ++size) {
    const std::string text(size, 'a');
    ASSERT_TRUE(SameText(text, std::string(size, 'a'))) << size;
    ASSERT_FALSE(SameText(text, text + 'a')) << size;
    ASSERT_FALSE(SameText(text + 'a', text)) << size;
    for (size_t at = 0; at < size; ++at) {
      std::string other = text;
      other[at] = '\x80';
      ASSERT_FALSE(SameText(text, other)) << "byte " << at << " of " << size;
    }
  }
}

TEST(SameText, TakesTextsWithoutAnAddress) {
  EXPECT_TRUE(SameText({}, {}));
  EXPECT_TRUE(SameText({}, ""));
  EXPECT_FALSE(SameText({}, "a"));
}

}  // namespace
}  // namespace signalbox
