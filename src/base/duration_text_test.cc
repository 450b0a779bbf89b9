#include "base/duration_text.h"

#include <gtest/gtest.h>

#include <utility>

namespace signalbox {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;

TEST(DurationText, HasTheTwoLargestUnits) {
  const std::pair<int64_t, const char*> durations[] = {
      {0, "0 ms"},    {999, "999 ms"},         {45'000, "45 s"},       {kMinute + 1000, "1 min 1 s"},
      {kHour, "1 h"}, {kHour + 59'000, "1 h"}, {26 * kHour, "1 d 2 h"}};
  for (const auto& [ms, text] : durations) EXPECT_EQ(DurationText(ms), text);
}

}  // namespace
}  // namespace signalbox
