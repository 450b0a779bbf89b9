#include "base/percent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace signalbox {
namespace {

TEST(Percent, SaysEveryShareExactlyAndIsReadBackAsTheSame) {
  EXPECT_EQ(Percent(0), "0 %");
  EXPECT_EQ(Percent(500), "0.05 %");
  EXPECT_EQ(Percent(100'000), "10 %");
  EXPECT_EQ(Percent(333'333), "33.3333 %");
  EXPECT_EQ(Percent(1'000'000), "100 %");
  for (uint32_t ppm = 0; ppm <= 1'000'000; ppm += ppm < 20'000 ? 1 : 997) ASSERT_EQ(*ParsePercent(Percent(ppm)), ppm);
}

TEST(Percent, IsReadWithAndWithoutItsSignAndTrailingNoughts) {
  for (const char* text : {"12.5", "12.5%", "12.5 %", "12.5000", "012.5"})
    EXPECT_EQ(*ParsePercent(text), 125'000U) << text;
  EXPECT_EQ(*ParsePercent("0.0001"), 1U);
  EXPECT_EQ(*ParsePercent("100.0000"), 1'000'000U);
}

TEST(Percent, WhatIsNoPercentageIsRefusedAndSaysWhatIs) {
  for (const char* text : {"", "%", ".5", "5.", "-1", "+1", "1e1", "100.0001", "101", "0.00001", "12,5", "ten", "1 0",
                           "99999999999999999999", "5%%", "0x10", " 5"}) {
    const absl::Status status = ParsePercent(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(Message(status)), testing::HasSubstr("from 0 to 100 with at most 4 decimals")) << text;
  }
}

}  // namespace
}  // namespace signalbox
