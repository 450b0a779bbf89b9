#include "base/rfc3339.h"

#include <gtest/gtest.h>

namespace signalbox {
namespace {

TEST(Rfc3339, IsReadWithAnyZoneAndFraction) {
  EXPECT_EQ(ParseRfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ParseRfc3339("2026-03-01T12:00:00Z"), 1'772'366'400'000);
  EXPECT_EQ(ParseRfc3339("2026-03-01T13:30:00+01:30"), 1'772'366'400'000);
  EXPECT_EQ(ParseRfc3339("2026-03-01T07:00:00.25-05:00"), 1'772'366'400'250);
  EXPECT_EQ(ParseRfc3339("2026-03-01T12:00:00.000999Z"), 1'772'366'400'000);
  EXPECT_EQ(ParseRfc3339("2024-02-29T23:59:60Z"), ParseRfc3339("2024-02-29T23:59:59Z"));
}

TEST(Rfc3339, WhatIsNoTimeIsRefused) {
  for (const char* text :
       {"", "2026", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01 12:00:00Z", "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01T12:60:00Z", "2026-03-01T12:00:00.Z",
        "2026-03-01T12:00:00Zx", "2026-03-01T12:00:00+1:00", "1969-12-31T23:59:59Z", "yesterday"})
    EXPECT_EQ(ParseRfc3339(text), std::nullopt) << text;
}

TEST(Rfc3339, WhatIsWrittenIsReadAgain) {
  for (const int64_t time : {int64_t{0}, int64_t{1'772'366'400'250}, int64_t{253'402'300'799'999}}) {
    EXPECT_EQ(ParseRfc3339(Rfc3339(time)), time);
  }
  EXPECT_EQ(Rfc3339(1'772'366'400'000), "2026-03-01T12:00:00Z");
  EXPECT_EQ(Rfc3339(1'772'366'400'250), "2026-03-01T12:00:00.250Z");
}

}  // namespace
}  // namespace signalbox
