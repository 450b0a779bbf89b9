#include "tests/rollout/rollout_system.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <httplib.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

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
constexpr std::chrono::seconds kPageTimeout{2};
constexpr std::chrono::milliseconds kGuardInterval{50};
constexpr size_t kChangesMax = 10'000;

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Trained once for all systems of this process.
const std::string& ModelRepository() {
  static const TestFolder folder;
  static const auto trained = cli::TrainOnce(kData, folder.path(), kSeed);
  EXPECT_TRUE(trained.ok()) << trained.status() << "\nwithout data, run scripts/setup: it installs the npm packages";
  return folder.path();
}

RolloutSystem::Running SnapshotOf(const std::string& admin) {
  httplib::Client client("http://" + admin);
  client.set_connection_timeout(kPageTimeout);
  client.set_read_timeout(kPageTimeout);
  const httplib::Result page = client.Get("/snapshot");
  if (!page || page->status != 200) return {};
  const nlohmann::json json = nlohmann::json::parse(page->body);
  return {.version = json.value("version", int64_t{0}), .hash = json.value("hash", "")};
}

}  // namespace

// A proxy that starts again comes with what lies on its disk, which is what it ran: not even then anything goes back.
class RolloutSystem::VersionGuard {
 public:
  void Watch(const std::string& proxy, const std::string& admin) {
    std::lock_guard lock(mutex_);
    admins_[proxy] = admin;
  }

  // What went back since the last call.
  std::vector<std::string> TakeSteps() {
    std::lock_guard lock(mutex_);
    return std::exchange(steps_back_, {});
  }

 private:
  void Run(const std::stop_token& stop) {
    std::map<std::string, int64_t> newest;
    while (!stop.stop_requested()) {
      std::map<std::string, std::string> admins;
      {
        std::lock_guard lock(mutex_);
        admins = admins_;
      }
      for (const auto& [proxy, admin] : admins) {
        const int64_t version = SnapshotOf(admin).version;
        if (version == 0) continue;  // it does not answer
        int64_t& before = newest[proxy];
        std::lock_guard lock(mutex_);
        if (version < before) steps_back_.push_back(fmt::format("{} went from {} to {}", proxy, before, version));
        before = version;
      }
      std::this_thread::sleep_for(kGuardInterval);
    }
  }

  std::mutex mutex_;
  std::map<std::string, std::string> admins_;
  std::vector<std::string> steps_back_;
  std::jthread thread_{[this](const std::stop_token& stop) { Run(stop); }};
};

RolloutSystem::RolloutSystem(RolloutSystemOptions options) : options_(std::move(options)) {}

RolloutSystem::~RolloutSystem() {
  for (auto& [proxy, sender] : senders_) {
    sender->Stop();
    const cli::TrafficReport report = sender->Report();
    fmt::print("through {}: {} sent, {} failed\n{}", proxy, report.sent, report.failed(), cli::Table(report));
  }
}

std::string RolloutSystem::MachineOf(const std::string& name) const {
  return options_.machines == nullptr ? "127.0.0.1" : options_.machines->AddressOf(name);
}

std::string RolloutSystem::Address(const std::string& name) const {
  const auto port = ports_.find(name);
  return fmt::format("{}:{}", MachineOf(name.substr(0, name.find("-admin"))), port == ports_.end() ? 0 : port->second);
}

std::vector<std::string> RolloutSystem::Arguments(const std::string& name) const {
  std::vector<std::string> arguments;
  auto add = [&](std::vector<std::string> more) { arguments.insert(arguments.end(), more.begin(), more.end()); };
  if (options_.machines != nullptr) add(options_.machines->CommandPrefix(name));
  add({SignalboxProgram()});
  if (StartsWith(name, "control")) {
    add({"control", "--store", store_spec_, "--fleet", folder_.File("fleet.json"), "--node-id", name, "--lease", "2s"});
    add(options_.control_arguments);
  } else {
    const std::string controls = Address("control-a") + "," + Address("control-b");
    if (StartsWith(name, "proxy")) {
      std::filesystem::create_directories(folder_.File(name));
      add({"proxy", "--control", controls, "--state-dir", folder_.File(name), "--node-id", name, "--workers", "1",
           "--admin", Address(name + "-admin"), "--admin-port-file", folder_.File(name + "-admin.port")});
      if (name == "proxy-2") add({"--scope", "region=eu"});
    } else {
      add({"host", "--repository", ModelRepository(), "--load", "none", "--join", controls, "--shard",
           name.substr(0, name.find('-')), "--host-id", name});
    }
  }
  add({"--listen", Address(name), "--port-file", folder_.File(name + ".port")});
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

void RolloutSystem::StartAll() {
  std::vector<store::EtcdMachine> machines(3);
  for (size_t i = 0; options_.machines != nullptr && i < machines.size(); ++i) {
    const std::string name = fmt::format("etcd-{}", i);
    machines[i] = {.address = options_.machines->AddressOf(name),
                   .command_prefix = options_.machines->CommandPrefix(name)};
  }
  etcd_ = std::make_unique<store::TestEtcd>(std::move(machines));
  store_spec_ = "etcd:" + etcd_->Endpoints();
  nlohmann::ordered_json shards = {{"films", nlohmann::json::object()}, {"flights", nlohmann::json::object()}};
  shards.update(options_.more_shards);
  const nlohmann::ordered_json fleet = {{"shards", shards}, {"models", options_.models}};
  ASSERT_TRUE(WriteFileAtomically(folder_.File("fleet.json"), fleet.dump(2)).ok());
  for (const char* name : {"control-a", "control-b", "films-1", "films-2", "flights-1", "flights-2"}) {
    ASSERT_NO_FATAL_FAILURE(Start(name));
  }
  auto opened = store::OpenStore(store_spec_, store::OpenMode::kExisting);
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
  Publish("title-ranker@1");
  ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  WaitUntilAllListed();
  guard_ = std::make_unique<VersionGuard>();
  for (const char* proxy : {"proxy-1", "proxy-2"}) {
    ASSERT_NO_FATAL_FAILURE(Start(proxy));
    ASSERT_TRUE(WaitUntil([&] { return RunningAt(proxy).version >= Sequence(); }));
    ASSERT_NO_FATAL_FAILURE(StartTraffic(proxy));
  }
  AwaitAnswers(20);
}

void RolloutSystem::Restore() {
  std::vector<std::string> dead;
  for (auto& [name, process] : processes_) {
    if (!process.Running()) dead.push_back(name);
  }
  for (const std::string& name : dead) {
    // What comes to a proxy while it is dead is nobody's to answer.
    if (senders_.contains(name)) EndTraffic(name);
    ASSERT_NO_FATAL_FAILURE(Start(name));
  }
  for (const char* proxy : {"proxy-1", "proxy-2"}) {
    if (senders_.contains(proxy)) continue;
    ASSERT_NO_FATAL_FAILURE(StartTraffic(proxy));
  }
  if (titles_ != "title-ranker@1") {
    Publish("title-ranker@1");
    ASSERT_NO_FATAL_FAILURE(ExpectRolledOut());
  }
  WaitUntilAllListed();
  WaitUntilBothRun(Sequence());
  WaitForTitles("title-ranker@1");
  ExpectNoFailures("until all is as it was");
  for (const std::string& step : guard_->TakeSteps()) ADD_FAILURE() << step;
}

// A shard takes models from the first host that is ready on, the second one follows.
void RolloutSystem::WaitUntilAllListed() {
  for (const char* host : {"films-1", "films-2", "flights-1", "flights-2"}) WaitUntilListed(host, true);
}

void RolloutSystem::StartTraffic(const std::string& proxy) {
  guard_->Watch(proxy, Address(proxy + "-admin"));
  auto source = cli::RequestSource::Load(
      {.data_folder = kData, .objectives = cli::DemoObjectives(), .users = kUsers, .seed = kSeed});
  ASSERT_TRUE(source.ok()) << source.status();
  auto sender = cli::TrafficSender::Start({.target = Address(proxy), .rate_per_second = kRate}, *std::move(source));
  ASSERT_TRUE(sender.ok()) << sender.status();
  senders_[proxy] = *std::move(sender);
}

void RolloutSystem::PrintLogsOfAFailure() const {
  if (!testing::Test::HasFailure() && getenv("SIGNALBOX_TEST_LOGS") == nullptr) return;
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
  titles_ = titles;
  const size_t at = titles.find('@');
  const std::string model = fmt::format("{{ name: '{}', version: {} }}", titles.substr(0, at), titles.substr(at + 1));
  std::string text = "export default [\n";
  for (const char* objective : {kTitles, "HomePageRanking"}) {
    text += fmt::format("  {{ objective: Objectives.{}, defaultModel: {} }},\n", objective, model);
  }
  text += fmt::format("  {{ objective: Objectives.{}, defaultModel: {{ name: 'arrival-delay', version: 1 }} }},\n",
                      kDelays);
  if (!options_.companion.empty()) {
    text += fmt::format("  {{ objective: Objectives.Companion, defaultModel: {{ name: '{}', version: {} }} }},\n",
                        options_.companion, titles.substr(at + 1));
  }
  text += "];\n";
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

v1::Rollout RolloutSystem::Rollout() const {
  v1::Rollouts rollouts;
  const auto record = store_->GetRecord(fmt::format("rollout/{}", kNamespace));
  if (record.ok() && *record) rollouts.ParseFromString((*record)->value);
  return rollouts.current();
}

int64_t RolloutSystem::Sequence() const {
  const auto latest = store_->Latest();
  return latest.ok() ? latest->sequence : 0;
}

std::set<std::string> RolloutSystem::LeadersThatWroteAfter(int64_t sequence) const {
  std::set<std::string> leaders;
  const auto changes = store_->Changes(sequence, kChangesMax);
  EXPECT_TRUE(changes.ok()) << changes.status();
  for (const store::VersionInfo& change : changes.ok() ? *changes : std::vector<store::VersionInfo>()) {
    if (StartsWith(change.topic, "active/") || change.topic == store::kPlacementTopic) leaders.insert(change.author);
  }
  return leaders;
}

int RolloutSystem::ActivationsOf(int64_t rules_version) const {
  int activations = 0;
  const auto history = store_->History(store::ActiveTopic(kNamespace), kChangesMax);
  EXPECT_TRUE(history.ok()) << history.status();
  for (const store::VersionInfo& change : history.ok() ? *history : std::vector<store::VersionInfo>()) {
    if (StartsWith(change.message, fmt::format("rules version {} ", rules_version))) ++activations;
  }
  return activations;
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
  const std::string address = Address(host);
  EXPECT_TRUE(WaitUntil([&] { return (Listed(host.substr(0, host.find('-'))).count(address) == 1) == listed; }))
      << host << (listed ? " does not come into its shard's list" : " does not leave its shard's list");
}

RolloutSystem::Running RolloutSystem::RunningAt(const std::string& proxy) const {
  return SnapshotOf(Address(proxy + "-admin"));
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

std::set<std::string> RolloutSystem::ModelStatesAt(const std::string& address) const {
  auto channel = grpc::CreateChannel("ipv4:" + address, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  inference::RepositoryIndexResponse index;
  const grpc::Status status = inference::GRPCInferenceService::NewStub(channel)->RepositoryIndex(&context, {}, &index);
  EXPECT_TRUE(status.ok()) << address << ": " << status.error_message();
  std::set<std::string> states;
  for (const auto& model : index.models()) {
    states.insert(fmt::format("{}@{} {}", model.name(), model.version(), model.state()));
  }
  return states;
}

std::map<std::string, std::set<std::string>> RolloutSystem::ModelStates() const {
  std::map<std::string, std::set<std::string>> states;
  for (const char* host : {"films-1", "films-2", "flights-1", "flights-2"}) {
    states[host] = ModelStatesAt(Address(host));
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
