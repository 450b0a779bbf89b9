#include "effect/share.h"

#include <gtest/gtest.h>

namespace signalbox::effect {
namespace {

TEST(Share, KeepsEveryDigitOfAProduct) {
  EXPECT_EQ(Share::Ppm(30'000).Percent(), "3.00 %");
  EXPECT_EQ(Share::Ppm(1).Percent(), "0.0001 %");
  EXPECT_EQ(Share::Ppm(1).Times(500'000).Percent(), "0.00005 %");
  EXPECT_EQ(Share::Ppm(333'333).Times(333'333).Decimal(), "0.111110888889");
  EXPECT_EQ(Share::Ppm(1).Times(1).Times(1).Decimal(), "0.000000000000000001");
  EXPECT_EQ(Share().Percent(), "0.00 %");
  EXPECT_EQ(Share::Whole().Percent(), "100.00 %");
}

TEST(Share, SaysWhenItRounds) {
  EXPECT_EQ(Share::Ppm(333'333).Times(333'333).Percent(), "~11.11108889 %");
  EXPECT_EQ(Share::Ppm(999'999).Times(999'999).Times(999'999).Percent(), "~99.99970000 %");
}

TEST(Share, PartsAddUpToTheWholeExactly) {
  Share sum;
  for (const uint32_t first : {1U, 333'333U, 666'666U}) {
    for (const uint32_t second : {7U, 999'993U}) sum += Share::Ppm(first).Times(second);
  }
  EXPECT_EQ(sum, Share::Whole());
  EXPECT_EQ(sum.Fraction(), 1.0);
  EXPECT_LT(Share::Ppm(999'999).Times(999'999), Share::Ppm(999'999));
}

}  // namespace
}  // namespace signalbox::effect
