#include "host/quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace signalbox::host {
namespace {

TEST(Quality, SpearmanSeesOrderAlone) {
  const std::vector<float> labels = {1, 2, 3, 4}, same = {10, 20, 300, 4000}, reversed = {4, 3, 2, 1},
                           flat = {1, 1, 1, 1};
  EXPECT_DOUBLE_EQ(Spearman(same, labels), 1);
  EXPECT_DOUBLE_EQ(Spearman(reversed, labels), -1);
  EXPECT_DOUBLE_EQ(Spearman(flat, labels), 0);
  // Ties share their mean rank: ranks 1.5 1.5 3 4 against 1 2 3 4.
  EXPECT_NEAR(Spearman(std::vector<float>{1, 1, 2, 3}, labels), 4.5 / std::sqrt(4.5 * 5), 1e-12);
}

TEST(Quality, AreaUnderCurveCountsPairs) {
  const std::vector<float> labels = {0, 0, 1, 1};
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f}, labels), 1);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<float>{0.1f, 0.3f, 0.2f, 0.4f}, labels), 0.75);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<float>{1, 1, 1, 1}, labels), 0.5);
  EXPECT_DOUBLE_EQ(AreaUnderCurve(std::vector<float>{1, 2}, std::vector<float>{1, 1}), 0.5);
}

TEST(Quality, LogLossStaysFiniteForTheMostMistaken) {
  EXPECT_NEAR(LogLoss(std::vector<float>{0.5f}, std::vector<float>{1}), std::log(2), 1e-6);
  EXPECT_NEAR(LogLoss(std::vector<float>{1}, std::vector<float>{0}), -std::log(1e-6), 1e-6);
  EXPECT_DOUBLE_EQ(LogLoss({}, {}), 0);
}

TEST(Quality, NdcgIsOneForTheIdealOrderAndLessForAnyOther) {
  const std::vector<float> ratings = {4, 5, 6, 7, 8, 9, 3, 2};
  std::vector<float> reversed(ratings.size());
  std::transform(ratings.begin(), ratings.end(), reversed.begin(), std::negate<float>());
  EXPECT_DOUBLE_EQ(MeanNdcgAt10(ratings, ratings, 50, 5, /*seed=*/1), 1);
  EXPECT_LT(MeanNdcgAt10(reversed, ratings, 50, 5, /*seed=*/1), 0.8);
  EXPECT_DOUBLE_EQ(MeanNdcgAt10(reversed, ratings, 50, 5, /*seed=*/1), MeanNdcgAt10(reversed, ratings, 50, 5, 1));
  // Nothing to gain: no order is worse than another.
  EXPECT_DOUBLE_EQ(MeanNdcgAt10(std::vector<float>{1, 2}, std::vector<float>{1, 2}, 3, 2, /*seed=*/1), 1);
}

}  // namespace
}  // namespace signalbox::host
