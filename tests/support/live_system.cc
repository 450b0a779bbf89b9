#include "tests/support/live_system.h"

#include <fmt/format.h>
#include <httplib.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "cli/demo/demo_models.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

// Enough users for shares to be those of the rules, not of the users.
constexpr uint64_t kUsers = 100'000;
// What two busy cores answer with ease, everything on them.
constexpr double kRate = 300;
constexpr char kData[] = SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data";

// {} when there is none.
nlohmann::json SnapshotPage(const std::string& admin_address) {
  httplib::Client admin("http://" + admin_address);
  const httplib::Result page = admin.Get("/snapshot");
  auto json = nlohmann::json::object();
  if (page && page->status == 200) json.update(nlohmann::json::parse(page->body));
  return json;
}

}  // namespace

LiveSystem::LiveSystem()
    : system_({.program = SignalboxProgram(),
               .folder = folder_.path(),
               .listen = "127.0.0.1:0",
               .admin = "127.0.0.1:0",
               .rule_files = {fmt::format("{}demo/delays.js", kRules), fmt::format("{}demo/home-page.js", kRules),
                              fmt::format("{}demo/titles.js", kRules)}},
              [] { return false; }) {}

void LiveSystem::SetUp() {
  const auto trained = cli::TrainOnce(kData, system_.paths().models, kSeed);
  ASSERT_TRUE(trained.ok()) << trained.status() << "\nwithout data, run scripts/setup: it installs the npm packages";
  const absl::Status folders = system_.MakeFolders();
  ASSERT_TRUE(folders.ok()) << folders;
  for (auto step : {&cli::DemoSystem::StartControlPlane, &cli::DemoSystem::StartHosts, &cli::DemoSystem::PublishRules,
                    &cli::DemoSystem::StartProxy}) {
    const auto started = (system_.*step)();
    ASSERT_TRUE(started.ok()) << started.status();
  }
  auto source = cli::RequestSource::Load(
      {.data_folder = kData, .objectives = cli::DemoObjectives(), .users = kUsers, .seed = kSeed});
  ASSERT_TRUE(source.ok()) << source.status();
  auto sender =
      cli::TrafficSender::Start({.target = system_.proxy_address(), .rate_per_second = kRate}, *std::move(source));
  ASSERT_TRUE(sender.ok()) << sender.status();
  sender_ = *std::move(sender);
}

int64_t LiveSystem::RunningVersion() { return SnapshotPage(system_.admin_address()).value("version", int64_t{0}); }

std::string LiveSystem::RunningHash() { return SnapshotPage(system_.admin_address()).value("hash", ""); }

cli::TrafficReport LiveSystem::AnswersFromNow(uint64_t answers) {
  const uint64_t sent = sender_->Report().sent;
  EXPECT_TRUE(WaitUntil([&] { return sender_->Report().settled >= sent; })) << "requests do not end";
  const cli::TrafficReport start = sender_->Report();
  EXPECT_TRUE(WaitUntil([&] { return sender_->Report().Since(start).answered() >= answers; })) << "traffic has stopped";
  return sender_->Report().Since(start);
}

void LiveSystem::Signal(const std::string& name, int signal) {
  const std::vector<pid_t> processes = ProcessesWith(fmt::format("{}/{} ", system_.paths().ports, name));
  ASSERT_EQ(processes.size(), 1U) << name;
  kill(processes[0], signal);
}

}  // namespace signalbox
