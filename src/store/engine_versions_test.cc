// What every engine promises of versions: publish, rollback, history, watch, retention.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/hash.h"
#include "base/status.h"
#include "store/store.h"
#include "store/test_engines.h"

namespace signalbox::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr char kHome[] = "rules/home";
constexpr auto kLong = 10s;  // a wait that only a failing test sees the end of

class Versions : public testing::TestWithParam<TestEngineKind> {
 protected:
  std::unique_ptr<Store> Open() { return engine_->Open(); }

  static absl::StatusOr<Published> Publish(Store& store, std::string content, Expected expected = {},
                                           std::string topic = kHome) {
    return store.Publish({std::move(topic), std::move(content), "ada", "because", expected});
  }

  const std::unique_ptr<TestEngine> engine_ = GetParam().make();
};
INSTANTIATE_TEST_SUITE_P(, Versions, testing::ValuesIn(AllTestEngines()), NameOf);

std::vector<int64_t> Sequences(const std::vector<VersionInfo>& changes) {
  std::vector<int64_t> sequences;
  for (const VersionInfo& change : changes) sequences.push_back(change.sequence);
  return sequences;
}

TEST_P(Versions, VersionsCountPerTopicAndTheSequenceCountsThemAll) {
  auto store = Open();
  EXPECT_EQ(Publish(*store, "a")->info.version, 1);
  EXPECT_EQ(Publish(*store, "b", {}, "rules/search")->info.version, 1);
  absl::StatusOr<Published> third = Publish(*store, "c");
  EXPECT_EQ(third->info.version, 2);
  EXPECT_EQ(third->info.sequence, 3);
}

TEST_P(Versions, EverythingOfAVersionIsReadBack) {
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

TEST_P(Versions, AnotherProcessOpensWhatWasPublished) {
  ASSERT_TRUE(Publish(*Open(), "a").ok());
  EXPECT_EQ(Open()->Get(kHome, std::nullopt)->content, "a");
}

TEST_P(Versions, PublishingTheNewestContentAgainAddsNothingAndSaysSo) {
  auto store = Open();
  ASSERT_FALSE(Publish(*store, "a")->unchanged);
  absl::StatusOr<Published> again = Publish(*store, "a");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->unchanged);
  EXPECT_EQ(again->info.version, 1);
  EXPECT_EQ(store->Latest()->sequence, 1);
}

TEST_P(Versions, AnExpectedVersionThatIsNotTheNewestIsRefusedNamingWhoWasFaster) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a", {.version = 0}).ok());
  ASSERT_TRUE(Publish(*store, "b", {.version = 1}).ok());
  absl::Status status = Publish(*store, "c", {.version = 1}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("expected version 1, but version 2 is there, by ada at 20"));
  EXPECT_EQ(store->Get(kHome, std::nullopt)->content, "b");
}

TEST_P(Versions, AnExpectedVersionOfATopicThatDoesNotExistIsRefused) {
  EXPECT_EQ(Publish(*Open(), "a", {.version = 1}).status().code(), absl::StatusCode::kAborted);
}

TEST_P(Versions, AnExpectedSequenceIsRefusedWhenAnyTopicHasChanged) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a", {.sequence = 0}).ok());
  ASSERT_TRUE(Publish(*store, "b", {}, "rules/search").ok());
  EXPECT_EQ(Publish(*store, "c", {.sequence = 1}).status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Publish(*store, "c", {.sequence = 2}).ok());
}

TEST_P(Versions, OfManyWhoExpectTheSameVersionExactlyOneIsFirst) {
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

TEST_P(Versions, ManyWhoMakeTheStoreAtTheSameTimeMakeOne) {
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

TEST_P(Versions, ARollbackIsANewVersionWithTheOldContent) {
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

TEST_P(Versions, ARollbackToWhatIsNotThereIsNotFound) {
  auto store = Open();
  EXPECT_EQ(store->Rollback({kHome, 1, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Publish(*store, "a").ok());
  EXPECT_EQ(store->Rollback({kHome, 0, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->Rollback({kHome, 9, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(Versions, ARollbackHoldsToTheExpectedVersion) {
  auto store = Open();
  for (const char* content : {"a", "b"}) ASSERT_TRUE(Publish(*store, content).ok());
  EXPECT_EQ(store->Rollback({kHome, 1, "ada", "", {.version = 1}}).status().code(), absl::StatusCode::kAborted);
}

TEST_P(Versions, HistoryIsNewestFirstAndLimited) {
  auto store = Open();
  for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(Publish(*store, content).ok());
  auto history = store->History(kHome, 2);
  ASSERT_EQ(history->size(), 2u);
  EXPECT_EQ(history->at(0).version, 3);
  EXPECT_EQ(history->at(1).version, 2);
}

TEST_P(Versions, WhatDoesNotExistIsNotFoundAndSaysWhatThereIs) {
  auto store = Open();
  EXPECT_EQ(store->Get(kHome, std::nullopt).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->History(kHome, 1).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Publish(*store, "a").ok());
  absl::Status status = store->Get(kHome, 7).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no version 7; versions are 1 to 1"));
}

TEST_P(Versions, LatestHasTheNewestOfEveryTopicAtOneSequence) {
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

TEST_P(Versions, AWatchReportsEveryChangeOfAnyConnectionInOrder) {
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

TEST_P(Versions, AWatchThatIsFarBehindGetsEverythingInBatches) {
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

TEST_P(Versions, AWaitingWatchWakesUpForAChangeAndForStop) {
  auto store = Open();
  auto watch = store->WatchChanges(0);
  std::jthread publisher([&] { EXPECT_TRUE(Publish(*Open(), "a").ok()); });
  EXPECT_THAT(Sequences(*(*watch)->Next(kLong)), ElementsAre(1));
  std::jthread stopper([&] { (*watch)->Stop(); });
  EXPECT_EQ((*watch)->Next(kLong).status().code(), absl::StatusCode::kCancelled);
}

TEST_P(Versions, WhatIsOutsideItsLimitsIsRefused) {
  auto store = Open();
  auto code = [&](const Publication& publication) { return store->Publish(publication).status().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code({kHome, std::string(kContentBytesMax + 1, 'x'), "ada", "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", std::string(kAuthorBytesMax + 1, 'x'), "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "", "", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "ada", std::string(kMessageBytesMax + 1, 'x'), {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "ada", "ok\n* 99 2026 evil", {}}), kInvalid);
  EXPECT_EQ(code({kHome, "a", "\x1b[2Jada", "", {}}), kInvalid);
  for (const char* topic : {"",
                            "rules/",
                            "rules/Home",
                            "rules/1",
                            "rules/a b",
                            "placements",
                            "rules/a/b",
                            "traffic",
                            "traffic/",
                            "traffic/A",
                            "release",
                            "release/A",
                            "fleet/a",
                            "drain",
                            "active",
                            "active/",
                            "active/A",
                            "active/home/",
                            "active/home/eu",
                            "active/home/=eu",
                            "active/home/region=",
                            "active/home/region=e u",
                            "active/home/region=eu/x"}) {
    EXPECT_EQ(code({topic, "a", "ada", "", {}}), kInvalid) << topic;
  }
  EXPECT_EQ(code({kHome, std::string(kContentBytesMax, 'x'), "ada", "", {}}), absl::StatusCode::kOk);
}

TEST_P(Versions, EveryTopicOfTheSystemCanBePublished) {
  auto store = Open();
  int64_t sequence = 0;
  for (const std::string& topic : {RulesTopic("home"), TrafficTopic("home"), ReleaseTopic("home"), ActiveTopic("home"),
                                   ActiveTopic("home", "region=eu"), std::string(kFleetTopic),
                                   std::string(kDrainsTopic), std::string(kPlacementTopic)}) {
    auto published = Publish(*store, "content of " + topic, {}, topic);
    ASSERT_TRUE(published.ok()) << published.status();
    EXPECT_EQ(published->info.sequence, ++sequence);
    EXPECT_EQ(published->info.version, 1);
    EXPECT_EQ(store->Get(topic, 1)->content, "content of " + topic);
  }
}

TEST_P(Versions, ALargeContentIsReadBackFromAnotherConnection) {
  std::string content(kContentBytesMax, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 2654435761U >> 13);
  ASSERT_TRUE(Publish(*Open(), content).ok());
  auto store = Open();
  EXPECT_EQ(store->Get(kHome, 1)->content, content);
  EXPECT_EQ(*store->Latest()->topics.at(0).content, content);
}

TEST_P(Versions, AnEmptyContentIsAContent) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "").ok());
  EXPECT_EQ(store->Get(kHome, 1)->content, "");
  EXPECT_TRUE(Publish(*store, "")->unchanged);
}

TEST_P(Versions, ChangesAreTheAuditLogOfAllTopicsInOrder) {
  auto store = Open();
  EXPECT_THAT(*store->Changes(0, 10), IsEmpty());
  ASSERT_TRUE(Publish(*store, "a").ok());
  ASSERT_TRUE(Publish(*store, "b", {}, "placement").ok());
  ASSERT_TRUE(Publish(*store, "c").ok());
  auto all = store->Changes(0, kHistoryVersionsMax);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(Sequences(*all), ElementsAre(1, 2, 3));
  EXPECT_EQ(all->at(1).topic, "placement");
  EXPECT_EQ(all->at(2).version, 2);
  EXPECT_EQ(all->at(2).author, "ada");
  EXPECT_EQ(all->at(2).content_hash, Sha256Hex("c"));
  EXPECT_THAT(Sequences(*store->Changes(1, 1)), ElementsAre(2));
  EXPECT_THAT(*store->Changes(3, 10), IsEmpty());
}

TEST_P(Versions, RetentionDropsContentsAndKeepsWhoWhenAndWhy) {
  auto store = Open();
  for (const char* content : {"one", "two", "three", "four", "five"}) ASSERT_TRUE(Publish(*store, content).ok());
  auto dropped = store->Prune(kHome, 2, {2});
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_EQ(*dropped, 2u);  // 1 and 3
  EXPECT_EQ(store->Get(kHome, 2)->content, "two");
  EXPECT_EQ(store->Get(kHome, 4)->content, "four");
  absl::Status status = store->Get(kHome, 3).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "rules/home: version 3: its content was dropped by retention; versions 4.. are kept");
  EXPECT_EQ(store->Rollback({kHome, 1, "ada", "", {}}).status().code(), absl::StatusCode::kNotFound);

  auto other = Open();
  auto history = other->History(kHome, 10);
  ASSERT_EQ(history->size(), 5u);
  const VersionInfo& first = history->back();
  EXPECT_TRUE(first.pruned);
  EXPECT_EQ(first.author, "ada");
  EXPECT_EQ(first.message, "because");
  EXPECT_EQ(first.content_hash, Sha256Hex("one"));
  EXPECT_EQ(first.content_bytes, 3u);
  EXPECT_GT(first.unix_ms, 1'600'000'000'000);
  EXPECT_FALSE(history->front().pruned);
  EXPECT_TRUE(other->Changes(0, 10)->at(2).pruned);
  EXPECT_FALSE(other->Changes(0, 10)->at(1).pruned);
}

TEST_P(Versions, RetentionNeverTouchesTheNewestAndCanBeRepeated) {
  auto store = Open();
  EXPECT_EQ(store->Prune(kHome, 1, {}).status().code(), absl::StatusCode::kNotFound);
  for (const char* content : {"one", "two"}) ASSERT_TRUE(Publish(*store, content).ok());
  EXPECT_EQ(*store->Prune(kHome, 5, {}), 0u);
  EXPECT_EQ(*store->Prune(kHome, 0, {}), 1u);
  EXPECT_EQ(*store->Prune(kHome, 0, {}), 0u);
  EXPECT_EQ(store->Get(kHome, std::nullopt)->content, "two");
  EXPECT_EQ(*store->Latest()->topics.at(0).content, "two");
  ASSERT_TRUE(Publish(*store, "three").ok());
  EXPECT_EQ(store->Get(kHome, 2)->content, "two");
}

TEST_P(Versions, RetentionOfOneTopicLeavesTheOthers) {
  auto store = Open();
  for (const char* content : {"one", "two"}) {
    ASSERT_TRUE(Publish(*store, content).ok());
    ASSERT_TRUE(Publish(*store, content, {}, "rules/search").ok());
  }
  ASSERT_EQ(*store->Prune("rules/search", 1, {}), 1u);
  EXPECT_EQ(store->Get(kHome, 1)->content, "one");
}

TEST_P(Versions, AnImportKeepsNumbersAuthorsTimesAndWhatWasDropped) {
  auto from = Open();
  for (const char* content : {"one", "two", "one"}) ASSERT_TRUE(Publish(*from, content).ok());
  ASSERT_TRUE(Publish(*from, "p", {}, "placement").ok());
  ASSERT_EQ(*from->Prune(kHome, 1, {2}), 1u);
  std::vector<Version> versions;
  const std::vector<VersionInfo> infos = *from->Changes(0, 10);
  for (const VersionInfo& info : infos) {
    versions.push_back({info, info.pruned ? "" : from->Get(info.topic, info.version)->content});
  }

  const std::unique_ptr<TestEngine> target = GetParam().make();
  auto to = target->Open();
  absl::Status status = to->Import(versions);
  ASSERT_TRUE(status.ok()) << status;
  auto changes = to->Changes(0, 10);
  ASSERT_EQ(changes->size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(changes->at(i).topic, versions[i].info.topic);
    EXPECT_EQ(changes->at(i).unix_ms, versions[i].info.unix_ms);
    EXPECT_EQ(changes->at(i).content_bytes, versions[i].info.content_bytes);
    EXPECT_EQ(changes->at(i).pruned, versions[i].info.pruned);
  }
  EXPECT_EQ(to->Get(kHome, 2)->content, "two");
  EXPECT_EQ(to->Get(kHome, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Publish(*to, "q", {}, "placement")->info.sequence, 5);
}

TEST_P(Versions, AnImportThatDoesNotGoOnWhereTheStoreEndsChangesNothing) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "one").ok());
  Version next = *store->Get(kHome, 1);
  EXPECT_EQ(store->Import({next}).code(), absl::StatusCode::kFailedPrecondition);
  next.info.sequence = 2;
  EXPECT_EQ(store->Import({next}).code(), absl::StatusCode::kFailedPrecondition);
  next.info.version = 2;
  Version damaged = next;
  damaged.content = "ONE";
  EXPECT_EQ(store->Import({damaged}).code(), absl::StatusCode::kDataLoss);
  Version gap = next;
  gap.info.sequence = 4;
  gap.info.version = 3;
  EXPECT_EQ(store->Import({next, gap}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store->Latest()->sequence, 1);
  EXPECT_TRUE(store->Import({next}).ok());
}

}  // namespace
}  // namespace signalbox::store
