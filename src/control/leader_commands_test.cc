// The loop around the controller, with a real host and a store that fails when the test wants it.
#include "control/leader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "base/test_folder.h"
#include "fleet/test_host.h"
#include "store/test_forwarding_store.h"

namespace signalbox::control {
namespace {

// The real one, which does not answer the first writing of anything that a rollout says.
class UnreliableStore : public store::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  absl::StatusOr<store::BatchResult> Write(const store::Batch& batch) override {
    const bool of_rollout =
        batch.fence && std::any_of(batch.records.begin(), batch.records.end(),
                                   [](const store::RecordWrite& write) { return write.key.starts_with("rollout/"); });
    if (of_rollout && ++of_rollouts % 2 == 1) return absl::UnavailableError("the disk is full");
    return to().Write(batch);
  }

  std::atomic<int> of_rollouts{0};
};

TEST(LeaderLoop, WhatHostsWereToBeAskedIsAskedAlthoughTheStoreFails) {
  TestFolder folder;
  auto opened = store::OpenStore("sqlite:" + folder.File("store.db"), store::OpenMode::kCreateIfMissing);
  ASSERT_TRUE(opened.ok()) << opened.status();
  UnreliableStore store(**opened);
  fleet::TestHost host;
  host.Have("ranker@1", {.state = "UNAVAILABLE"});
  const std::string fleet = R"({"shards":{"a":{"hosts":[{"address":")" + host.address() + R"("}]}}})";
  const std::string rules =
      R"({"namespace":"home","objectives":[{"default_model":{"name":"ranker","version":"1"},"name":"Ranking"}]})";
  ASSERT_TRUE(store.Publish({"fleet", fleet, "ada", "", {}}).ok());
  LeaderOptions options;
  options.node_id = "control-1";
  auto leader = Leader::Start(
      store, [] { return std::vector<SubscriberInfo>(); }, std::move(options));
  while (leader->status().hosts_alive == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_TRUE(store.Publish({"rules/home", rules, "ada", "", {}}).ok());
  leader->StoreChanged();
  // Else it would be a minute until the load counts as lost.
  EXPECT_TRUE(host.WaitForCall("RepositoryModelLoad"));
  EXPECT_TRUE(host.WaitForCall("ModelInfer"));
  EXPECT_GT(store.of_rollouts, 0);
  leader->Stop();
}

class LeaderOfAHostTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    for (const char* model : {"ranker@1", "ranker@2"}) host_.Have(model, {.state = "UNAVAILABLE"});
    Publish("fleet", R"({"shards":{"a":{"hosts":[{"address":")" + host_.address() + R"("}]}}})");
  }
  void Publish(const std::string& topic, const std::string& content) {
    ASSERT_TRUE(store_->Publish({topic, content, "ada", "", {}}).ok());
  }
  void PublishRules(const std::string& version) {
    Publish("rules/home", R"({"namespace":"home","objectives":[{"default_model":{"name":"ranker","version":")" +
                              version + R"("},"name":"Ranking"}]})");
  }
  std::unique_ptr<Leader> Start(const std::string& node_id) {
    LeaderOptions options;
    options.node_id = node_id;
    options.lease = std::chrono::milliseconds(1500);
    return Leader::Start(
        *store_, [] { return std::vector<SubscriberInfo>(); }, std::move(options));
  }
  static bool Eventually(const std::function<bool()>& condition) {
    for (const auto end = Clock::now() + std::chrono::seconds(30); Clock::now() < end;) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  using Clock = std::chrono::steady_clock;
  TestFolder folder_;
  std::unique_ptr<store::Store> store_;
  fleet::TestHost host_;
};

TEST_F(LeaderOfAHostTest, ANewOneWaitsForCommandsOfTheOneBeforeAsLongAsTheLeaseLetsThemTake) {
  PublishRules("1");
  auto leader = Start("control-1");
  ASSERT_TRUE(Eventually([&] { return store_->Get("active/home", std::nullopt).ok(); }));
  leader->Stop();
  PublishRules("2");
  leader = Start("control-2");
  ASSERT_TRUE(Eventually([&] { return leader->status().leads; }));
  const auto since = Clock::now();
  EXPECT_TRUE(host_.WaitForCall("RepositoryModelLoad", 2));
  EXPECT_LT(Clock::now() - since, std::chrono::seconds(6)) << "a third of the lease, and a probe of the host";
  leader->Stop();
}

TEST_F(LeaderOfAHostTest, OneThatDoesNotLeadAnyMoreTellsNothingOfHostsAndTroubles) {
  Publish("rules/home", "not json");
  auto leader = Start("control-1");
  ASSERT_TRUE(Eventually([&] { return leader->status().hosts_alive == 1; }));
  ASSERT_FALSE(leader->status().troubles.empty());
  // Its lease is lost to another one, which stays.
  const std::string key = "leader";
  bool is_taken = false;
  while (!is_taken) {
    ASSERT_TRUE(store_->Write({.records = {{.key = key, .value = std::nullopt}}}).ok());
    is_taken = store_->Write({.records = {{.key = key, .value = "control-2", .expected_revision = 0}}}).ok();
  }
  EXPECT_TRUE(Eventually([&] { return !leader->status().leads; }));
  EXPECT_TRUE(Eventually([&] { return leader->status().hosts == 0 && leader->status().troubles.empty(); }));
  EXPECT_EQ(leader->status().hosts_alive, 0u);
  leader->Stop();
}

}  // namespace
}  // namespace signalbox::control
