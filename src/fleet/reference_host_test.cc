// The fleet and the reference host of this repository, with real models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include "fleet/fleet.h"
#include "host/host.h"
#include "host/test_repository.h"

namespace signalbox::fleet {
namespace {

using rollout::CommandKind;
using rollout::CommandResult;
using rollout::ModelState;
using rollout::ObservedHost;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

class ReferenceHostTest : public testing::Test {
 protected:
  void SetUp() override {
    const host::TestRepository* models = host::TestRepository::Get();
    ASSERT_NE(models, nullptr);
    models_ = models->path();
    Start("127.0.0.1:0");
    fleet_ = Fleet::Start({.probe_interval_min = milliseconds(20), .probe_interval_max = milliseconds(40)}, [this] {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
  }

  void Start(const std::string& listen, uint64_t memory_bytes = 0) {
    auto host =
        host::Host::Start({.repository = models_, .listen = listen, .load = {"none"}, .memory_bytes = memory_bytes});
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    ASSERT_TRUE(host_->WaitUntilLoaded(kPatience).has_value());
  }

  // As a host that has registered.
  bool Know() {
    fleet_->SetHosts({{.id = "h1", .address = host_->address(), .shard = "films", .instance = host_->instance()}});
    return Until([this] { return Observed().alive && Observed().instance == host_->instance(); });
  }

  bool Until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::unique_lock lock(mutex_);
    while (true) {
      const int seen = changes_;
      lock.unlock();
      if (condition()) return true;
      lock.lock();
      if (!changed_.wait_until(lock, deadline, [&] { return changes_ != seen; })) return false;
    }
  }

  ObservedHost Observed() {
    const std::vector<ObservedHost> hosts = fleet_->Observe();
    return hosts.empty() ? ObservedHost{} : hosts.front();
  }

  CommandResult Run(CommandKind kind, const std::string& model) {
    const ObservedHost host = Observed();
    fleet_->Execute({{.kind = kind,
                      .host = "h1",
                      .instance = host.instance,
                      .address = host.address,
                      .model = model,
                      .declared = {}}});
    std::vector<CommandResult> results;
    EXPECT_TRUE(Until([&] {
      results = fleet_->TakeResults();
      return !results.empty();
    }));
    return results.empty() ? CommandResult{} : results.front();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  std::string models_;
  std::unique_ptr<host::Host> host_;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(ReferenceHostTest, EveryModelIsLoadedTriedAndUnloadedByItsVersion) {
  ASSERT_TRUE(Know());
  for (const char* model :
       {"title-ranker@1", "title-ranker@2", "title-ranker@3", "arrival-delay@1", "arrival-delay@2"}) {
    const CommandResult loaded = Run(CommandKind::kLoad, model);
    EXPECT_TRUE(loaded.status.ok()) << loaded.status;
    const CommandResult tried = Run(CommandKind::kDryRun, model);
    EXPECT_TRUE(tried.status.ok()) << tried.status;
    EXPECT_EQ(tried.note, "");
    EXPECT_GT(tried.seconds, 0) << model;
  }

  const CommandResult unloaded = Run(CommandKind::kUnload, "title-ranker@2");

  EXPECT_TRUE(unloaded.status.ok()) << unloaded.status;
  EXPECT_EQ(Observed().index.at("title-ranker@2").state, ModelState::kUnavailable);
  EXPECT_EQ(Observed().index.at("title-ranker@3").state, ModelState::kReady);
  EXPECT_GE(Observed().saturation, 0);
}

TEST_F(ReferenceHostTest, AModelBeyondTheMemoryIsRefusedWithItsCode) {
  host_.reset();
  Start("127.0.0.1:0", /*memory_bytes=*/1);
  ASSERT_TRUE(Know());

  const CommandResult result = Run(CommandKind::kLoad, "title-ranker@3");

  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted) << result.status;
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("(--memory-bytes)"));
}

TEST_F(ReferenceHostTest, ARestartIsAnotherLifeWithNothingLoaded) {
  ASSERT_TRUE(Know());
  ASSERT_TRUE(Run(CommandKind::kLoad, "title-ranker@1").status.ok());
  const ObservedHost before = Observed();

  host_->Stop(milliseconds(0));
  ASSERT_TRUE(Until([this] { return !Observed().alive; }));
  Start(before.address);
  ASSERT_TRUE(Know());

  EXPECT_NE(Observed().instance, before.instance);
  EXPECT_EQ(Observed().index.at("title-ranker@1").state, ModelState::kUnavailable);
}

}  // namespace
}  // namespace signalbox::fleet
