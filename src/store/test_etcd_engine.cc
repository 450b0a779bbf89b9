// Runs what every engine promises on etcd.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "store/etcd_store.h"
#include "store/test_engines.h"
#include "store/test_etcd.h"

namespace signalbox::store {
namespace {

// One for all tests, each with a prefix of its own.
class SharedEtcd : public testing::Environment {
 public:
  void TearDown() override { etcd_.reset(); }

  static TestEtcd& Get() {
    if (!etcd_) etcd_ = std::make_unique<TestEtcd>();
    return *etcd_;
  }

 private:
  static std::unique_ptr<TestEtcd> etcd_;
};
std::unique_ptr<TestEtcd> SharedEtcd::etcd_;

[[maybe_unused]] const testing::Environment* const kShared = testing::AddGlobalTestEnvironment(new SharedEtcd);

class EtcdEngine : public TestEngine {
 public:
  EtcdEngine() : options_(SharedEtcd::Get().Options("test" + std::to_string(++count_))) {}

  std::unique_ptr<Store> Open() override {
    auto store = OpenEtcdStore(options_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  // Its clock cannot be moved: the lease has to end.
  void LetExpire(Store& store, const std::string& key, std::chrono::milliseconds expires_after) override {
    const auto written = std::chrono::steady_clock::now();
    while (true) {
      auto record = store.GetRecord(key);
      ASSERT_TRUE(record.ok()) << record.status();
      if (!*record) return;
      ASSERT_LT(std::chrono::steady_clock::now() - written, expires_after + std::chrono::seconds(20));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

 private:
  static inline int count_ = 0;
  const EtcdOptions options_;
};

}  // namespace

std::vector<TestEngineKind> AllTestEngines() {
  return {{"Etcd", [] { return std::make_unique<EtcdEngine>(); }}};
}

}  // namespace signalbox::store
