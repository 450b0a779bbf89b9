#include "store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/hash.h"
#include "base/status.h"
#include "base/test_folder.h"

namespace signalbox::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr char kHome[] = "rules/home";
constexpr auto kLong = 10s;  // a wait that only a failing test sees the end of

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    auto store = OpenStore("sqlite:" + folder_.File("store.db"), OpenMode::kCreateIfMissing);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  static absl::StatusOr<Published> Publish(Store& store, std::string content, Expected expected = {},
                                           std::string topic = kHome) {
    return store.Publish({std::move(topic), std::move(content), "ada", "because", expected});
  }

  TestFolder folder_;
};

std::vector<int64_t> Sequences(const std::vector<VersionInfo>& changes) {
  std::vector<int64_t> sequences;
  for (const VersionInfo& change : changes) sequences.push_back(change.sequence);
  return sequences;
}

TEST_F(StoreTest, VersionsCountPerTopicAndTheSequenceCountsThemAll) {
  auto store = Open();
  EXPECT_EQ(Publish(*store, "a")->info.version, 1);
  EXPECT_EQ(Publish(*store, "b", {}, "rules/search")->info.version, 1);
  absl::StatusOr<Published> third = Publish(*store, "c");
  EXPECT_EQ(third->info.version, 2);
  EXPECT_EQ(third->info.sequence, 3);
}

TEST_F(StoreTest, EverythingOfAVersionIsReadBack) {
  auto store = Open();
  std::string content("zero \0 and \xff", 12);
  ASSERT_TRUE(Publish(*store, content).ok());
  absl::StatusOr<Version> version = store->Get(kHome, 1);
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->content, content);
  EXPECT_EQ(version->info.content_hash, Sha256Hex(content));
  EXPECT_EQ(version->info.content_bytes, content.size());
  EXPECT_EQ(version->info.author, "ada");
  EXPECT_EQ(version->info.message, "because");
  EXPECT_EQ(version->info.rollback_of, 0);
  EXPECT_GT(version->info.unix_ms, 1'600'000'000'000);
}

TEST_F(StoreTest, AnotherProcessOpensWhatWasPublished) {
  ASSERT_TRUE(Publish(*Open(), "a").ok());
  EXPECT_EQ(Open()->Get(kHome, std::nullopt)->content, "a");
}

TEST_F(StoreTest, PublishingTheNewestContentAgainAddsNothingAndSaysSo) {
  auto store = Open();
  ASSERT_FALSE(Publish(*store, "a")->unchanged);
  absl::StatusOr<Published> again = Publish(*store, "a");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->unchanged);
  EXPECT_EQ(again->info.version, 1);
  EXPECT_EQ(store->Latest()->sequence, 1);
}

TEST_F(StoreTest, AnExpectedVersionThatIsNotTheNewestIsRefusedNamingWhoWasFaster) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a", {.version = 0}).ok());
  ASSERT_TRUE(Publish(*store, "b", {.version = 1}).ok());
  absl::Status status = Publish(*store, "c", {.version = 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("expected version 1, but version 2 is there, by ada at 20"));
  EXPECT_EQ(store->Get(kHome, std::nullopt)->content, "b");
}

TEST_F(StoreTest, AnExpectedVersionOfATopicThatDoesNotExistIsRefused) {
  EXPECT_EQ(Publish(*Open(), "a", {.version = 1}).status().code(), absl::StatusCode::kAborted);
}

TEST_F(StoreTest, AnExpectedSequenceIsRefusedWhenAnyTopicHasChanged) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a", {.sequence = 0}).ok());
  ASSERT_TRUE(Publish(*store, "b", {}, "rules/search").ok());
  EXPECT_EQ(Publish(*store, "c", {.sequence = 1}).status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Publish(*store, "c", {.sequence = 2}).ok());
}

TEST_F(StoreTest, OfManyWhoExpectTheSameVersionExactlyOneIsFirst) {
  auto store = Open();
  constexpr int kPublishers = 8;
  std::atomic<int> won = 0;
  {
    std::vector<std::jthread> publishers;
    for (int i = 0; i < kPublishers; ++i) {
      publishers.emplace_back([&, i] {
        auto own = Open();  // a connection each, as processes have
        absl::Status status = Publish(*own, std::to_string(i), {.version = 0}).status();
        if (status.ok()) ++won;
        EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
      });
    }
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(store->History(kHome, 100)->size(), 1u);
}

TEST_F(StoreTest, ManyWhoMakeTheStoreAtTheSameTimeMakeOne) {
  {
    std::vector<std::jthread> publishers;
    for (int i = 0; i < 6; ++i) {
      publishers.emplace_back([&, i] {
        absl::Status status = Publish(*Open(), std::to_string(i)).status();
        EXPECT_TRUE(status.ok()) << status;
      });
    }
  }
  EXPECT_EQ(Open()->History(kHome, 100)->size(), 6u);
}

TEST_F(StoreTest, ARollbackIsANewVersionWithTheOldContent) {
  auto store = Open();
  for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(Publish(*store, content).ok());
  absl::StatusOr<Published> rolled = store->Rollback({kHome, 1, "grace", "b and c are bad", {}});
  ASSERT_TRUE(rolled.ok()) << rolled.status();
  EXPECT_EQ(rolled->info.version, 4);
  EXPECT_EQ(rolled->info.rollback_of, 1);
  EXPECT_EQ(rolled->info.author, "grace");
  EXPECT_EQ(store->Get(kHome, std::nullopt)->content, "a");
  EXPECT_EQ(store->Get(kHome, 3)->content, "c");
}

TEST_F(StoreTest, ARollbackToWhatIsNotThereIsNotFound) {
  auto store = Open();
  EXPECT_EQ(store->Rollback({kHome, 1, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Publish(*store, "a").ok());
  EXPECT_EQ(store->Rollback({kHome, 0, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->Rollback({kHome, 9, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, ARollbackHoldsToTheExpectedVersion) {
  auto store = Open();
  for (const char* content : {"a", "b"}) ASSERT_TRUE(Publish(*store, content).ok());
  EXPECT_EQ(store->Rollback({kHome, 1, "ada", "", {.version = 1}}).status().code(), absl::StatusCode::kAborted);
}

TEST_F(StoreTest, HistoryIsNewestFirstAndLimited) {
  auto store = Open();
  for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(Publish(*store, content).ok());
  auto history = store->History(kHome, 2);
  ASSERT_EQ(history->size(), 2u);
  EXPECT_EQ(history->at(0).version, 3);
  EXPECT_EQ(history->at(1).version, 2);
}

TEST_F(StoreTest, WhatDoesNotExistIsNotFoundAndSaysWhatThereIs) {
  auto store = Open();
  EXPECT_EQ(store->Get(kHome, std::nullopt).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->History(kHome, 1).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Publish(*store, "a").ok());
  absl::Status status = store->Get(kHome, 7).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no version 7; versions are 1 to 1"));
}

TEST_F(StoreTest, LatestHasTheNewestOfEveryTopicAtOneSequence) {
  auto store = Open();
  EXPECT_EQ(store->Latest()->sequence, 0);
  ASSERT_TRUE(Publish(*store, "a").ok());
  ASSERT_TRUE(Publish(*store, "p", {}, "placement").ok());
  ASSERT_TRUE(Publish(*store, "b").ok());
  absl::StatusOr<LatestVersions> latest = store->Latest();
  ASSERT_TRUE(latest.ok()) << latest.status();
  EXPECT_EQ(latest->sequence, 3);
  ASSERT_EQ(latest->topics.size(), 2u);
  EXPECT_EQ(latest->topics[0].info.topic, "placement");
  EXPECT_EQ(*latest->topics[1].content, "b");
}

TEST_F(StoreTest, AWatchReportsEveryChangeOfAnyConnectionInOrder) {
  auto store = Open();
  auto other = Open();
  ASSERT_TRUE(Publish(*store, "seen already").ok());
  auto watch = store->WatchChanges(1);
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_THAT(*(*watch)->Next(0ms), IsEmpty());

  ASSERT_TRUE(Publish(*store, "by this one").ok());
  ASSERT_TRUE(Publish(*other, "by another", {}, "rules/search").ok());
  absl::StatusOr<std::vector<VersionInfo>> changes = (*watch)->Next(kLong);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_THAT(Sequences(*changes), ElementsAre(2, 3));
  EXPECT_EQ(changes->at(1).topic, "rules/search");
  EXPECT_THAT(*(*watch)->Next(0ms), IsEmpty());
}

TEST_F(StoreTest, AWatchThatIsFarBehindGetsEverythingInBatches) {
  auto store = Open();
  constexpr int64_t kCount = 2 * static_cast<int64_t>(kWatchBatchMax) + 1;
  for (int64_t i = 0; i < kCount; ++i) ASSERT_TRUE(Publish(*store, std::to_string(i)).ok());
  auto watch = store->WatchChanges(0);
  int64_t expected = 0;
  while (expected < kCount) {
    auto changes = (*watch)->Next(kLong);
    ASSERT_TRUE(changes.ok() && !changes->empty());
    for (const VersionInfo& change : *changes) EXPECT_EQ(change.sequence, ++expected);
  }
}

TEST_F(StoreTest, AWaitingWatchWakesUpForAChangeAndForStop) {
  auto store = Open();
  auto watch = store->WatchChanges(0);
  std::jthread publisher([&] { EXPECT_TRUE(Publish(*Open(), "a").ok()); });
  EXPECT_THAT(Sequences(*(*watch)->Next(kLong)), ElementsAre(1));
  std::jthread stopper([&] { (*watch)->Stop(); });
  EXPECT_EQ((*watch)->Next(kLong).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(StoreTest, WhatIsOutsideItsLimitsIsRefused) {
  auto store = Open();
  auto code = [&](const Publication& publication) { return store->Publish(publication).status().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code({kHome, std::string(kContentBytesMax + 1, 'x'), "ada", "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", std::string(kAuthorBytesMax + 1, 'x'), "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "", "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "ada", std::string(kMessageBytesMax + 1, 'x'), {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "ada", "ok\n* 99 2026 evil", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "\x1b[2Jada", "", {}}), kInvalid);
  for (const char* topic : {"", "rules/", "rules/Home", "rules/1", "rules/a b", "placements", "rules/a/b", "traffic",
                            "traffic/", "traffic/A"}) {
    EXPECT_EQ(code({topic, "a", "ada", "", {}}), kInvalid) << topic;
  }
  EXPECT_EQ(code({kHome, std::string(kContentBytesMax, 'x'), "ada", "", {}}), absl::StatusCode::kOk);
}

TEST_F(StoreTest, SettingsOfTrafficAreATopicOfTheirOwn) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "rules", {}, RulesTopic("home")).ok());
  ASSERT_TRUE(Publish(*store, "settings", {}, TrafficTopic("home")).ok());
  EXPECT_EQ(store->Get("rules/home", std::nullopt)->content, "rules");
  EXPECT_EQ(store->Get("traffic/home", std::nullopt)->content, "settings");
  EXPECT_EQ(NamespaceOfTrafficTopic("traffic/home"), "home");
  EXPECT_EQ(NamespaceOfTrafficTopic("rules/home"), std::nullopt);
  EXPECT_EQ(NamespaceOfTopic("traffic/home"), std::nullopt);
}

TEST(OpenStore, ASpecOfAnotherKindIsRefusedWithAnExample) {
  for (const char* spec : {"", "store.db", "etcd:127.0.0.1:2379", "sqlite:", "sqlite::memory:"}) {
    absl::Status status = OpenStore(spec, OpenMode::kCreateIfMissing).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("for example sqlite:/var/lib/signalbox/store.db"));
  }
}

}  // namespace
}  // namespace signalbox::store
