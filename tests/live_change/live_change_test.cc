// While traffic runs: publish, move a canary from 1 to 100 %, roll back. No request fails, and every change is in
// effect at the proxy within a second. Real processes, real models, real data.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/test_folder.h"
#include "cli/demo/demo_models.h"
#include "cli/demo/demo_system.h"
#include "cli/traffic/traffic_sender.h"
#include "store/store.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint64_t kSeed = 20;
constexpr uint64_t kUsers = 100'000;
constexpr double kRate = 300;
constexpr milliseconds kInEffectMax{1000};
// Answers that a share is measured on.
constexpr uint64_t kAnswersPerStep = 600;

constexpr char kData[] = SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data";
constexpr char kRules[] = SIGNALBOX_SOURCE_DIR "/examples/rules/";
constexpr char kObjective[] = "HomePageRanking";
constexpr char kOldModel[] = "title-ranker@2";
constexpr char kNewModel[] = "title-ranker@3";

// Six standard deviations of a share of `answers` draws: a fair draw fails this once in a billion.
double Tolerance(double share, uint64_t answers) {
  return 6 * std::sqrt(share * (1 - share) / static_cast<double>(answers)) + 1e-9;
}

class LiveChangeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(cli::TrainOnce(kData, system_.paths().models, kSeed).ok())
        << "no data in " << kData << ": run scripts/setup, which installs the npm packages";
    ASSERT_TRUE(system_.MakeFolders().ok());
    for (auto step : {&cli::DemoSystem::StartHosts, &cli::DemoSystem::StartControlPlane, &cli::DemoSystem::PublishRules,
                      &cli::DemoSystem::StartProxy}) {
      auto started = (system_.*step)();
      ASSERT_TRUE(started.ok()) << started.status();
    }
    auto opened = store::OpenStore("sqlite:" + system_.paths().store, store::OpenMode::kExisting);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    auto source = cli::RequestSource::Load(
        {.data_folder = kData, .objectives = cli::DemoObjectives(), .users = kUsers, .seed = kSeed});
    ASSERT_TRUE(source.ok()) << source.status();
    auto sender =
        cli::TrafficSender::Start({.target = system_.proxy_address(), .rate_per_second = kRate}, *std::move(source));
    ASSERT_TRUE(sender.ok()) << sender.status();
    sender_ = *std::move(sender);
  }

  // The version that the proxy says it runs.
  int64_t RunningVersion() {
    httplib::Client admin("http://" + system_.admin_address());
    const httplib::Result page = admin.Get("/snapshot");
    if (!page || page->status != 200) return 0;
    return nlohmann::json::parse(page->body, nullptr, /*allow_exceptions=*/false).value("version", int64_t{0});
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

  // What was answered to requests that were sent after now.
  cli::TrafficReport AnswersFromNow(uint64_t answers) {
    const uint64_t sent = sender_->Report().sent;
    EXPECT_TRUE(WaitUntil([&] { return sender_->Report().settled >= sent; })) << "requests are not answered";
    const cli::TrafficReport start = sender_->Report();
    EXPECT_TRUE(WaitUntil([&] { return sender_->Report().Since(start).answered() >= answers; }))
        << "traffic has stopped";
    return sender_->Report().Since(start);
  }

  void ExpectShare(double expected) {
    const cli::TrafficReport report = AnswersFromNow(kAnswersPerStep);
    const uint64_t answers = report.answered(kObjective);
    EXPECT_NEAR(report.Share(kObjective, kNewModel), expected, Tolerance(expected, answers)) << "seed " << kSeed << "\n"
                                                                                             << cli::Table(report);
    EXPECT_NEAR(report.Share(kObjective, kOldModel), 1 - expected, Tolerance(expected, answers)) << cli::Table(report);
  }

  TestFolder folder_;
  cli::DemoSystem system_{
      {.program = SignalboxProgram(),
       .folder = folder_.path(),
       .listen = "127.0.0.1:0",
       .admin = "127.0.0.1:0",
       .rule_files = {fmt::format("{}demo/delays.js", kRules), fmt::format("{}demo/home-page.js", kRules),
                      fmt::format("{}demo/titles.js", kRules)}},
      [] { return false; }};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<cli::TrafficSender> sender_;
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
