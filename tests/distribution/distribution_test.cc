// From `signalbox rules publish` to data planes, with real processes that are killed, frozen and started again.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <httplib.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/file.h"
#include "base/test_folder.h"
#include "subscribe/subscriber.h"
#include "tests/support/real_processes.h"

namespace signalbox {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// 0 when the process has no thread of that name.
pid_t ThreadOf(pid_t process, const std::string& name) {
  for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", process))) {
    std::ifstream comm(thread.path() / "comm");
    std::string found;
    if (std::getline(comm, found) && found == name) return std::stoi(thread.path().filename());
  }
  return 0;
}

// What a data plane in this process was handed.
class Follower {
 public:
  Follower(const std::string& control, const std::string& state_dir, std::chrono::milliseconds keepalive = 2000ms) {
    subscribe::SubscriberOptions options;
    options.control = control;
    options.state_dir = state_dir;
    options.node_id = "follower";
    options.keepalive = keepalive;
    auto subscriber = subscribe::Subscriber::Start(std::move(options),
                                                   [this](const std::shared_ptr<const decide::Snapshot>& snapshot) {
                                                     std::lock_guard lock(mutex_);
                                                     versions_.push_back(snapshot->version());
                                                     return absl::OkStatus();
                                                   });
    EXPECT_TRUE(subscriber.ok()) << subscriber.status();
    subscriber_ = *std::move(subscriber);
  }
  ~Follower() { subscriber_->Stop(); }

  subscribe::SubscriberStatus status() const { return subscriber_->status(); }
  bool WaitForVersion(int64_t version) const {
    return WaitUntil([&] { return status().version >= version; });
  }
  std::vector<int64_t> versions() {
    std::lock_guard lock(mutex_);
    return versions_;
  }

 private:
  std::mutex mutex_;
  std::vector<int64_t> versions_;
  std::unique_ptr<subscribe::Subscriber> subscriber_;
};

class DistributionTest : public testing::Test {
 protected:
  DistributionTest() {
    EXPECT_TRUE(WriteFileAtomically(folder_.File("placement.json"),
                                    R"({"shards": {"s1": ["127.0.0.1:1"]}, "models": {"ranker": ["s1"]}})")
                    .ok());
  }

  ChildProcess Start(const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SignalboxProgram());
    auto child =
        ChildProcess::Start({.name = name, .command = std::move(arguments), .log_file = folder_.File(name + ".log")});
    EXPECT_TRUE(child.ok()) << child.status();
    return *std::move(child);
  }

  int PortOf(ChildProcess& child, const std::string& file) {
    auto port = child.WaitForPort(folder_.File(file), kPatience);
    EXPECT_TRUE(port.ok()) << port.status();
    return port.ok() ? *port : 0;
  }

  // Port 0 takes a free one. Sets control_address_.
  ChildProcess StartControl(int port = 0) {
    std::filesystem::remove(folder_.File("control.port"));
    ChildProcess control =
        Start("control", {"control", "--store", Spec(), "--placement", folder_.File("placement.json"), "--listen",
                          fmt::format("127.0.0.1:{}", port), "--port-file", folder_.File("control.port")});
    control_port_ = PortOf(control, "control.port");
    control_address_ = fmt::format("127.0.0.1:{}", control_port_);
    return control;
  }

  // Sets admin_port_.
  ChildProcess StartProxy() {
    for (const char* file : {"proxy.port", "proxy.admin"}) std::filesystem::remove(folder_.File(file));
    ChildProcess proxy =
        Start("proxy", {"proxy", "--workers", "1", "--listen", "127.0.0.1:0", "--port-file", folder_.File("proxy.port"),
                        "--admin", "127.0.0.1:0", "--admin-port-file", folder_.File("proxy.admin"), "--control",
                        control_address_, "--state-dir", folder_.File("state"), "--node-id", "proxy-1"});
    PortOf(proxy, "proxy.port");
    admin_port_ = PortOf(proxy, "proxy.admin");
    return proxy;
  }

  // Status and body; 0 when there is no answer.
  std::pair<int, std::string> Page(const std::string& path) const {
    httplib::Client client("127.0.0.1", admin_port_);
    const httplib::Result page = client.Get(path);
    return page ? std::pair(page->status, page->body) : std::pair(0, std::string());
  }
  nlohmann::json ProxySnapshot() const { return nlohmann::json::parse(Page("/snapshot").second, nullptr, false); }

  // The sequence of what was published.
  int64_t Publish(const std::string& mark) {
    EXPECT_TRUE(
        WriteFileAtomically(folder_.File("rules.js"),
                            fmt::format("export default [{{objective: Objectives.Ranking, defaultModel: {{name: "
                                        "'ranker', version: 1}}, parameters: {{mark: '{}'}}}}];",
                                        mark))
            .ok());
    const CommandResult result = RunShell(fmt::format("'{}' rules publish '{}' --store '{}' --json", SignalboxProgram(),
                                                      folder_.File("rules.js"), Spec()));
    const nlohmann::json json = nlohmann::json::parse(result.output, nullptr, false);
    EXPECT_TRUE(json.is_object() && json["ok"] == true) << result.output;
    return json.is_object() ? json.value("sequence", int64_t{0}) : 0;
  }

  std::string Spec() const { return "sqlite:" + folder_.File(store_); }
  // From now on what is published goes to a copy of the store, and control planes that start work on that.
  void GoOnWithCopy(const std::string& file) {
    const std::string from = Spec();
    store_ = file;
    const CommandResult result = RunShell(fmt::format("'{}' store copy '{}' '{}'", SignalboxProgram(), from, Spec()));
    EXPECT_EQ(result.exit_code, 0) << result.output;
  }

  TestFolder folder_;
  std::string store_ = "store.db";
  int control_port_ = 0;
  std::string control_address_;
  int admin_port_ = 0;
};

TEST_F(DistributionTest, APublishIsInEffectAtAProxyWellWithinASecond) {
  ChildProcess control = StartControl();
  Publish("start");
  ChildProcess proxy = StartProxy();
  std::vector<int64_t> milliseconds;
  for (int i = 0; i < 10; ++i) {
    const int64_t sequence = Publish(fmt::format("round {}", i));
    const auto published = Clock::now();
    ASSERT_TRUE(WaitUntil([&] { return ProxySnapshot().value("version", int64_t{0}) == sequence; }));
    milliseconds.push_back((Clock::now() - published) / 1ms);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  printf("from the end of `rules publish` to the proxy: median %ld ms, worst %ld ms\n",
         static_cast<long>(milliseconds[5]), static_cast<long>(milliseconds.back()));
  EXPECT_LT(milliseconds.back(), 1000);
  EXPECT_TRUE(proxy.Stop(10s)) << proxy.Report();
  EXPECT_TRUE(control.Stop(10s)) << control.Report();
}

TEST_F(DistributionTest, AProxyStartsFromDiskWhileTheControlPlaneIsAwayAndCatchesUpWhenItIsBack) {
  ChildProcess control = StartControl();
  const int64_t before = Publish("before");
  {
    ChildProcess proxy = StartProxy();
    ASSERT_TRUE(WaitUntil([&] { return ProxySnapshot().value("version", int64_t{0}) == before; }));
    // It is in use before it is on the disk, so that no disk delays it.
    ASSERT_TRUE(WaitUntil([&] { return std::filesystem::exists(folder_.File("state") + "/snapshot.pb"); }));
    control.Signal(SIGKILL);
    proxy.Signal(SIGKILL);
    ASSERT_TRUE(control.WaitForEnd(kPatience) && proxy.WaitForEnd(kPatience));
  }
  ChildProcess proxy = StartProxy();
  ASSERT_TRUE(WaitUntil([&] { return ProxySnapshot().value("version", int64_t{0}) == before; }));
  EXPECT_THAT(ProxySnapshot().dump(), HasSubstr("last good on disk"));
  const int64_t after = Publish("while it is away");
  ChildProcess again = StartControl(control_port_);
  ASSERT_TRUE(WaitUntil([&] { return ProxySnapshot().value("version", int64_t{0}) == after; }));
  EXPECT_THAT(ProxySnapshot().dump(), HasSubstr("control " + control_address_));
}

TEST_F(DistributionTest, AProxyThatWaitsForItsFirstSnapshotShowsItsPagesAndStopsAtOnce) {
  ChildProcess proxy =
      Start("proxy", {"proxy", "--workers", "1", "--listen", "127.0.0.1:0", "--port-file", folder_.File("proxy.port"),
                      "--admin", "127.0.0.1:0", "--admin-port-file", folder_.File("proxy.admin"), "--control",
                      "127.0.0.1:1", "--state-dir", folder_.File("state")});
  const auto start = Clock::now();
  admin_port_ = PortOf(proxy, "proxy.admin");
  EXPECT_FALSE(std::filesystem::exists(folder_.File("proxy.port"))) << "the test is about a proxy that still waits";
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(Page("/healthz").first, 200);
  ASSERT_TRUE(WaitUntil([&] { return Page("/readyz").second.find("127.0.0.1:1") != std::string::npos; }));
  EXPECT_EQ(Page("/readyz").first, 503);
  EXPECT_THAT(Page("/readyz").second, HasSubstr("no snapshot yet"));

  const auto asked = Clock::now();
  EXPECT_TRUE(proxy.Stop(9s)) << proxy.Report();
  EXPECT_LT(Clock::now() - asked, 3s);
}

TEST_F(DistributionTest, AProxyWithAStuckWorkerSaysThatItShouldBeRestarted) {
  ChildProcess control = StartControl();
  Publish("start");
  ChildProcess proxy = StartProxy();
  EXPECT_EQ(Page("/healthz").first, 200);
  const pid_t worker = ThreadOf(proxy.pid(), "worker-0");
  ASSERT_NE(worker, 0);
  // Stops this one thread, as nothing but a debugger can.
  if (ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) != 0) GTEST_SKIP() << "may not trace: " << std::strerror(errno);
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, worker, nullptr, nullptr), 0);
  ASSERT_TRUE(WaitUntil([&] { return Page("/healthz").first == 503; }));
  EXPECT_THAT(Page("/healthz").second, HasSubstr("a worker has been stuck for 5"));
  ASSERT_EQ(waitpid(worker, nullptr, __WALL), worker);
  ASSERT_EQ(ptrace(PTRACE_DETACH, worker, nullptr, nullptr), 0);
  EXPECT_TRUE(WaitUntil([&] { return Page("/healthz").first == 200; }));
}

TEST_F(DistributionTest, TheControlPlaneMayBeKilledAtAnyTimeAndVersionsNeverGoBack) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ChildProcess control = StartControl();
  int64_t sequence = Publish("start");
  Follower follower(control_address_, folder_.File("state"));
  ASSERT_TRUE(follower.WaitForVersion(sequence));
  for (int round = 0; round < 15; ++round) {
    sequence = Publish(fmt::format("round {}", round));
    // The moment of the kill is what is random here; nothing is waited for.
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 40)(random)));
    control.Signal(SIGKILL);
    ASSERT_TRUE(control.WaitForEnd(kPatience));
    control = StartControl(control_port_);
    const auto back = Clock::now();
    ASSERT_TRUE(follower.WaitForVersion(sequence));
    EXPECT_LT(Clock::now() - back, 5s);
  }
  const std::vector<int64_t> versions = follower.versions();
  EXPECT_EQ(std::adjacent_find(versions.begin(), versions.end(), std::greater_equal<>()), versions.end());
  EXPECT_EQ(versions.back(), sequence);
  EXPECT_THAT(follower.status().last_refusal.reason, IsEmpty());
}

TEST_F(DistributionTest, ADataPlaneMayBeKilledAtAnyTimeAndItsLastGoodSnapshotIsNeverDamaged) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ChildProcess control = StartControl();
  int64_t newest_on_disk = Publish("start");
  {
    ChildProcess proxy = StartProxy();
    ASSERT_TRUE(WaitUntil([&] { return ProxySnapshot().value("version", int64_t{0}) == newest_on_disk; }));
  }
  for (int round = 0; round < 15; ++round) {
    ChildProcess proxy = StartProxy();
    Publish(fmt::format("round {}", round));
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 30)(random)));
    proxy.Signal(SIGKILL);
    ASSERT_TRUE(proxy.WaitForEnd(kPatience));
    // Nobody listens on port 1: what is handed out comes from disk.
    Follower follower("127.0.0.1:1", folder_.File("state"));
    ASSERT_TRUE(follower.WaitForVersion(newest_on_disk)) << follower.status().last_refusal.reason;
    EXPECT_TRUE(follower.status().from_disk);
    EXPECT_THAT(follower.status().last_refusal.reason, IsEmpty());
    newest_on_disk = follower.status().version;
  }
}

TEST_F(DistributionTest, AControlPlaneThatHangsIsLeftForAnotherOne) {
  ChildProcess first = StartControl();
  const std::string first_address = control_address_;
  ChildProcess second = StartControl();
  const int64_t before = Publish("before");
  Follower follower(first_address + "," + control_address_, folder_.File("state"), 1000ms);
  ASSERT_TRUE(follower.WaitForVersion(before));
  ASSERT_EQ(follower.status().control, first_address);

  first.Signal(SIGSTOP);
  const auto hung = Clock::now();
  const int64_t after = Publish("while the first hangs");
  ASSERT_TRUE(follower.WaitForVersion(after));
  printf("a control plane that hangs is left after %ld ms\n", static_cast<long>((Clock::now() - hung) / 1ms));
  EXPECT_EQ(follower.status().control, control_address_);
  EXPECT_LT(Clock::now() - hung, 10s);
}

TEST_F(DistributionTest, AControlPlaneThatDoesNotReadItsStoreIsLeftForAnotherOneAndWithoutOneNothingChanges) {
  ChildProcess first = StartControl();
  const std::string first_address = control_address_;
  const int64_t before = Publish("before");
  auto follower = std::make_unique<Follower>(first_address, folder_.File("state"));
  ASSERT_TRUE(follower->WaitForVersion(before));
  GoOnWithCopy("copy.db");
  ChildProcess second = StartControl();
  const std::string both = first_address + "," + control_address_;
  follower = nullptr;
  follower = std::make_unique<Follower>(both, folder_.File("state"));
  ASSERT_TRUE(WaitUntil([&] { return follower->status().connected; }));
  ASSERT_EQ(follower->status().control, first_address);

  std::filesystem::remove(folder_.File("store.db"));
  const auto cut = Clock::now();
  const int64_t after = Publish("out of reach of the first");
  ASSERT_GT(after, before);
  ASSERT_TRUE(follower->WaitForVersion(after));
  printf("a control plane without its store is left after %ld ms\n", static_cast<long>((Clock::now() - cut) / 1ms));
  EXPECT_EQ(follower->status().control, control_address_);

  std::filesystem::remove(folder_.File("copy.db"));
  ASSERT_TRUE(WaitUntil([&] { return !follower->status().connected; }));
  ASSERT_TRUE(WaitUntil([&] { return follower->status().connection_error.find(control_address_) == 0; }));
  EXPECT_THAT(follower->status().connection_error, HasSubstr("this control plane has not read the store for"));
  EXPECT_EQ(follower->status().version, after);
  follower = nullptr;
  follower = std::make_unique<Follower>(both, folder_.File("state"));
  ASSERT_TRUE(follower->WaitForVersion(after));
  EXPECT_TRUE(follower->status().from_disk);
}

TEST_F(DistributionTest, AStopIsCleanAndDataPlanesGoOn) {
  ChildProcess control = StartControl();
  const int64_t sequence = Publish("start");
  Follower follower(control_address_, "");
  ASSERT_TRUE(follower.WaitForVersion(sequence));
  const auto start = Clock::now();
  EXPECT_TRUE(control.Stop(10s)) << control.Report();
  EXPECT_LT(Clock::now() - start, 3s);
  EXPECT_EQ(follower.status().version, sequence);
  ASSERT_TRUE(WaitUntil([&] { return !follower.status().connected; }));
  EXPECT_THAT(follower.status().connection_error, HasSubstr(control_address_));
}

}  // namespace
}  // namespace signalbox
