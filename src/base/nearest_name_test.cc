#include "base/nearest_name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace signalbox {
namespace {

const std::vector<std::string_view> kNames = {"ArrivalDelay", "ContinueWatchingRanking", "TitleRanking"};

TEST(NearestName, IsTheOneWithTheFewestEdits) {
  EXPECT_EQ(NearestName("TitelRanking", kNames), "TitleRanking");
  EXPECT_EQ(NearestName("titleranking", kNames), "TitleRanking");
  EXPECT_EQ(NearestName("ContinueWatchingRankin", kNames), "ContinueWatchingRanking");
  EXPECT_EQ(NearestName("ArivalDelays", kNames), "ArrivalDelay");
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(NearestName("FraudScoring", kNames), "");
  EXPECT_EQ(NearestName("", kNames), "");
  EXPECT_EQ(NearestName("x", {}), "");
  EXPECT_EQ(NearestName(std::string(5000, 'a'), kNames), "");
}

}  // namespace
}  // namespace signalbox
