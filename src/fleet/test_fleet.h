// A Fleet with quick probes, and a host for it, with ways to wait for what it says. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fleet/fleet.h"
#include "fleet/test_host.h"

namespace signalbox::fleet {

// Longer than anything takes that does not hang.
inline constexpr std::chrono::seconds kPatience{60};

class FleetTest : public testing::Test {
 protected:
  void SetUp() override { StartFleet(); }

  // Quick probes, or the tests would take as long as what they wait for.
  void StartFleet(FleetOptions options = {.probe_interval_min = std::chrono::milliseconds(20),
                                          .probe_interval_max = std::chrono::milliseconds(40),
                                          .probe_again = std::chrono::milliseconds(10),
                                          .probe_timeout = std::chrono::milliseconds(1000),
                                          .commands_per_host_max = 4}) {
    fleet_.reset();
    fleet_ = Fleet::Start(options, [this] {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
  }

  KnownHost Known(const std::string& id, const TestHost& host, const std::string& instance = "") {
    return {.id = id, .address = host.address(), .shard = "s", .instance = instance};
  }

  // True as soon as the condition is, which is looked at whenever the fleet says that something has changed.
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

  // How often the fleet said that something had changed.
  int Changes() {
    std::lock_guard lock(mutex_);
    return changes_;
  }

  rollout::ObservedHost Observed(const std::string& id) {
    for (rollout::ObservedHost& host : fleet_->Observe()) {
      if (host.id == id) return host;
    }
    return {};
  }
  bool UntilAlive(const std::string& id) {
    return Until([&] { return Observed(id).alive; });
  }
  bool UntilAway(const std::string& id) {
    return Until([&] { return !Observed(id).alive; });
  }
  rollout::ModelState StateOf(const std::string& id, const std::string& model) {
    const rollout::ObservedHost host = Observed(id);
    const auto found = host.index.find(model);
    return found == host.index.end() ? rollout::ModelState::kAbsent : found->second.state;
  }

  rollout::HostCommand Command(rollout::CommandKind kind, const std::string& id, const std::string& model,
                               v1::FleetModel declared = {},
                               std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
    const rollout::ObservedHost host = Observed(id);
    return {.kind = kind,
            .host = id,
            .instance = host.instance,
            .address = host.address,
            .model = model,
            .declared = std::move(declared),
            .timeout = timeout};
  }

  rollout::CommandResult Result() {
    std::vector<rollout::CommandResult> results;
    EXPECT_TRUE(Until([&] {
      results = fleet_->TakeResults();
      return !results.empty();
    }));
    EXPECT_EQ(results.size(), 1U);
    return results.empty() ? rollout::CommandResult{} : results.front();
  }
  rollout::CommandResult Run(rollout::HostCommand command) {
    fleet_->Execute({std::move(command)});
    return Result();
  }

  // Of a host of its own with the model m@1, READY.
  void StartHost() {
    host_.Have("m@1");
    fleet_->SetHosts({Known("h1", host_)});
    ASSERT_TRUE(UntilAlive("h1"));
  }
  rollout::CommandResult DryRunOf(TestModel model, v1::FleetModel declared = {},
                                  std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
    host_.Have("m@1", std::move(model));
    fleet_->SetHosts({Known("h1", host_)});
    EXPECT_TRUE(UntilAlive("h1"));
    return Run(Command(rollout::CommandKind::kDryRun, "h1", "m@1", std::move(declared), timeout));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  TestHost host_;
  std::unique_ptr<Fleet> fleet_;
};

}  // namespace signalbox::fleet
