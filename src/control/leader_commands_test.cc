// The loop around the controller, with a real host and a store that fails when the test wants it.
#include "control/leader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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

}  // namespace
}  // namespace signalbox::control
