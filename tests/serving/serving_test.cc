// train, host, proxy with rules from files, traffic: the commands of a user without a control plane.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "base/status.h"
#include "base/test_folder.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using testing::HasSubstr;

constexpr char kData[] = SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data";
constexpr char kRules[] = SIGNALBOX_SOURCE_DIR "/examples/rules/demo";

// How many requests had certain values, which stand with spaces between.
using Counts = std::map<std::string, uint64_t>;
using Names = std::vector<std::string>;
const Names kWhoAndModel = {"tenant", "traffic_type", "objective", "model"};

uint64_t Sum(const Counts& counts) {
  uint64_t sum = 0;
  for (const auto& [values, count] : counts) sum += count;
  return sum;
}

// By kWhoAndModel, from the summary of `signalbox send`.
void CountSent(const nlohmann::json& summary, const std::string& tenant, const std::string& type, Counts& counts) {
  for (const auto& objective : summary["objectives"]) {
    for (const auto& model : objective["models"]) {
      counts[fmt::format("{} {} {} {}", tenant, type, objective["objective"].get<std::string>(),
                         model["model"].get<std::string>())] += model["answered"].get<uint64_t>();
    }
  }
}

// Of one family of /metrics, by the values of `labels`.
Counts Scrape(int admin_port, const std::string& family, const Names& labels) {
  httplib::Client admin("127.0.0.1", admin_port);
  const httplib::Result page = admin.Get("/metrics");
  Counts counts;
  std::istringstream lines(page ? page->body : "");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(family + "{")) continue;
    Names values;
    for (const std::string& label : labels) {
      const std::string begin = label + "=\"";
      const size_t at = line.find(begin) + begin.size();
      values.push_back(line.substr(at, line.find('"', at) - at));
    }
    const auto count = static_cast<uint64_t>(std::stod(line.substr(line.rfind(' '))));
    if (count > 0) counts[fmt::format("{}", fmt::join(values, " "))] += count;
  }
  return counts;
}

// Of a decision log, by the values of `fields`.
Counts LogCounts(const std::string& file, const Names& fields) {
  Counts counts;
  std::ifstream log(file);
  for (std::string line; std::getline(log, line);) {
    const auto record = nlohmann::json::parse(line);
    Names values;
    for (const std::string& field : fields) values.push_back(record[field].get<std::string>());
    ++counts[fmt::format("{}", fmt::join(values, " "))];
  }
  return counts;
}

// Whether the process's first thread has blocked a signal, to take it in its own time.
bool Blocks(const ChildProcess& process, int signal) {
  std::ifstream status(fmt::format("/proc/{}/status", process.pid()));
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kBlocked = "SigBlk:\t";
    if (!line.starts_with(kBlocked)) continue;
    return (std::stoull(line.substr(kBlocked.size()), nullptr, 16) >> (signal - 1) & 1) != 0;
  }
  return false;
}

class ServingTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(fmt::format("{}/movies.json", kData)))
        << kData << " is not there: run scripts/setup, which installs the npm packages";
    const CommandResult trained =
        RunShell(fmt::format("{} train --data {} --out {}", SignalboxProgram(), kData, models_));
    ASSERT_EQ(trained.exit_code, 0) << trained.output;
    training_output_ = trained.output;
  }

  // A role of the binary, ready: its port file is there.
  ChildProcess StartRole(const std::string& name, const std::string& flags, int& port) {
    const std::string port_file = folder_.File(name + ".port");
    ChildProcess child =
        StartShell(fmt::format("exec {} {} --listen 127.0.0.1:0 --port-file {}", SignalboxProgram(), flags, port_file),
                   folder_.File(name + ".log"));
    auto bound = child.WaitForPort(port_file, kPatience);
    EXPECT_TRUE(bound.ok()) << bound.status();
    port = bound.value_or(0);
    return child;
  }

  void WritePlacement(int host_port) {
    const std::string placement = fmt::format(R"({{"shards": {{"all": ["127.0.0.1:{}"]}},
                                   "models": {{"title-ranker": ["all"], "arrival-delay": ["all"]}}}})",
                                              host_port);
    ASSERT_TRUE(WriteFileAtomically(folder_.File("placement.json"), placement).ok());
  }

  CommandResult Run(const std::string& arguments) { return RunShell(SignalboxProgram() + " " + arguments); }

  TestFolder folder_;
  const std::string models_ = folder_.File("models");
  std::string training_output_;
};

TEST_F(ServingTest, TrainingShowsWhatEachVersionIsWorth) {
  for (const char* text :
       {"3200 films from movies.json", "20000 flights from flights-20k.json", "ndcg@10", "log_loss", "title-ranker@1",
        "title-ranker@2", "title-ranker@3", "arrival-delay@1", "arrival-delay@2"}) {
    EXPECT_THAT(training_output_, HasSubstr(text));
  }
}

TEST_F(ServingTest, RulesFromFilesSpreadTrafficAsTheySay) {
  int host_port = 0, proxy_port = 0;
  ChildProcess host = StartRole("host", "host --repository " + models_, host_port);
  WritePlacement(host_port);
  ChildProcess proxy = StartRole(
      "proxy", fmt::format("proxy --rules {}/*.js --placement {}", kRules, folder_.File("placement.json")), proxy_port);

  const CommandResult traffic =
      Run(fmt::format("send --target 127.0.0.1:{} --data {} --rate 500 --duration 6 --users 1000000 --seed 3 --json",
                      proxy_port, kData));
  ASSERT_EQ(traffic.exit_code, 0) << traffic.output;
  const auto summary = nlohmann::json::parse(traffic.output, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(summary.is_object()) << traffic.output;
  EXPECT_EQ(summary["failed"], 0);
  EXPECT_EQ(summary["answered"], summary["sent"]);
  // Half of the users are in the test, 45, 45 and 10 % of them in its cells; cell 1 has the default model too.
  const std::map<std::string, std::map<std::string, double>> expected = {
      {"TitleRanking", {{"title-ranker@1", 0.05}, {"title-ranker@2", 0.725}, {"title-ranker@3", 0.225}}},
      {"HomePageRanking", {{"title-ranker@2", 1}}},
      {"ArrivalDelay", {{"arrival-delay@1", 0.99}, {"arrival-delay@2", 0.01}}}};
  for (const auto& objective : summary["objectives"]) {
    const double answers = objective["answered"].get<double>();
    for (const auto& model : objective["models"]) {
      const double share = expected.at(objective["objective"]).at(model["model"]);
      EXPECT_NEAR(model["share"].get<double>(), share, 6 * std::sqrt(share * (1 - share) / answers) + 1e-9)
          << objective["objective"] << " " << model["model"] << ", seed 3";
    }
  }
  EXPECT_EQ(summary["objectives"].size(), 3U);
  EXPECT_TRUE(proxy.Stop(kPatience)) << proxy.Report();
  EXPECT_TRUE(host.Stop(kPatience)) << host.Report();
}

TEST_F(ServingTest, MetricsDecisionLogAndSenderCountTheSame) {
  int host_port = 0, proxy_port = 0;
  ChildProcess host = StartRole("host", "host --repository " + models_, host_port);
  WritePlacement(host_port);
  const std::string log = folder_.File("decisions.jsonl");
  const std::string admin_port_file = folder_.File("admin.port");
  ChildProcess proxy = StartRole(
      "proxy",
      fmt::format("proxy --rules {}/*.js --placement {} --admin 127.0.0.1:0 --admin-port-file {} --decision-log {}",
                  kRules, folder_.File("placement.json"), admin_port_file, log),
      proxy_port);
  auto admin_port = proxy.WaitForPort(admin_port_file, kPatience);
  ASSERT_TRUE(admin_port.ok()) << admin_port.status();

  Counts sent;
  for (const auto& [tenant, type] : {std::pair("web", "live"), std::pair("kids", "synthetic")}) {
    const CommandResult traffic = Run(
        fmt::format("send --target 127.0.0.1:{} --data {} --rate 300 --duration 2 --tenant {} --traffic-type {} --json",
                    proxy_port, kData, tenant, type));
    ASSERT_EQ(traffic.exit_code, 0) << traffic.output;
    CountSent(nlohmann::json::parse(traffic.output), tenant, type, sent);
  }
  ASSERT_GE(sent.size(), 10U) << "two tenants, three Objectives, up to three models";

  // A request is counted after its last byte is out.
  ASSERT_TRUE(
      WaitUntil([&] { return Sum(Scrape(*admin_port, "signalbox_requests_total", kWhoAndModel)) >= Sum(sent); }));
  EXPECT_EQ(Scrape(*admin_port, "signalbox_requests_total", kWhoAndModel), sent);
  EXPECT_EQ(Scrape(*admin_port, "signalbox_request_duration_seconds_count", kWhoAndModel), sent);
  EXPECT_EQ(Scrape(*admin_port, "signalbox_proxy_duration_seconds_count", kWhoAndModel), sent);
  EXPECT_EQ(Scrape(*admin_port, "signalbox_requests_total", {"code"}), (Counts{{"OK", Sum(sent)}}));
  const Counts by_cell = Scrape(*admin_port, "signalbox_requests_total", {"objective", "experiment", "cell", "model"});
  EXPECT_GE(by_cell.size(), 6U) << "three cells, and those who take no part";

  ASSERT_TRUE(proxy.Stop(kPatience)) << proxy.Report();  // writes what waits in the log
  EXPECT_EQ(LogCounts(log, kWhoAndModel), sent);
  EXPECT_EQ(LogCounts(log, {"outcome"}), (Counts{{"OK", Sum(sent)}}));
  EXPECT_EQ(LogCounts(log, {"objective", "experiment", "cell", "model"}), by_cell);
}

TEST_F(ServingTest, WithoutAHostRequestsFailAndTheSenderSaysSo) {
  const CommandResult traffic =
      Run(fmt::format("send --target 127.0.0.1:1 --data {} --rate 50 --duration 1 --json", kData));
  EXPECT_EQ(traffic.exit_code, 2) << traffic.output;
  const auto summary = nlohmann::json::parse(traffic.output, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(summary.is_object()) << traffic.output;
  EXPECT_EQ(summary["answered"], 0);
  EXPECT_EQ(summary["failed"], summary["sent"]);
  EXPECT_EQ(summary["failures"][0]["code"], "UNAVAILABLE");
}

TEST_F(ServingTest, AHostThatCanLoadNothingEndsAndSaysWhy) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(models_)) {
    if (file.path().filename() == "model.ubj") std::filesystem::resize_file(file, 100);
  }
  const CommandResult broken = Run(fmt::format("host --repository {} --listen 127.0.0.1:0", models_));
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.output, HasSubstr("not loaded: model \"arrival-delay\" version 1: "));
  EXPECT_THAT(broken.output, HasSubstr("no model could be loaded; `--load none` starts a host without any"));

  std::filesystem::create_directory(folder_.File("empty"));
  const CommandResult empty = Run(fmt::format("host --repository {} --listen 127.0.0.1:0", folder_.File("empty")));
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.output, HasSubstr("no model could be loaded"));
}

TEST_F(ServingTest, AHostStopsWhileItLoads) {
  for (int version = 3; version <= 5000; ++version) {
    std::filesystem::create_directory_symlink(models_ + "/arrival-delay/2",
                                              fmt::format("{}/arrival-delay/{}", models_, version));
  }
  ChildProcess host = StartShell(fmt::format("exec {} host --repository {} --listen 127.0.0.1:0 --port-file {}",
                                             SignalboxProgram(), models_, folder_.File("port")),
                                 folder_.File("log"));
  ASSERT_TRUE(WaitUntil([&] { return Blocks(host, SIGTERM); }));
  EXPECT_TRUE(host.Stop(kPatience)) << host.Report();
  EXPECT_FALSE(std::filesystem::exists(folder_.File("port"))) << "the test is about a host that still loads";
}

TEST_F(ServingTest, WhatIsWrongWithAFlagIsSaid) {
  int port = 0;
  ChildProcess host = StartRole("host", "host --load none --repository " + models_, port);
  const struct {
    std::string arguments;
    int exit_code;
    std::string message;
  } cases[] = {
      {fmt::format("host --repository {} --listen 127.0.0.1:{}", models_, port), 2, "cannot listen on 127.0.0.1:"},
      {"host --repository /nowhere --listen 127.0.0.1:0", 2, "signalbox train --out /nowhere"},
      {fmt::format("host --repository {} --listen 127.0.0.1:0 --load all,none", models_), 1, "\"all\" stands alone"},
      {"train --data /nowhere --out " + models_, 2, "npm ci"},
      {fmt::format("train --data {} --out /proc/models", kData), 2, "/proc/models"},
      {fmt::format("send --target 127.0.0.1:1 --data {} --rate 0", kData), 1, "expected requests per second"},
      {fmt::format("send --target 127.0.0.1:1 --data {} --objective X", kData), 1, "expected NAME=films"},
      {fmt::format("send --target 127.0.0.1:1 --data {} --duration -1", kData), 1, "expected seconds"},
  };
  for (const auto& c : cases) {
    const CommandResult result = Run(c.arguments);
    EXPECT_EQ(result.exit_code, c.exit_code) << c.arguments;
    EXPECT_THAT(result.output, HasSubstr(c.message)) << c.arguments;
  }
}

}  // namespace
}  // namespace signalbox
