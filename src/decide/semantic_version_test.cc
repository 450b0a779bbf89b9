#include "decide/semantic_version.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace signalbox::decide {
namespace {

TEST(SemanticVersion, IsOrderedAsSemverSays) {
  const std::vector<std::string> ascending = {"0",
                                              "0.0.1",
                                              "1.0.0-alpha",
                                              "1.0.0-alpha.1",
                                              "1.0.0-alpha.beta",
                                              "1.0.0-beta",
                                              "1.0.0-beta.2",
                                              "1.0.0-beta.11",
                                              "1.0.0-rc.1",
                                              "1",
                                              "1.0.1",
                                              "1.2",
                                              "1.10",
                                              "2.0.0-0",
                                              "2",
                                              "10.0.0",
                                              "18446744073709551615.0.0"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(*ParseSemanticVersion(ascending[i]) <=> *ParseSemanticVersion(ascending[j]), i <=> j)
          << ascending[i] << " and " << ascending[j];
    }
  }
}

TEST(SemanticVersion, OfWhatIsLeftOutIsZeroAndBuildsHaveNoOrder) {
  for (const char* text : {"4.2", "4.2.0", "4.2+build.7", "4.2.0+x-y"})
    EXPECT_EQ(*ParseSemanticVersion("4.2.0"), *ParseSemanticVersion(text)) << text;
}

TEST(SemanticVersion, IsNothingElse) {
  for (const char* text : {"", "v1", "1.", ".1", "1..2", "1.2.3.4", "1.2.3-", "1.2.3-a..b", "1.2.3+", "a", "-1", "1.-2",
                           "1 ", "1.2.3-\xC3\xA9", "18446744073709551616"})
    EXPECT_FALSE(ParseSemanticVersion(text).has_value()) << text;
}

}  // namespace
}  // namespace signalbox::decide
