// While traffic runs, a process is killed: what is lost is what it was answering, and nothing else.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/live_system.h"

namespace signalbox {
namespace {

constexpr uint64_t kAnswers = 600;

class LossTest : public LiveSystem {};

TEST_F(LossTest, WithoutAControlPlaneNothingChanges) {
  const int64_t version = RunningVersion();
  ASSERT_NO_FATAL_FAILURE(Kill("control"));
  const cli::TrafficReport report = AnswersFromNow(3 * kAnswers);
  EXPECT_EQ(report.failed(), 0U) << cli::Table(report);
  EXPECT_EQ(RunningVersion(), version);
  sender_->Stop();
  EXPECT_EQ(sender_->Report().failed(), 0U) << cli::Table(sender_->Report());
}

TEST_F(LossTest, TheOtherHostOfAShardTakesOverWhenOneIsKilled) {
  const cli::TrafficReport before = AnswersFromNow(kAnswers);
  EXPECT_EQ(before.failed(), 0U) << cli::Table(before);

  ASSERT_NO_FATAL_FAILURE(Kill("host-1"));
  AnswersFromNow(30);  // a tenth of a second: the proxy has seen the connection close
  const cli::TrafficReport after = AnswersFromNow(3 * kAnswers);
  fmt::print("after the loss of a host:\n{}", cli::Table(after));
  EXPECT_EQ(after.failed(), 0U) << "requests that came after the loss\n" << cli::Table(after);
  for (const char* objective : {"TitleRanking", "HomePageRanking", "ArrivalDelay"}) {
    EXPECT_GT(after.answered(objective), kAnswers / 2) << objective;
  }
  sender_->Stop();
  const cli::TrafficReport all = sender_->Report();
  fmt::print("{} of {} requests failed\n", all.failed(), all.sent);
  // Those that the host was answering when it died: two at once would be many, at this rate.
  EXPECT_LE(all.failed(), 20U) << cli::Table(all);
}

}  // namespace
}  // namespace signalbox
