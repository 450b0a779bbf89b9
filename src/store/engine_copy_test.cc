// Copies from a store in memory to each engine and back.
#include "store/store_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"
#include "store/memory_store.h"
#include "store/test_engines.h"

namespace signalbox::store {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Copies : public testing::TestWithParam<TestEngineKind> {
 protected:
  Copies() {
    for (int i = 0; i < 150; ++i) Publish(i % 3 == 0 ? "placement" : "rules/home", "content " + std::to_string(i));
    EXPECT_TRUE(from_->Rollback({"rules/home", 7, "grace", "it was better", {}}).ok());
    EXPECT_EQ(*from_->Prune("rules/home", 20, {3}), 80u);
    Batch batch;
    batch.records = {{"rollout/home", std::string("widening\0", 9)}, {"rollout/search", ""}, {"leader", "n1", 0, 1h}};
    EXPECT_TRUE(from_->Write(batch).ok());
  }

  void Publish(std::string topic, std::string content) {
    auto published = from_->Publish({std::move(topic), std::move(content), "ada", "because", {}});
    EXPECT_TRUE(published.ok()) << published.status();
  }

  TestClock clock_;
  std::unique_ptr<Store> from_ = OpenMemoryStore(NewMemoryContent(), clock_.Get(), "memory:source");
  const std::unique_ptr<TestEngine> engine_ = GetParam().make();
};
INSTANTIATE_TEST_SUITE_P(, Copies, testing::ValuesIn(AllTestEngines()), NameOf);

TEST_P(Copies, EverythingThatLastsComesOverAndBack) {
  auto to = engine_->Open();
  auto there = CopyStore(*from_, *to);
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->sequence, 151);
  EXPECT_EQ(there->topics, 2u);
  EXPECT_EQ(there->pruned, 80u);
  EXPECT_EQ(there->records, 2u);

  auto home = OpenMemoryStore(NewMemoryContent(), clock_.Get(), "memory:home");
  auto back = CopyStore(*to, *home);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(home->Latest()->sequence, 151);
  EXPECT_EQ(home->History("rules/home", 1)->at(0).rollback_of, 7);
  EXPECT_EQ(home->Get("rules/home", 3)->content, from_->Get("rules/home", 3)->content);
  EXPECT_EQ(home->Get("rules/home", 4).status(), from_->Get("rules/home", 4).status());
  EXPECT_EQ(home->Get("placement", 50)->info.unix_ms, from_->Get("placement", 50)->info.unix_ms);
  EXPECT_EQ((*home->GetRecord("rollout/home"))->value, std::string("widening\0", 9));
  EXPECT_EQ(*home->GetRecord("leader"), std::nullopt);
}

TEST_P(Copies, LargeContentsComeOver) {
  for (int i = 0; i < 6; ++i) Publish("rules/large", std::string(7 << 20, static_cast<char>('a' + i)));
  auto to = engine_->Open();
  auto copied = CopyStore(*from_, *to);
  ASSERT_TRUE(copied.ok()) << copied.status();
  EXPECT_EQ(to->Get("rules/large", 6)->content, std::string(7 << 20, 'f'));
}

TEST_P(Copies, ATargetThatHoldsSomethingIsLeftAsItIs) {
  auto to = engine_->Open();
  ASSERT_TRUE(to->Publish({"rules/risk", "r", "linus", "", {}}).ok());
  absl::Status status = CopyStore(*from_, *to).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(to->name() + ": something is in it already, nothing was copied"));
  EXPECT_EQ(to->Latest()->sequence, 1);
}

TEST_P(Copies, AnEmptyStoreIsCopiedToo) {
  auto nothing = OpenMemoryStore(NewMemoryContent(), clock_.Get());
  auto copied = CopyStore(*nothing, *engine_->Open());
  ASSERT_TRUE(copied.ok()) << copied.status();
  EXPECT_EQ(copied->sequence, 0);
}

}  // namespace
}  // namespace signalbox::store
