// While traffic runs: publish, move a canary from 1 to 100 %, roll back, begin an experiment, add and remove hosts. No
// request fails, and every change is in effect at the proxy within a second. Real processes, real models, real data.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status.h"
#include "store/store.h"
#include "tests/support/live_system.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using testing::ElementsAre;
using testing::Pair;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kInEffectMax{1000};
// Answers that a share is measured on.
constexpr uint64_t kAnswersPerStep = 600;

constexpr char kObjective[] = "HomePageRanking";
constexpr char kOldModel[] = "title-ranker@2";
constexpr char kNewModel[] = "title-ranker@3";

// What sb-snapshot says for a snapshot.
std::string HeaderOf(const std::string& hash) { return hash.substr(0, 16); }

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
  void Change(const std::string& command) { ChangeBy("rules", command); }
  // The same with `signalbox traffic`.
  void Move(const std::string& command) { ChangeBy("traffic", command); }
  void ChangeBy(const std::string& group, const std::string& command) {
    const int64_t before = store_->Latest()->sequence;
    const CommandResult result = RunShell(fmt::format("{} {} {} --store sqlite:{} --namespace {}", SignalboxProgram(),
                                                      group, command, system_.paths().store, cli::kDemoNamespace));
    const Clock::time_point acknowledged = Clock::now();
    ASSERT_EQ(result.exit_code, 0) << command << "\n" << result.output;
    ASSERT_GT(store_->Latest()->sequence, before) << command;
    ExpectInEffect(command.substr(0, command.find(' ')), acknowledged);
  }
  // `signalbox placement`, which takes effect when the control plane has seen to it.
  void ChangeFleet(const std::string& command) {
    const CommandResult result =
        RunShell(fmt::format("{} placement {} --store sqlite:{}", SignalboxProgram(), command, system_.paths().store));
    ASSERT_EQ(result.exit_code, 0) << command << "\n" << result.output;
  }

  // Waits until the films are on `hosts` and the proxy runs that.
  void ExpectFilmsOn(const std::set<std::string>& hosts) {
    EXPECT_TRUE(WaitUntil([&] {
      const auto films = Placement()["shards"]["films"].value("hosts", std::vector<std::string>());
      return std::set<std::string>(films.begin(), films.end()) == hosts;
    }));
    const int64_t published = store_->Latest()->sequence;
    EXPECT_TRUE(WaitUntil([&] { return RunningVersion() >= published; }));
  }

  // The newest that the control plane wrote.
  nlohmann::json Placement() const {
    const auto placement = store_->Get(store::kPlacementTopic, std::nullopt);
    return placement.ok() ? nlohmann::json::parse(placement->content) : nlohmann::json();
  }

  ChildProcess StartFilmHost(int& port) {
    const std::string port_file = folder_.File("host-4.port");
    ChildProcess host = StartShell(
        fmt::format(
            "exec {} host --repository {} --load none --listen 127.0.0.1:0 --port-file {} --join {} --shard films "
            "--host-id host-4",
            SignalboxProgram(), system_.paths().models, port_file, system_.control_address()),
        folder_.File("host-4.log"));
    auto bound = host.WaitForPort(port_file, kPatience);
    EXPECT_TRUE(bound.ok()) << bound.status();
    port = bound.value_or(0);
    return host;
  }

  // What was published last.
  void ExpectInEffect(const std::string& change, Clock::time_point since) {
    const int64_t published = store_->Latest()->sequence;
    ASSERT_TRUE(WaitUntil([&] { return RunningVersion() >= published; })) << change;
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - since);
    EXPECT_LE(took, kInEffectMax) << change;
    fmt::print("{:<20} in effect after {} ms\n", change, took.count());
  }

  void Publish(const std::string& canary) {
    std::string files = fmt::format("{}demo/*.js", kRules);
    if (!canary.empty()) files += fmt::format(" {}demo-canary/{}.js", kRules, canary);
    Change(fmt::format("publish {} --message '{}'", files, canary));
  }

  // A shift to the new model by a schedule that began before `begun_ago`: half of the users for an hour, then
  // everybody.
  void PublishRamp(std::chrono::minutes begun_ago) {
    const std::string file = folder_.File("ramp.js");
    const absl::Time start = absl::Now() - absl::FromChrono(begun_ago);
    ASSERT_TRUE(
        WriteFileAtomically(file, fmt::format(R"(export default [{{
      trafficShiftId: "home-page-ranker-3",
      targetObjectives: Objectives.HomePageRanking,
      toModel: {{name: "title-ranker", version: 3}},
      schedule: {{start: "{}", steps: [{{percentage: 50, hold: "1h"}}, {{percentage: 100}}]}},
    }}];)",
                                              absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", start, absl::UTCTimeZone())))
            .ok());
    ASSERT_NO_FATAL_FAILURE(Change(fmt::format("publish {}demo/*.js {} --message ramp", kRules, file)));
  }

  // Of requests that are sent from now on. Not one of them is decided by what ran before.
  cli::TrafficReport AnswersOfRunningSnapshot() {
    const cli::TrafficReport report = AnswersFromNow(kAnswersPerStep);
    EXPECT_THAT(report.snapshots, ElementsAre(Pair(HeaderOf(RunningHash()), report.answered())));
    return report;
  }

  void ExpectShare(double expected) {
    const cli::TrafficReport report = AnswersOfRunningSnapshot();
    const uint64_t answers = report.answered(kObjective);
    EXPECT_NEAR(report.Share(kObjective, kNewModel), expected, Tolerance(expected, answers)) << "seed " << kSeed << "\n"
                                                                                             << cli::Table(report);
    EXPECT_NEAR(report.Share(kObjective, kOldModel), 1 - expected, Tolerance(expected, answers)) << cli::Table(report);
  }

  // The hosts that answered requests for films, as the decision log has it, by the snapshot that runs.
  std::set<std::string> FilmHosts() {
    AnswersOfRunningSnapshot();
    const std::string hash = RunningHash();
    std::set<std::string> hosts;
    EXPECT_TRUE(WaitUntil([&] {
      uint64_t answers = 0;
      std::ifstream log(system_.paths().decision_log);
      for (std::string line; std::getline(log, line);) {
        // The last line may be half written.
        const auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
        if (!record.is_object() || !hash.starts_with(record.value("snapshot", "?"))) continue;
        ++answers;
        if (record["objective"] != "ArrivalDelay") hosts.insert(record["host"].get<std::string>());
      }
      return answers >= kAnswersPerStep;
    }));
    return hosts;
  }

  void ExpectThatNoRequestFailed() {
    sender_->Stop();
    const cli::TrafficReport report = sender_->Report();
    fmt::print("{} requests, {} failed\n{}", report.sent, report.failed(), cli::Table(report));
    EXPECT_EQ(report.failed(), 0U) << cli::Table(report);
    EXPECT_EQ(report.answered(), report.sent);
    const absl::Status stopped = system_.Stop();
    EXPECT_TRUE(stopped.ok()) << stopped;
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

  ExpectThatNoRequestFailed();
}

TEST_F(LiveChangeTest, ATrafficShiftIsMovedPausedAndResumedBesideTheRulesAndNoRequestFails) {
  ASSERT_NO_FATAL_FAILURE(Publish("1-percent"));
  ASSERT_NO_FATAL_FAILURE(Move("set home-page-ranker-3 10 --message better"));
  ExpectShare(0.1);
  ASSERT_NO_FATAL_FAILURE(Publish("50-percent"));
  ExpectShare(0.1);
  ASSERT_NO_FATAL_FAILURE(Move("resume home-page-ranker-3"));
  ExpectShare(0.5);

  ASSERT_NO_FATAL_FAILURE(PublishRamp(std::chrono::minutes(1)));
  ExpectShare(0.5);
  ASSERT_NO_FATAL_FAILURE(Move("pause home-page-ranker-3"));
  // By the rules everybody would have it by now.
  ASSERT_NO_FATAL_FAILURE(PublishRamp(std::chrono::minutes(120)));
  ExpectShare(0.5);
  ASSERT_NO_FATAL_FAILURE(Move("resume home-page-ranker-3"));
  ExpectShare(1);
  ExpectThatNoRequestFailed();
}

TEST_F(LiveChangeTest, AnExperimentBeginsAndHostsComeAndGoAndNoRequestFails) {
  const std::string experiment = folder_.File("experiment.js");
  ASSERT_TRUE(WriteFileAtomically(experiment, R"(export default [{
    abTestId: 20262,
    targetObjectives: Objectives.HomePageRanking,
    allocationPercentage: 50,
    cellToModel: {1: {name: "title-ranker", version: 2}, 2: {name: "title-ranker", version: 3}},
    cellWeights: {1: 0.5, 2: 0.5},
    modelInputType: constants.TITLE_INPUT_TYPE,
    modelType: "RANKER",
  }];)")
                  .ok());
  ASSERT_NO_FATAL_FAILURE(Change(fmt::format("publish {}demo/*.js {} --message experiment", kRules, experiment)));
  ExpectShare(0.25);

  const auto hosts = Placement()["shards"]["films"]["hosts"].get<std::set<std::string>>();
  ASSERT_EQ(hosts.size(), 2U);
  int port = 0;
  ChildProcess third = StartFilmHost(port);
  std::set<std::string> three = hosts;
  three.insert(fmt::format("127.0.0.1:{}", port));
  ExpectFilmsOn(three);
  EXPECT_EQ(FilmHosts(), three);

  ASSERT_NO_FATAL_FAILURE(ChangeFleet("drain-host host-2"));
  ASSERT_TRUE(WaitUntil([&] { return Placement()["shards"]["films"]["hosts"].size() == 2; }));
  const auto two = Placement()["shards"]["films"]["hosts"].get<std::set<std::string>>();
  ExpectFilmsOn(two);
  EXPECT_EQ(FilmHosts(), two);
  Signal("host-2", SIGTERM);  // nothing is sent to it any more, so its end costs no request
  ExpectShare(0.25);
  ExpectThatNoRequestFailed();
}

}  // namespace
}  // namespace signalbox
