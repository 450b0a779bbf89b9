// Runs what every engine promises on those that need nothing but this process.
#include <gtest/gtest.h>

#include <utility>

#include "base/test_folder.h"
#include "store/memory_store.h"
#include "store/sqlite_store.h"
#include "store/test_engines.h"

namespace signalbox::store {
namespace {

class SqliteEngine : public TestEngine {
 public:
  std::unique_ptr<Store> Open() override {
    SqliteOptions options;
    options.path = folder_.File("store.db");
    options.clock = clock_.Get();
    auto store = OpenSqliteStore(std::move(options));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  void LetExpire(Store&, const std::string&, std::chrono::milliseconds expires_after) override {
    clock_.Advance(expires_after);
  }

 private:
  TestFolder folder_;
  TestClock clock_;
};

class MemoryEngine : public TestEngine {
 public:
  std::unique_ptr<Store> Open() override { return OpenMemoryStore(content_, clock_.Get()); }

  void LetExpire(Store&, const std::string&, std::chrono::milliseconds expires_after) override {
    clock_.Advance(expires_after);
  }

 private:
  std::shared_ptr<MemoryContent> content_ = NewMemoryContent();
  TestClock clock_;
};

template <typename Engine>
TestEngineKind Kind(std::string name) {
  return {std::move(name), [] { return std::make_unique<Engine>(); }};
}

}  // namespace

std::vector<TestEngineKind> AllTestEngines() { return {Kind<SqliteEngine>("Sqlite"), Kind<MemoryEngine>("Memory")}; }

}  // namespace signalbox::store
