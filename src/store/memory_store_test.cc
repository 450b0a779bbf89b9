// What the engine in memory promises beyond what every engine does.
#include "store/memory_store.h"

#include <gtest/gtest.h>

#include "store/test_engines.h"

namespace signalbox::store {
namespace {

TEST(MemoryStore, WhatIsStoredOutlivesItsConnections) {
  TestClock clock;
  auto content = NewMemoryContent();
  ASSERT_TRUE(OpenMemoryStore(content, clock.Get())->Publish({"placement", "p", "ada", "", {}}).ok());
  EXPECT_EQ(OpenMemoryStore(content, clock.Get())->Get("placement", 1)->content, "p");
}

TEST(MemoryStore, ABackupStaysAsItWas) {
  TestClock clock;
  auto content = NewMemoryContent();
  auto store = OpenMemoryStore(content, clock.Get());
  ASSERT_TRUE(store->Publish({"placement", "p", "ada", "", {}}).ok());
  auto backup = OpenMemoryStore(CopyOf(*content), clock.Get());
  ASSERT_TRUE(store->Publish({"placement", "q", "ada", "", {}}).ok());
  EXPECT_EQ(backup->Latest()->sequence, 1);
  ASSERT_TRUE(backup->Publish({"placement", "r", "ada", "", {}}).ok());
  EXPECT_EQ(store->Get("placement", 2)->content, "q");
}

TEST(MemoryStore, WhatExpiresDoesNotOutliveTheMachinesStart) {
  TestClock clock;
  auto content = NewMemoryContent();
  auto store = OpenMemoryStore(content, clock.Get("first boot"));
  ASSERT_TRUE(
      store->Write({.publications = {}, .records = {{"leader", "n1", 0, std::chrono::hours(1)}, {"stays", "s"}}}).ok());
  auto after = OpenMemoryStore(content, clock.Get("second boot"));
  EXPECT_EQ(*after->GetRecord("leader"), std::nullopt);
  EXPECT_EQ(after->Records("")->size(), 1u);
}

TEST(MemoryStore, VersionsAreDatedByTheClockThatItIsGiven) {
  StoreClock clock = TestClock().Get();
  clock.unix_ms = [] { return int64_t{42}; };
  auto store = OpenMemoryStore(NewMemoryContent(), clock);
  EXPECT_EQ(store->Publish({"placement", "p", "ada", "", {}})->info.unix_ms, 42);
}

}  // namespace
}  // namespace signalbox::store
