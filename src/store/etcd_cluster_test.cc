// Three members, of which one is killed or says nothing any more: what was acknowledged stays, and everybody goes on.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/status.h"
#include "store/etcd_store.h"
#include "store/test_etcd.h"

namespace signalbox::store {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLong = 30s;

// Publishes and renews a record until it is told to end, and remembers what was acknowledged.
class Publisher {
 public:
  Publisher(const EtcdOptions& options, int number)
      : store_(*OpenEtcdStore(options)), topic_("rules/n" + std::to_string(number)), thread_([this] { Run(); }) {}

  // Until it has been told so often that something is published, from now on.
  bool WaitForMore(int count) {
    const int64_t enough = acknowledged_ + count;
    const auto deadline = steady_clock::now() + kLong;
    while (acknowledged_ < enough && steady_clock::now() < deadline) std::this_thread::sleep_for(5ms);
    return acknowledged_ >= enough;
  }

  void Stop() {
    stopping_ = true;
    thread_.join();
  }
  int64_t acknowledged() const { return acknowledged_; }
  const std::string& topic() const { return topic_; }

 private:
  void Run() {
    while (!stopping_) {
      const std::string content = topic_ + " " + std::to_string(acknowledged_ + 1);
      absl::Status status = store_->Publish({topic_, content, "ada", "", {.version = acknowledged_.load()}}).status();
      // Not answered: it may be there all the same. Nobody else publishes this.
      if (absl::IsAborted(status) && store_->Get(topic_, acknowledged_ + 1)->content == content)
        status = absl::OkStatus();
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
      if (status.ok()) ++acknowledged_;
    }
  }

  const std::unique_ptr<Store> store_;
  const std::string topic_;
  std::atomic<int64_t> acknowledged_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class EtcdClusterTest : public testing::Test {
 protected:
  // All that was acknowledged is there in order, once, and the watch has reported it all.
  void Check(std::vector<std::unique_ptr<Publisher>>& publishers, Watch& watch) {
    int64_t total = 0;
    for (auto& publisher : publishers) {
      publisher->Stop();
      total += publisher->acknowledged();
    }
    auto store = *OpenEtcdStore(options_);
    auto latest = store->Latest();
    ASSERT_TRUE(latest.ok()) << latest.status();
    ASSERT_EQ(latest->sequence, total);
    for (auto& publisher : publishers) {
      for (int64_t version = 1; version <= publisher->acknowledged(); ++version) {
        auto stored = store->Get(publisher->topic(), version);
        ASSERT_TRUE(stored.ok()) << stored.status();
        ASSERT_EQ(stored->content, publisher->topic() + " " + std::to_string(version));
      }
    }
    const auto deadline = steady_clock::now() + kLong;
    int64_t seen = 0;
    while (seen < total && steady_clock::now() < deadline) {
      auto changes = watch.Next(1s);
      if (!changes.ok()) {
        ASSERT_TRUE(absl::IsUnavailable(changes.status())) << changes.status();
        continue;
      }
      for (const VersionInfo& change : *changes) ASSERT_EQ(change.sequence, ++seen);
    }
    EXPECT_EQ(seen, total);
    printf("%ld acknowledged publishes\n", static_cast<long>(total));
  }

  std::vector<std::unique_ptr<Publisher>> StartPublishers() {
    std::vector<std::unique_ptr<Publisher>> publishers;
    for (int i = 0; i < 2; ++i) publishers.push_back(std::make_unique<Publisher>(options_, i));
    return publishers;
  }

  TestEtcd etcd_{3};
  const EtcdOptions options_ = etcd_.Options();
};

TEST_F(EtcdClusterTest, NothingAcknowledgedIsLostWhenTheLeaderIsKilledAndComesBack) {
  auto store = *OpenEtcdStore(options_);
  auto watch = *store->WatchChanges(0);
  auto publishers = StartPublishers();
  for (int round = 0; round < 2; ++round) {
    for (auto& publisher : publishers) ASSERT_TRUE(publisher->WaitForMore(10));
    const std::optional<size_t> leader = etcd_.Leader();
    ASSERT_TRUE(leader);
    etcd_.Kill(*leader);
    for (auto& publisher : publishers) EXPECT_TRUE(publisher->WaitForMore(10)) << "round " << round;
    etcd_.Restart(*leader);
  }
  Check(publishers, *watch);
}

TEST_F(EtcdClusterTest, AMemberThatSaysNothingAnyMoreIsPassedOver) {
  EtcdOptions options = options_;
  options.request_timeout = 500ms;
  auto store = *OpenEtcdStore(options);
  ASSERT_TRUE(store->Publish({"placement", "p", "ada", "", {}}).ok());
  auto watch = *store->WatchChanges(1);
  // The one that is asked first.
  etcd_.Freeze(0);
  auto published = store->Publish({"placement", "q", "ada", "", {}});
  EXPECT_TRUE(published.ok()) << published.status();
  absl::StatusOr<std::vector<VersionInfo>> changes;
  const auto deadline = steady_clock::now() + kLong;
  do {
    changes = watch->Next(1s);
  } while ((!changes.ok() || changes->empty()) && steady_clock::now() < deadline);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_EQ(changes->size(), 1u);
  etcd_.Thaw(0);
}

TEST_F(EtcdClusterTest, WithoutAMajorityNothingIsWrittenAndTheErrorSaysSo) {
  EtcdOptions options = options_;
  options.request_timeout = 500ms;
  options.patience = 1500ms;
  auto store = *OpenEtcdStore(options);
  etcd_.Kill(1);
  etcd_.Kill(2);
  absl::Status status = store->Publish({"placement", "p", "ada", "", {}}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  printf("%s\n", std::string(Message(status)).c_str());
  etcd_.Restart(1);
  auto published = (*OpenEtcdStore(options_))->Publish({"placement", "p", "ada", "", {}});
  EXPECT_TRUE(published.ok()) << published.status();
  // Also if the first was done after all: it was the same.
  EXPECT_EQ(published->info.version, 1);
}

}  // namespace
}  // namespace signalbox::store
