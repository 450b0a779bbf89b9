// While traffic runs: publish, move a canary from 1 to 100 %, roll back. No request fails, and every change is in
// effect at the proxy within a second. Real processes, real models, real data.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "store/store.h"
#include "tests/support/live_system.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kInEffectMax{1000};
// Answers that a share is measured on.
constexpr uint64_t kAnswersPerStep = 600;

constexpr char kObjective[] = "HomePageRanking";
constexpr char kOldModel[] = "title-ranker@2";
constexpr char kNewModel[] = "title-ranker@3";

// Six standard deviations of a share of `answers` draws: a fair draw fails this once in a billion.
double Tolerance(double share, uint64_t answers) {
  return 6 * std::sqrt(share * (1 - share) / static_cast<double>(answers)) + 1e-9;
}

class LiveChangeTest : public LiveSystem {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(LiveSystem::SetUp());
    auto opened = store::OpenStore("sqlite:" + system_.paths().store, store::OpenMode::kExisting);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  // Runs a `signalbox rules` command that changes the store, and waits until the proxy runs what came of it.
  void Change(const std::string& command) {
    const int64_t before = store_->Latest()->sequence;
    const CommandResult result =
        RunShell(fmt::format("{} rules {} --store sqlite:{} --namespace {}", SignalboxProgram(), command,
                             system_.paths().store, cli::kDemoNamespace));
    const Clock::time_point acknowledged = Clock::now();
    ASSERT_EQ(result.exit_code, 0) << command << "\n" << result.output;
    const int64_t published = store_->Latest()->sequence;
    ASSERT_GT(published, before) << command;
    ASSERT_TRUE(WaitUntil([&] { return RunningVersion() >= published; })) << command;
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - acknowledged);
    EXPECT_LE(took, kInEffectMax) << command;
    fmt::print("{:<55} in effect {} ms after it was acknowledged\n", command.substr(0, command.find(' ')),
               took.count());
  }

  void Publish(const std::string& canary) {
    std::string files = fmt::format("{}demo/*.js", kRules);
    if (!canary.empty()) files += fmt::format(" {}demo-canary/{}.js", kRules, canary);
    Change(fmt::format("publish {} --message '{}'", files, canary));
  }

  void ExpectShare(double expected) {
    const cli::TrafficReport report = AnswersFromNow(kAnswersPerStep);
    const uint64_t answers = report.answered(kObjective);
    EXPECT_NEAR(report.Share(kObjective, kNewModel), expected, Tolerance(expected, answers)) << "seed " << kSeed << "\n"
                                                                                             << cli::Table(report);
    EXPECT_NEAR(report.Share(kObjective, kOldModel), 1 - expected, Tolerance(expected, answers)) << cli::Table(report);
  }

  std::unique_ptr<store::Store> store_;
};

TEST_F(LiveChangeTest, ACanaryGoesToEverybodyAndBackAndNoRequestFails) {
  ExpectShare(0);
  const std::pair<const char*, double> steps[] = {
      {"1-percent", 0.01}, {"10-percent", 0.1}, {"50-percent", 0.5}, {"100-percent", 1}};
  for (const auto& [canary, share] : steps) {
    ASSERT_NO_FATAL_FAILURE(Publish(canary));
    ExpectShare(share);
  }
  ASSERT_NO_FATAL_FAILURE(Change("rollback"));
  ExpectShare(0.5);
  ASSERT_NO_FATAL_FAILURE(Change("rollback --to 1"));
  ExpectShare(0);

  sender_->Stop();
  const cli::TrafficReport report = sender_->Report();
  fmt::print("{} requests, {} failed\n{}", report.sent, report.failed(), cli::Table(report));
  EXPECT_EQ(report.failed(), 0U) << cli::Table(report);
  EXPECT_EQ(report.answered(), report.sent);
  const absl::Status stopped = system_.Stop();
  EXPECT_TRUE(stopped.ok()) << stopped;
}

}  // namespace
}  // namespace signalbox
