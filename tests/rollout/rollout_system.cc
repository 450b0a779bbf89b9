#include "tests/rollout/rollout_system.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>
#include <httplib.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "cli/demo/demo_models.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox {
namespace {

constexpr uint64_t kSeed = 20;
constexpr uint64_t kUsers = 100'000;
// To each of two proxies, on a machine that runs fourteen processes for it.
constexpr double kRate = 60;
constexpr char kData[] = SIGNALBOX_SOURCE_DIR "/node_modules/vega-datasets/data";
constexpr char kNamespace[] = "demo";

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::vector<std::string> RolloutSystem::Arguments(const std::string& name) const {
  auto port = [this](const std::string& of) {
    const auto found = ports_.find(of);
    return fmt::format("127.0.0.1:{}", found == ports_.end() ? 0 : found->second);
  };
  std::vector<std::string> arguments = {SignalboxProgram()};
  auto add = [&](std::vector<std::string> more) { arguments.insert(arguments.end(), more.begin(), more.end()); };
  if (StartsWith(name, "control")) {
    add({"control", "--store", store_spec_, "--fleet", folder_.File("fleet.json"), "--node-id", name, "--lease", "2s"});
  } else {
    const std::string controls = port("control-a") + "," + port("control-b");
    if (StartsWith(name, "proxy")) {
      std::filesystem::create_directories(folder_.File(name));
      add({"proxy", "--control", controls, "--state-dir", folder_.File(name), "--node-id", name, "--workers", "1",
           "--admin", port(name + "-admin"), "--admin-port-file", folder_.File(name + "-admin.port")});
      if (name == "proxy-2") add({"--scope", "region=eu"});
    } else {
      add({"host", "--repository", folder_.File("models"), "--load", "none", "--join", controls, "--shard",
           name.substr(0, name.find('-')), "--host-id", name});
    }
  }
  add({"--listen", port(name), "--port-file", folder_.File(name + ".port")});
  return arguments;
}

void RolloutSystem::Start(const std::string& name) {
  std::vector<std::string> arguments = Arguments(name);
  for (const std::string& port : {name, name + "-admin"}) std::filesystem::remove(folder_.File(port + ".port"));
  // A log for each life.
  std::string log;
  for (int life = 1; log.empty() || std::filesystem::exists(log); ++life) {
    log = folder_.File(fmt::format("{}.{}.log", name, life));
  }
  auto child = ChildProcess::Start({.name = name, .command = std::move(arguments), .log_file = log});
  ASSERT_TRUE(child.ok()) << child.status();
  processes_.erase(name);
  ChildProcess& process = processes_.emplace(name, *std::move(child)).first->second;
  const auto port = process.WaitForPort(folder_.File(name + ".port"), kPatience);
  ASSERT_TRUE(port.ok()) << port.status();
  ports_[name] = *port;
  if (!StartsWith(name, "proxy")) return;
  const auto admin = process.WaitForPort(folder_.File(name + "-admin.port"), kPatience);
  ASSERT_TRUE(admin.ok()) << admin.status();
  ports_[name + "-admin"] = *admin;
}

void RolloutSystem::Kill(const std::string& name) {
  ChildProcess& process = processes_.at(name);
  ASSERT_TRUE(process.Running()) << process.Report();
  process.Signal(SIGKILL);
  ASSERT_TRUE(process.WaitForEnd(kPatience));
}

nlohmann::ordered_json RolloutSystem::Models() const {
  return {{"title-ranker", {{"shards", {"films"}}}}, {"arrival-delay", {{"shards", {"flights"}}}}};
}

void RolloutSystem::SetUp() {
  const auto trained = cli::TrainOnce(kData, folder_.File("models"), kSeed);
  ASSERT_TRUE(trained.ok()) << trained.status() << "\nwithout data, run scripts/setup: it installs the npm packages";
  etcd_ = std::make_unique<store::TestEtcd>(3);
  store_spec_ = "etcd:" + etcd_->Endpoints();
  const nlohmann::ordered_json fleet = {
      {"shards", {{"films", nlohmann::json::object()}, {"flights", nlohmann::json::object()}}}, {"models", Models()}};
  ASSERT_TRUE(WriteFileAtomically(folder_.File("fleet.json"), fleet.dump(2)).ok());
  for (const char* name : {"control-a", "control-b", "films-1", "films-2", "flights-1", "flights-2"}) {
    ASSERT_NO_FATAL_FAILURE(Start(name));
  }
  auto opened = store::OpenStore(store_spec_, store::OpenMode::kExisting);
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
  Publish("title-ranker@1");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  // A shard takes models from the first host that is ready on, the second one follows.
  for (const char* host : {"films-1", "films-2", "flights-1", "flights-2"}) WaitUntilListed(host, true);
  for (const char* proxy : {"proxy-1", "proxy-2"}) {
    ASSERT_NO_FATAL_FAILURE(Start(proxy));
    ASSERT_TRUE(WaitUntil([&] { return RunningAt(proxy).version >= store_->Latest()->sequence; }));
    ASSERT_NO_FATAL_FAILURE(StartTraffic(proxy));
  }
  AwaitAnswers(20);
}

void RolloutSystem::StartTraffic(const std::string& proxy) {
  auto source = cli::RequestSource::Load(
      {.data_folder = kData, .objectives = cli::DemoObjectives(), .users = kUsers, .seed = kSeed});
  ASSERT_TRUE(source.ok()) << source.status();
  auto sender = cli::TrafficSender::Start(
      {.target = fmt::format("127.0.0.1:{}", Port(proxy)), .rate_per_second = kRate}, *std::move(source));
  ASSERT_TRUE(sender.ok()) << sender.status();
  senders_[proxy] = *std::move(sender);
}

void RolloutSystem::TearDown() {
  for (auto& [proxy, sender] : senders_) {
    sender->Stop();
    const cli::TrafficReport report = sender->Report();
    fmt::print("through {}: {} sent, {} failed\n{}", proxy, report.sent, report.failed(), cli::Table(report));
  }
  if (!HasFailure() && getenv("SIGNALBOX_TEST_LOGS") == nullptr) return;
  for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
    const std::string name = file.path().filename();
    if (!name.ends_with(".log")) continue;
    fmt::print("--- {}\n{}", name, ReadAll(file.path()));
  }
}

CommandResult RolloutSystem::Run(const std::string& command) {
  return RunShell(fmt::format("{} {} --store {}", SignalboxProgram(), command, store_spec_));
}

CommandResult RolloutSystem::RunOnRules(const std::string& command) {
  return Run(fmt::format("{} --namespace {}", command, kNamespace));
}

std::string RolloutSystem::WriteRules(const std::string& titles) {
  const size_t at = titles.find('@');
  const std::string model = fmt::format("{{ name: '{}', version: {} }}", titles.substr(0, at), titles.substr(at + 1));
  std::string text = "export default [\n";
  for (const char* objective : {kTitles, "HomePageRanking"}) {
    text += fmt::format("  {{ objective: Objectives.{}, defaultModel: {} }},\n", objective, model);
  }
  text += fmt::format("  {{ objective: Objectives.{}, defaultModel: {{ name: 'arrival-delay', version: 1 }} }},\n];\n",
                      kDelays);
  const std::string file = folder_.File(fmt::format("{}.js", titles));
  EXPECT_TRUE(WriteFileAtomically(file, text).ok());
  return file;
}

int64_t RolloutSystem::Publish(const std::string& titles) {
  const CommandResult result = RunOnRules("rules publish " + WriteRules(titles) + " --json");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const auto json = nlohmann::json::parse(result.output, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json.value("version", int64_t{0}) : 0;
}

void RolloutSystem::ExpectRolledOut() {
  const CommandResult result = RunOnRules("rollout status --watch");
  ASSERT_EQ(result.exit_code, 0) << result.output;
}

std::string RolloutSystem::Leader() const {
  const auto record = store_->GetRecord("leader");
  return record.ok() && *record ? (*record)->value : "";
}

void RolloutSystem::WaitForLeader(const std::string& but) {
  EXPECT_TRUE(WaitUntil([&] {
    const std::string leader = Leader();
    return !leader.empty() && leader != but;
  })) << "nobody leads after "
      << but;
}

std::set<std::string> RolloutSystem::Listed(const std::string& shard) const {
  const auto placement = store_->Get(store::kPlacementTopic, std::nullopt);
  if (!placement.ok()) return {};
  const nlohmann::json json = nlohmann::json::parse(placement->content);
  const auto hosts = json["shards"][shard].value("hosts", std::vector<std::string>());
  return {hosts.begin(), hosts.end()};
}

void RolloutSystem::WaitUntilListed(const std::string& host, bool listed) {
  const std::string address = fmt::format("127.0.0.1:{}", Port(host));
  EXPECT_TRUE(WaitUntil([&] { return (Listed(host.substr(0, host.find('-'))).count(address) == 1) == listed; }))
      << host << (listed ? " does not come into its shard's list" : " does not leave its shard's list");
}

RolloutSystem::Running RolloutSystem::RunningAt(const std::string& proxy) const {
  httplib::Client admin(fmt::format("http://127.0.0.1:{}", ports_.at(proxy + "-admin")));
  const httplib::Result page = admin.Get("/snapshot");
  if (!page || page->status != 200) return {};
  const nlohmann::json json = nlohmann::json::parse(page->body);
  return {.version = json.value("version", int64_t{0}), .hash = json.value("hash", "")};
}

void RolloutSystem::WaitUntilBothRun(int64_t version) {
  EXPECT_TRUE(WaitUntil([&] {
    return RunningAt("proxy-1").version >= version && RunningAt("proxy-2").version >= version;
  })) << "version "
      << version;
}

bool RolloutSystem::TitlesFrom(const std::string& proxy, const std::string& model) {
  cli::TrafficSender& sender = *senders_.at(proxy);
  const uint64_t sent = sender.Report().sent;
  EXPECT_TRUE(WaitUntil([&] { return sender.Report().settled >= sent; })) << "requests do not end";
  const cli::TrafficReport start = sender.Report();
  EXPECT_TRUE(WaitUntil([&] { return sender.Report().Since(start).answered(kTitles) >= 5; })) << "traffic has stopped";
  return sender.Report().Since(start).Share(kTitles, model) == 1;
}

void RolloutSystem::WaitForTitles(const std::string& model) {
  for (const char* proxy : {"proxy-1", "proxy-2"}) {
    EXPECT_TRUE(WaitUntil([&] { return TitlesFrom(proxy, model); })) << proxy << " does not run " << model;
  }
}

bool RolloutSystem::RunsTitles(const std::string& proxy, const std::string& model) {
  cli::TrafficSender& sender = *senders_.at(proxy);
  const cli::TrafficReport start = sender.Report();
  EXPECT_TRUE(WaitUntil([&] { return sender.Report().Since(start).answered(kTitles) >= 1; })) << "traffic has stopped";
  return sender.Report().Since(start).Share(kTitles, model) > 0;
}

void RolloutSystem::EndTraffic(const std::string& proxy) {
  senders_.at(proxy)->Stop();
  senders_.erase(proxy);
  checked_.erase(proxy);
}

std::map<std::string, std::string> RolloutSystem::ModelStates() const {
  std::map<std::string, std::string> states;
  for (const char* host : {"films-1", "films-2", "flights-1", "flights-2"}) {
    auto channel =
        grpc::CreateChannel(fmt::format("ipv4:127.0.0.1:{}", Port(host)), grpc::InsecureChannelCredentials());
    grpc::ClientContext context;
    inference::RepositoryIndexResponse index;
    const grpc::Status status =
        inference::GRPCInferenceService::NewStub(channel)->RepositoryIndex(&context, {}, &index);
    EXPECT_TRUE(status.ok()) << host << ": " << status.error_message();
    std::set<std::string> lines;
    for (const auto& model : index.models()) {
      lines.insert(fmt::format("{}@{} {}", model.name(), model.version(), model.state()));
    }
    states[host] = fmt::format("{}", fmt::join(lines, ", "));
  }
  return states;
}

std::string RolloutSystem::ShardOf(const std::string& model) const {
  const auto placement = store_->Get(store::kPlacementTopic, std::nullopt);
  if (!placement.ok()) return "";
  const nlohmann::json json = nlohmann::json::parse(placement->content);
  const auto shards = json["models"][model].value("shards", std::vector<std::string>());
  return shards.size() == 1 ? shards[0] : "";
}

uint64_t RolloutSystem::ExpectNoFailures(const std::string& what, uint64_t allowed) {
  uint64_t failed = 0;
  uint64_t answered = 0;
  std::string tables;
  for (auto& [proxy, sender] : senders_) {
    const uint64_t sent = sender->Report().sent;
    EXPECT_TRUE(WaitUntil([&, &of = *sender] { return of.Report().settled >= sent; })) << "requests do not end";
    const cli::TrafficReport all = sender->Report();
    const cli::TrafficReport since = all.Since(checked_[proxy]);
    checked_[proxy] = all;
    failed += since.failed();
    answered += since.answered();
    if (since.failed() > 0) tables += proxy + "\n" + cli::Table(since);
  }
  fmt::print("{:<40} {} answered, {} failed\n", what, answered, failed);
  EXPECT_LE(failed, allowed) << what << "\n" << tables;
  return failed;
}

void RolloutSystem::AwaitAnswers(uint64_t answers, const std::vector<std::string>& proxies) {
  for (const std::string& proxy : proxies) {
    cli::TrafficSender& sender = *senders_.at(proxy);
    const uint64_t sent = sender.Report().sent;
    EXPECT_TRUE(WaitUntil([&] { return sender.Report().settled >= sent; })) << "requests do not end";
    const cli::TrafficReport start = sender.Report();
    EXPECT_TRUE(WaitUntil([&] { return sender.Report().Since(start).answered() >= answers; })) << "traffic has stopped";
  }
}

}  // namespace signalbox
