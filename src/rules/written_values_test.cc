// Times, durations and versions as authors write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rfc3339.h"
#include "rules/moment.h"
#include "rules/version_text.h"

namespace signalbox::rules {
namespace {

TEST(Moment, HasADateATimeAndAZone) {
  EXPECT_EQ(ParseMoment("2026-01-01T00:00:00Z"), 1767225600000);
  EXPECT_EQ(ParseMoment("2026-01-01T01:00:00+01:00"), 1767225600000);
  EXPECT_EQ(ParseMoment("2026-01-01T00:00:00.250Z"), 1767225600250);
  EXPECT_EQ(Rfc3339(1767225600000), "2026-01-01T00:00:00Z");
  EXPECT_EQ(Rfc3339(1767225600250), "2026-01-01T00:00:00.250Z");
  for (const char* text :
       {"", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "2026-01-01 00:00:00Z", "infinite-future", "1969-01-01T00:00:00Z", "+2026-01-01T00:00:00Z"}) {
    EXPECT_EQ(ParseMoment(text), std::nullopt) << text;
  }
}

TEST(Duration, IsANumberAndAUnit) {
  EXPECT_EQ(ParseDuration("90s"), 90'000);
  EXPECT_EQ(ParseDuration("30m"), 1'800'000);
  EXPECT_EQ(ParseDuration("2h"), 7'200'000);
  EXPECT_EQ(ParseDuration("1d"), 86'400'000);
  for (const char* text : {"", "s", "0s", "-1s", "1.5h", "30", "30 m", "1w", "99999999999999999999d", "3651d", "+1d"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Version, HasOneToThreeNumbersAndPerhapsAPreRelease) {
  EXPECT_EQ(CanonicalVersion("4"), "4.0.0");
  EXPECT_EQ(CanonicalVersion("4.2"), "4.2.0");
  EXPECT_EQ(CanonicalVersion("04.002.1"), "4.2.1");
  EXPECT_EQ(CanonicalVersion("4.2.0-beta.1+build.7"), "4.2.0-beta.1");
  for (const char* text :
       {"", ".", "4.", "4..2", "4.2.1.0", "v4", "4.x", "4.2-", "4.2+", "4.2-a..b", "4 ", "-1", "4.2-\xC3\xA4"}) {
    EXPECT_EQ(CanonicalVersion(text), std::nullopt) << text;
  }
}

// The order that semver.org gives as its example, and numbers that texts would order otherwise.
TEST(Version, OrderIsThatOfSemanticVersions) {
  const char* in_order[] = {
      "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
      "1.0.0",       "1.2.0",         "1.10.0",           "2.0.0"};
  for (size_t i = 0; i < std::size(in_order); ++i) {
    for (size_t j = 0; j < std::size(in_order); ++j) {
      const int expected = i == j ? 0 : (i < j ? -1 : 1);
      EXPECT_EQ(CompareVersions(in_order[i], in_order[j]), expected) << in_order[i] << " " << in_order[j];
    }
  }
}

}  // namespace
}  // namespace signalbox::rules
