// What every engine promises of records and of batches: all or nothing, fences, expiry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/status.h"
#include "store/store.h"
#include "store/test_engines.h"

namespace signalbox::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr auto kLong = 10s;  // a wait that only a failing test sees the end of
constexpr auto kLease = 2s;  // the shortest that every engine can keep exactly

class Batches : public testing::TestWithParam<TestEngineKind> {
 protected:
  std::unique_ptr<Store> Open() { return engine_->Open(); }

  const std::unique_ptr<TestEngine> engine_ = GetParam().make();
};
INSTANTIATE_TEST_SUITE_P(, Batches, testing::ValuesIn(AllTestEngines()), NameOf);

Publication Rules(std::string topic, std::string content, Expected expected = {}) {
  return {std::move(topic), std::move(content), "ada", "because", expected};
}

absl::StatusOr<int64_t> Put(Store& store, std::string key, std::string value,
                            std::optional<int64_t> expected_revision = std::nullopt,
                            std::chrono::milliseconds expires_after = 0ms) {
  Batch batch;
  batch.records.push_back({std::move(key), std::move(value), expected_revision, expires_after});
  ASSIGN_OR_RETURN(BatchResult result, store.Write(batch));
  return result.records_revision;
}

absl::Status Remove(Store& store, std::string key, std::optional<int64_t> expected_revision = std::nullopt) {
  Batch batch;
  batch.records.push_back({std::move(key), std::nullopt, expected_revision});
  return store.Write(batch).status();
}

std::vector<std::string> Keys(const std::vector<Record>& records) {
  std::vector<std::string> keys;
  for (const Record& record : records) keys.push_back(record.key);
  return keys;
}

TEST_P(Batches, ABatchWritesVersionsAndRecordsAtOnce) {
  auto store = Open();
  Batch batch;
  batch.publications = {Rules("placement", "p"), Rules("active/home", "a"), Rules("active/home/region=eu", "e")};
  batch.records = {{"rollout/home", "active"}, {"leader", "n1"}};
  auto result = store->Write(batch);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->published.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result->published[i].info.topic, batch.publications[i].topic);
    EXPECT_EQ(result->published[i].info.sequence, static_cast<int64_t>(i) + 1);
  }
  EXPECT_GT(result->records_revision, 0);
  auto other = Open();
  EXPECT_EQ(other->Get("active/home/region=eu", 1)->content, "e");
  auto record = other->GetRecord("rollout/home");
  ASSERT_TRUE(record.ok() && *record) << record.status();
  EXPECT_EQ((*record)->value, "active");
  EXPECT_EQ((*record)->revision, result->records_revision);
  EXPECT_EQ((*record)->created_revision, result->records_revision);
}

TEST_P(Batches, ABatchOfWhichOnePartDoesNotHoldWritesNothing) {
  auto store = Open();
  ASSERT_TRUE(store->Publish(Rules("rules/home", "one")).ok());
  const int64_t revision = *Put(*store, "there", "1");
  auto try_batch = [&](Expected of_version, std::optional<int64_t> of_record, const std::optional<Fence>& fence) {
    Batch batch;
    batch.publications = {Rules("placement", "p"), Rules("rules/home", "two", of_version)};
    batch.records = {{"new", "x"}, {"there", "2", of_record}};
    batch.fence = fence;
    absl::Status status = store->Write(batch).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    EXPECT_EQ(store->Latest()->sequence, 1);
    EXPECT_EQ((*store->GetRecord("there"))->value, "1");
    EXPECT_EQ(*store->GetRecord("new"), std::nullopt);
    return std::string(Message(status));
  };
  EXPECT_THAT(try_batch({.version = 0}, {}, {}),
              HasSubstr("rules/home: expected version 0, but version 1 is there, by ada"));
  EXPECT_THAT(try_batch({.sequence = 7}, {}, {}), HasSubstr("expected the store at sequence 7, but it is at 1"));
  EXPECT_THAT(try_batch({}, revision + 1000, {}), HasSubstr("record 'there': expected revision"));
  EXPECT_THAT(try_batch({}, 0, {}), HasSubstr("record 'there': expected none, found revision"));
  EXPECT_THAT(try_batch({}, {}, Fence{"leader", 1}), HasSubstr("no longer the leader: record 'leader'"));
}

TEST_P(Batches, AnExpectedSequenceIsOfTheMomentBeforeTheBatch) {
  auto store = Open();
  ASSERT_TRUE(store->Publish(Rules("rules/home", "one")).ok());
  Batch batch;
  batch.publications = {Rules("placement", "p", {.sequence = 1}),
                        Rules("rules/home", "two", {.version = 1, .sequence = 1})};
  EXPECT_TRUE(store->Write(batch).ok());
}

TEST_P(Batches, ContentThatIsTheNewestAlreadyAddsNoVersionAndTheOthersFollowEachOther) {
  auto store = Open();
  ASSERT_TRUE(store->Publish(Rules("rules/home", "same")).ok());
  Batch batch;
  batch.publications = {Rules("placement", "p"), Rules("rules/home", "same"), Rules("rules/search", "s")};
  auto result = store->Write(batch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->published[1].unchanged);
  EXPECT_EQ(result->published[1].info.version, 1);
  EXPECT_EQ(result->published[0].info.sequence, 2);
  EXPECT_EQ(result->published[2].info.sequence, 3);
  EXPECT_EQ(result->records_revision, 0);
  EXPECT_EQ(store->Latest()->sequence, 3);
}

TEST_P(Batches, TheLargestBatchIsWritten) {
  auto store = Open();
  Batch batch;
  for (size_t i = 0; i < kBatchPublicationsMax; ++i)
    batch.publications.push_back(Rules("active/n" + std::to_string(i), std::string(4096, 'x') + std::to_string(i)));
  for (size_t i = 0; i < kBatchRecordsMax; ++i) batch.records.push_back({"r" + std::to_string(i), "v", 0, 1h});
  auto result = store->Write(batch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(store->Latest()->sequence, static_cast<int64_t>(kBatchPublicationsMax));
  EXPECT_EQ(store->Records("r")->size(), kBatchRecordsMax);
}

TEST_P(Batches, LargeContentsAndALargeRecordGoTogether) {
  auto store = Open();
  Batch batch;
  for (const char* topic : {"rules/a", "rules/b", "rules/c"})
    batch.publications.push_back(Rules(topic, topic + std::string(3 << 20, 'x')));
  batch.records.push_back({"big", std::string(kRecordBytesMax - 3, 'r')});
  auto result = store->Write(batch);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(store->Get("rules/b", 1)->content, batch.publications[1].content);
  EXPECT_EQ((*store->GetRecord("big"))->value, *batch.records[0].value);
}

TEST_P(Batches, WhatIsOutsideTheLimitsOfABatchIsRefused) {
  auto store = Open();
  auto code = [&](const Batch& batch) { return store->Write(batch).status().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code({.publications = {Rules("rules/a", "1"), Rules("rules/a", "2")}, .records = {}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"a", "1"}, {"a", "2"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"", "1"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"a b", "1"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"a\n", "1"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"\xc3\xa4", "1"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{std::string(kRecordKeyBytesMax + 1, 'k'), "1"}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"a", std::string(kRecordBytesMax, 'v')}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {{"a", "1", {}, -1ms}}}), kInvalid);
  EXPECT_EQ(code({.publications = {}, .records = {}, .fence = Fence{"", 1}}), kInvalid);
  Batch many;
  for (size_t i = 0; i <= kBatchRecordsMax; ++i) many.records.push_back({"r" + std::to_string(i), "v"});
  EXPECT_EQ(code(many), kInvalid);
  EXPECT_THAT(*store->Records(""), IsEmpty());
}

TEST_P(Batches, ABatchOfNothingIsFineAndAFenceAloneIsAsked) {
  auto store = Open();
  EXPECT_TRUE(store->Write({}).ok());
  const int64_t token = *Put(*store, "leader", "n1", 0);
  EXPECT_TRUE(store->Write({.publications = {}, .records = {}, .fence = Fence{"leader", token}}).ok());
  EXPECT_TRUE(
      absl::IsAborted(store->Write({.publications = {}, .records = {}, .fence = Fence{"leader", token + 1}}).status()));
}

TEST_P(Batches, RecordsAreListedByPrefixInOrder) {
  auto store = Open();
  for (const char* key : {"host/b", "host/a", "host", "hosts", "host/a/1", "data-plane/x"})
    ASSERT_TRUE(Put(*store, key, key).ok());
  EXPECT_THAT(Keys(*store->Records("host/")), ElementsAre("host/a", "host/a/1", "host/b"));
  EXPECT_THAT(Keys(*store->Records("host")), ElementsAre("host", "host/a", "host/a/1", "host/b", "hosts"));
  EXPECT_THAT(Keys(*store->Records("")), ElementsAre("data-plane/x", "host", "host/a", "host/a/1", "host/b", "hosts"));
  EXPECT_THAT(*store->Records("none/"), IsEmpty());
  EXPECT_EQ(store->Records("host/")->at(2).value, "host/b");
}

TEST_P(Batches, ARecordsRevisionGrowsAndItsCreationStays) {
  auto store = Open();
  const int64_t first = *Put(*store, "leader", "n1");
  const int64_t second = *Put(*store, "leader", "n1 again");
  EXPECT_GT(second, first);
  Record record = **store->GetRecord("leader");
  EXPECT_EQ(record.revision, second);
  EXPECT_EQ(record.created_revision, first);
  ASSERT_TRUE(Remove(*store, "leader").ok());
  EXPECT_EQ(*store->GetRecord("leader"), std::nullopt);
  const int64_t third = *Put(*store, "leader", "n2");
  EXPECT_GT(third, second);
  EXPECT_EQ((*store->GetRecord("leader"))->created_revision, third);
}

TEST_P(Batches, ARecordIsWrittenOnlyAtTheRevisionThatIsExpected) {
  auto store = Open();
  const int64_t first = *Put(*store, "leader", "n1", 0);
  EXPECT_TRUE(absl::IsAborted(Put(*store, "leader", "n2", 0).status()));
  const int64_t second = *Put(*store, "leader", "n1", first);
  EXPECT_TRUE(absl::IsAborted(Put(*store, "leader", "n1", first).status()));
  EXPECT_TRUE(absl::IsAborted(Remove(*store, "leader", first)));
  EXPECT_TRUE(Remove(*store, "leader", second).ok());
  EXPECT_TRUE(Remove(*store, "leader", 0).ok());
  EXPECT_TRUE(absl::IsAborted(Remove(*store, "leader", second)));
}

TEST_P(Batches, OfManyWhoWantToLeadExactlyOneDoes) {
  std::atomic<int> leading = 0;
  {
    std::vector<std::jthread> candidates;
    for (int i = 0; i < 6; ++i) {
      candidates.emplace_back([&, i] {
        auto own = Open();
        absl::Status status = Put(*own, "leader", std::to_string(i), 0, 1h).status();
        if (status.ok()) ++leading;
        EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
      });
    }
  }
  EXPECT_EQ(leading, 1);
}

TEST_P(Batches, WritersOfDifferentRecordsDoNotDisturbEachOther) {
  constexpr int kWriters = 4;
  constexpr int kWrites = 20;
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < kWriters; ++i) {
      writers.emplace_back([&, i] {
        auto own = Open();
        std::optional<int64_t> revision = 0;
        for (int n = 0; n < kWrites; ++n) {
          auto put = Put(*own, "host/" + std::to_string(i), std::to_string(n), revision);
          ASSERT_TRUE(put.ok()) << put.status();
          revision = *put;
        }
      });
    }
  }
  auto records = Open()->Records("host/");
  ASSERT_EQ(records->size(), static_cast<size_t>(kWriters));
  for (const Record& record : *records) EXPECT_EQ(record.value, std::to_string(kWrites - 1));
}

TEST_P(Batches, PublishersWhoExpectNothingAllGetThrough) {
  constexpr int kPublishers = 4;
  constexpr int kPublishes = 10;
  {
    std::vector<std::jthread> publishers;
    for (int i = 0; i < kPublishers; ++i) {
      publishers.emplace_back([&, i] {
        auto own = Open();
        for (int n = 0; n < kPublishes; ++n) {
          auto published = own->Publish(Rules("rules/n" + std::to_string(i % 2), std::to_string(i * 100 + n)));
          ASSERT_TRUE(published.ok()) << published.status();
        }
      });
    }
  }
  auto changes = Open()->Changes(0, 1000);
  ASSERT_EQ(changes->size(), static_cast<size_t>(kPublishers * kPublishes));
  for (size_t i = 0; i < changes->size(); ++i) EXPECT_EQ(changes->at(i).sequence, static_cast<int64_t>(i) + 1);
}

TEST_P(Batches, ARecordThatExpiresIsGoneUnlessItIsRenewed) {
  auto store = Open();
  const int64_t first = *Put(*store, "host/1", "a", 0, kLease);
  ASSERT_TRUE(Put(*store, "host/2", "b", 0).ok());
  EXPECT_EQ((*store->GetRecord("host/1"))->expires_after, kLease);
  EXPECT_EQ((*store->GetRecord("host/2"))->expires_after, 0ms);
  const int64_t renewed = *Put(*store, "host/1", "a", first, kLease);
  EXPECT_EQ((*store->GetRecord("host/1"))->created_revision, first);
  engine_->LetExpire(*store, "host/1", kLease);
  EXPECT_EQ(*store->GetRecord("host/1"), std::nullopt);
  EXPECT_THAT(Keys(*store->Records("")), ElementsAre("host/2"));
  EXPECT_TRUE(absl::IsAborted(Put(*store, "host/1", "a", renewed, kLease).status()));
  const int64_t again = *Put(*store, "host/1", "a", 0);
  EXPECT_GT(again, renewed);
  EXPECT_EQ((*store->GetRecord("host/1"))->created_revision, again);
}

TEST_P(Batches, ARecordThatIsWrittenWithoutExpiryStaysThoughItHadOne) {
  auto store = Open();
  ASSERT_TRUE(Put(*store, "stays", "a", 0, kLease).ok());
  ASSERT_TRUE(Put(*store, "stays", "b").ok());
  ASSERT_TRUE(Put(*store, "goes", "a", 0, kLease).ok());
  engine_->LetExpire(*store, "goes", kLease);
  EXPECT_THAT(Keys(*store->Records("")), ElementsAre("stays"));
}

TEST_P(Batches, ALeaderWhoseLeaseHasExpiredCannotWriteWhoeverLeadsNow) {
  auto store = Open();
  const int64_t token = *Put(*store, "leader", "n1", 0, kLease);
  const Fence fence{"leader", token};
  Batch batch{.publications = {Rules("placement", "by n1")}, .records = {}, .fence = fence};
  ASSERT_TRUE(store->Write(batch).ok());
  // A renewal keeps the token.
  ASSERT_TRUE(Put(*store, "leader", "n1", token, kLease).ok());
  batch.publications = {Rules("placement", "by n1, renewed")};
  ASSERT_TRUE(store->Write(batch).ok());

  engine_->LetExpire(*store, "leader", kLease);
  batch.publications = {Rules("placement", "by n1, expired")};
  absl::Status status = store->Write(batch).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no longer the leader"));

  auto other = Open();
  ASSERT_TRUE(Put(*other, "leader", "n2", 0, 1h).ok());
  status = store->Write(batch).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no longer the leader"));
  EXPECT_EQ(store->Get("placement", std::nullopt)->content, "by n1, renewed");
}

TEST_P(Batches, AWatchWakesUpForRecordsAndSaysSo) {
  auto store = Open();
  ASSERT_TRUE(Put(*store, "a", "1").ok());
  auto watch = *store->WatchChanges(0);
  EXPECT_THAT(*watch->Next(0ms), IsEmpty());
  const int64_t before = watch->records_revision();
  std::jthread writer([&] { EXPECT_TRUE(Put(*Open(), "a", "2").ok()); });
  const auto begun = std::chrono::steady_clock::now();
  auto changes = watch->Next(kLong);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_THAT(*changes, IsEmpty());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, kLong);
  EXPECT_GT(watch->records_revision(), before);
}

TEST_P(Batches, AWatchReportsABatchWhole) {
  auto store = Open();
  auto watch = *store->WatchChanges(0);
  Batch batch;
  batch.publications = {Rules("placement", "p"), Rules("active/home", "a")};
  batch.records = {{"rollout/home", "active"}};
  ASSERT_TRUE(store->Write(batch).ok());
  auto changes = watch->Next(kLong);
  ASSERT_TRUE(changes.ok()) << changes.status();
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ(changes->at(0).topic, "placement");
  EXPECT_EQ(changes->at(1).topic, "active/home");
}

}  // namespace
}  // namespace signalbox::store
