// What the engine on etcd promises beyond what every engine does: one member, alive, with everything that can be wrong
// with what it holds or says.
#include "store/etcd_store.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/status.h"
#include "store/etcd_client.h"
#include "store/etcd_layout.h"
#include "store/etcd_upload.h"
#include "store/test_cut_relay.h"
#include "store/test_etcd.h"

namespace signalbox::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr auto kLong = 10s;  // a wait that only a failing test sees the end of

class EtcdStoreTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { etcd_ = new TestEtcd(); }
  static void TearDownTestSuite() {
    delete etcd_;
    etcd_ = nullptr;
  }

  EtcdStoreTest() : options_(etcd_->Options("t" + std::to_string(++count_))), keys_(options_.prefix) {}

  static std::unique_ptr<Store> Open(const EtcdOptions& options) {
    auto store = OpenEtcdStore(options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  std::unique_ptr<Store> Open() const { return Open(options_); }

  static absl::StatusOr<Published> Publish(Store& store, std::string content, std::string topic = "rules/home") {
    return store.Publish({std::move(topic), std::move(content), "ada", "", {}});
  }

  // Does what no code of ours does: writes to etcd behind the store's back.
  void Put(std::string key, std::string value) {
    etcd::TxnRequest put;
    AddPut(put, std::move(key), std::move(value));
    ASSERT_TRUE(client_.Repeat(put).ok());
  }
  void DeletePrefix(std::string prefix) {
    etcd::TxnRequest remove;
    AddDeletePrefix(remove, std::move(prefix));
    ASSERT_TRUE(client_.Repeat(remove).ok());
  }
  std::vector<mvccpb::KeyValue> Pairs(std::string prefix) {
    auto answer = client_.Range(GetPrefix(std::move(prefix)));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return {answer->kvs().begin(), answer->kvs().end()};
  }

  static TestEtcd* etcd_;
  static inline int count_ = 0;
  const EtcdOptions options_;
  const EtcdKeys keys_;
  EtcdClient client_{"test", options_};
};
TestEtcd* EtcdStoreTest::etcd_ = nullptr;

TEST_F(EtcdStoreTest, AReaderDoesNotMakeAStore) {
  EtcdOptions options = options_;
  options.create_if_missing = false;
  absl::Status status = OpenEtcdStore(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Message(status)), HasSubstr(etcd_->Endpoints()));
  Open();
  EXPECT_TRUE(OpenEtcdStore(options).ok());
}

TEST_F(EtcdStoreTest, TwoPrefixesAreTwoStores) {
  auto store = Open();
  EtcdOptions other = options_;
  other.prefix += "x";
  ASSERT_TRUE(Publish(*store, "a").ok());
  EXPECT_EQ(Open(other)->Latest()->sequence, 0);
}

TEST_F(EtcdStoreTest, APublishOf50MegabytesIsRefusedWithTheLimit) {
  std::string content;
  content.resize(50'000'000, 'x');
  absl::Status status = Publish(*Open(), content).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(status), "rules/home: 50000000 bytes, the limit is 8388608");
}

TEST_F(EtcdStoreTest, PartsThatNoTransactionTookGoWithTheirLease) {
  Open();
  const std::string content(3 << 20, 'x');
  EtcdUpload upload(client_, keys_, "upload", 0);
  const std::string name = upload.Add(content);
  ASSERT_TRUE(upload.Send().ok());
  std::vector<mvccpb::KeyValue> parts = Pairs(keys_.Chunks(name));
  ASSERT_EQ(parts.size(), 3u);
  for (const mvccpb::KeyValue& part : parts) EXPECT_EQ(part.lease(), parts[0].lease());
  EXPECT_NE(parts[0].lease(), 0);

  // As when its time has come.
  etcd::LeaseRevokeRequest revoke;
  revoke.set_id(parts[0].lease());
  etcd::LeaseRevokeResponse revoked;
  grpc::ClientContext context;
  ASSERT_TRUE(etcd::Lease::NewStub(client_.current().channel)->LeaseRevoke(&context, revoke, &revoked).ok());
  EXPECT_EQ(Pairs(keys_.Chunks(name)).size(), 0u);
  etcd::TxnRequest transaction;
  upload.AddTo(transaction, name);
  EXPECT_EQ(client_.Commit(transaction).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EtcdStoreTest, PartsThatATransactionTookStayAndNothingElseIsLeft) {
  auto store = Open();
  const std::string content(3 << 20, 'x');
  ASSERT_TRUE(Publish(*store, content).ok());
  ASSERT_TRUE(Publish(*store, content)->unchanged);
  ASSERT_TRUE(Publish(*store, "small").ok());
  std::vector<mvccpb::KeyValue> parts = Pairs(keys_.prefix() + "c/");
  EXPECT_EQ(std::count_if(parts.begin(), parts.end(), [](const auto& part) { return part.lease() == 0; }), 4);
}

TEST_F(EtcdStoreTest, RetentionFreesTheSpaceOfContents) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, std::string(2 << 20, 'x')).ok());
  ASSERT_TRUE(Publish(*store, "small").ok());
  ASSERT_EQ(*store->Prune("rules/home", 1, {}), 1u);
  EXPECT_EQ(Pairs(keys_.prefix() + "c/").size(), 1u);
}

TEST_F(EtcdStoreTest, DamagedContentIsDataLossOfThatVersionAloneAndPublishingItAgainRepairsIt) {
  ASSERT_TRUE(Publish(*Open(), "a").ok());
  Put(Pairs(keys_.prefix() + "c/").at(0).key(), "damaged");
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "b", "rules/search").ok());
  absl::Status status = store->Get("rules/home", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("rules/home version 1 is damaged"));
  auto latest = store->Latest();
  ASSERT_TRUE(latest.ok()) << latest.status();
  EXPECT_EQ(latest->topics[0].content.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(*latest->topics[1].content, "b");
  EXPECT_EQ(Publish(*store, "a")->info.version, 2);
  EXPECT_EQ(store->Get("rules/home", 2)->content, "a");
}

TEST_F(EtcdStoreTest, KeysThatAreMissingOrOfSomethingElseAreDataLoss) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a").ok());
  ASSERT_TRUE(Publish(*store, "b").ok());
  DeletePrefix(keys_.Version("rules/home", 1));
  EXPECT_EQ(store->Get("rules/home", 1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(store->Changes(0, 10).status().code(), absl::StatusCode::kDataLoss);
  DeletePrefix(keys_.Sequence(1));
  absl::Status status = store->Changes(0, 10).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("sequence 1 is missing"));
  Put(keys_.Record("leader"), "\xff not ours");
  EXPECT_EQ(store->GetRecord("leader").status().code(), absl::StatusCode::kDataLoss);
  Put(keys_.Head(), "\xff not ours");
  EXPECT_EQ(store->Latest().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EtcdStoreTest, AStoreOfANewerReleaseIsRefused) {
  Open();
  StoredHead head;
  head.set_format(kEtcdFormat + 1);
  Put(keys_.Head(), head.SerializeAsString());
  absl::Status status = OpenEtcdStore(options_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("its format is 2, this release reads format 1"));
}

TEST_F(EtcdStoreTest, AStoreThatWentBackIsToldAndNotFollowed) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a").ok());
  const std::string backup = Pairs(keys_.Head()).at(0).value();
  ASSERT_TRUE(Publish(*store, "b").ok());
  auto watch = *store->WatchChanges(2);
  Put(keys_.Head(), backup);
  absl::Status status = watch->Next(kLong).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("it is at sequence 1, and was at 2 before"));
}

TEST_F(EtcdStoreTest, AStoreThatWasDeletedIsGoneAndNotMadeAgainByAWriter) {
  auto store = Open();
  ASSERT_TRUE(Publish(*store, "a").ok());
  DeletePrefix(keys_.prefix());
  absl::Status status = Publish(*store, "b").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("it is gone"));
}

TEST_F(EtcdStoreTest, AWatchGoesOnWhenTheHistoryOfEtcdIsCompacted) {
  auto store = Open();
  auto watch = *store->WatchChanges(0);
  for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(Publish(*store, content).ok());
  etcd::CompactionRequest compact;
  compact.set_revision(Pairs(keys_.Head()).at(0).mod_revision());
  compact.set_physical(true);
  etcd::CompactionResponse compacted;
  grpc::ClientContext context;
  ASSERT_TRUE(etcd::KV::NewStub(client_.current().channel)->Compact(&context, compact, &compacted).ok());
  EXPECT_EQ(watch->Next(kLong)->size(), 3u);
  ASSERT_TRUE(Publish(*store, "d").ok());
  EXPECT_EQ(watch->Next(kLong)->size(), 1u);
  EXPECT_EQ(store->Get("rules/home", 1)->content, "a");
}

TEST_F(EtcdStoreTest, AWriteWhoseAnswerIsLostIsDoneOnce) {
  for (auto loses : {CutRelay::Loses::kAnswers, CutRelay::Loses::kRequests}) {
    CutRelay relay(etcd_->endpoints()[0]);
    EtcdOptions options = options_;
    options.prefix += loses == CutRelay::Loses::kAnswers ? "a" : "r";
    options.endpoints = {relay.endpoint(), etcd_->endpoints()[0]};
    auto store = Open(options);
    relay.CutAt("the rules of the day", loses);
    Batch batch;
    batch.publications = {{"rules/home", "the rules of the day", "ada", "", {.version = 0}}};
    batch.records = {{"leader", "n1", 0}};
    auto result = store->Write(batch);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(relay.has_cut());
    EXPECT_EQ(result->published[0].info.version, 1);
    EXPECT_FALSE(result->published[0].unchanged);
    EXPECT_EQ(result->records_revision, (*store->GetRecord("leader"))->revision);
    EXPECT_EQ(store->Changes(0, 10)->size(), 1u);
  }
}

TEST_F(EtcdStoreTest, ARecordWhoseAnswerIsLostIsWrittenOnce) {
  CutRelay relay(etcd_->endpoints()[0]);
  EtcdOptions options = options_;
  options.endpoints = {relay.endpoint(), etcd_->endpoints()[0]};
  auto store = Open(options);
  relay.CutAt("i want to lead", CutRelay::Loses::kAnswers);
  auto result = store->Write({.publications = {}, .records = {{"leader", "i want to lead", 0, 1h}}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(relay.has_cut());
  EXPECT_EQ((*store->GetRecord("leader"))->created_revision, result->records_revision);
}

TEST_F(EtcdStoreTest, AWriteThatArrivesAfterTheOneThatFollowedItIsNotDone) {
  CutRelay relay(etcd_->endpoints()[0]);
  EtcdOptions options = options_;
  options.endpoints = {relay.endpoint(), etcd_->endpoints()[0]};
  auto store = Open(options);
  ASSERT_TRUE(store->Write({.publications = {}, .records = {{"rollout/home", "loading"}}}).ok());
  relay.CutAt("validated", CutRelay::Loses::kUntilReleased);
  // Held on its way, and sent once more by another.
  ASSERT_TRUE(store->Write({.publications = {}, .records = {{"rollout/home", "validated"}}}).ok());
  ASSERT_TRUE(relay.has_cut());
  ASSERT_TRUE(store->Write({.publications = {}, .records = {{"rollout/home", "active"}}}).ok());
  ASSERT_TRUE(relay.ReleaseAndWaitForAnswer(kLong));
  EXPECT_EQ((*store->GetRecord("rollout/home"))->value, "active");
}

TEST_F(EtcdStoreTest, WithoutAnyMemberTheErrorNamesThoseThatWereAsked) {
  EtcdOptions options = options_;
  options.patience = 200ms;
  {
    // Ports that were just free.
    CutRelay one(etcd_->endpoints()[0]);
    CutRelay two(etcd_->endpoints()[0]);
    options.endpoints = {one.endpoint(), two.endpoint()};
  }
  absl::Status status = OpenEtcdStore(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Message(status)), HasSubstr("no member of etcd could answer within 200 ms"));
  for (const std::string& endpoint : options.endpoints)
    EXPECT_THAT(std::string(Message(status)), HasSubstr(endpoint + ": "));
}

TEST_F(EtcdStoreTest, AMemberOfAnotherClusterIsPassedOver) {
  TestEtcd other;
  ASSERT_TRUE(Publish(*Open(), "a").ok());
  CutRelay relay(etcd_->endpoints()[0]);
  EtcdOptions options = options_;
  options.endpoints = {relay.endpoint(), other.endpoints()[0]};
  options.request_timeout = 1s;
  options.patience = 3s;
  auto store = Open(options);
  relay.CutAt("v/rules/home@0000000000000001", CutRelay::Loses::kAnswers);
  absl::Status status = store->Get("rules/home", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr(other.endpoints()[0] + " belongs to another etcd cluster"));
}

TEST(EtcdSpace, WhenEtcdsSpaceIsUsedUpNothingIsWrittenAndReadingGoesOn) {
  TestEtcd etcd(1, {"--quota-backend-bytes=16000000"});
  auto store = *OpenEtcdStore(etcd.Options());
  absl::Status status;
  int64_t published = 0;
  for (; status.ok() && published < 100; ++published)
    status = store->Publish({"rules/home", std::string(1 << 20, static_cast<char>('a' + published)), "ada", "", {}})
                 .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(Message(status)), HasSubstr("etcd's space is used up; nothing was written"));
  EXPECT_EQ((*OpenEtcdStore(etcd.Options()))->Get("rules/home", std::nullopt)->info.version, published - 1);
}

TEST(EtcdSpec, MembersAndAPrefixAreRead) {
  auto options = ParseEtcdSpec("10.0.0.1:2379,etcd-2.local:2380,[::1]:2381/team-a");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->endpoints, ElementsAre("10.0.0.1:2379", "etcd-2.local:2380", "[::1]:2381"));
  EXPECT_EQ(options->prefix, "team-a");
  EXPECT_EQ(ParseEtcdSpec("a:1")->prefix, "signalbox");
}

TEST(EtcdSpec, WhatIsNotOneIsRefusedWithAnExample) {
  for (const char* spec : {"", "localhost", "localhost:", ":2379", "a:1,", ",a:1", "a:1,,b:2", "a:x", "a:123456",
                           "a:1/", "a:1/b/c", "a:1/B", "http://a:1", "a b:1"}) {
    absl::Status status = ParseEtcdSpec(spec).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("for example etcd:10.0.0.1:2379")) << spec;
  }
}

}  // namespace
}  // namespace signalbox::store
