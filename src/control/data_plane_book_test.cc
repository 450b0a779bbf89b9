#include "control/data_plane_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace signalbox::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

SubscriberInfo Subscriber(const std::string& node, int64_t version, int64_t oldest) {
  SubscriberInfo info;
  info.node_id = node;
  info.running_version = version;
  info.oldest_version_in_use = oldest;
  return info;
}

// Both clocks agree.
DataPlaneBook::Moment At(int64_t ms) { return {.unix_ms = ms, .steady_ms = ms}; }

store::Record AsRecord(const store::RecordWrite& write) { return {.key = write.key, .value = *write.value}; }

// "proxy-1 runs 7, uses 5, since 100 away".
std::vector<std::string> Lines(const DataPlaneBook& book) {
  std::vector<std::string> lines;
  for (const v1::DataPlane& data_plane : book.All()) {
    lines.push_back(data_plane.node_id() + " runs " + std::to_string(data_plane.running_version()) + ", uses " +
                    std::to_string(data_plane.oldest_version_in_use()) +
                    (data_plane.connected() ? "" : ", away since " + std::to_string(data_plane.last_seen_unix_ms())));
  }
  return lines;
}

TEST(DataPlaneBookTest, ADataPlaneThatLeftIsRememberedWithWhatItSaidLastUntilItIsForgotten) {
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 7, 5), Subscriber("p2", 7, 7)}, At(100));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5", "p2 runs 7, uses 7"));
  book.Hear({Subscriber("p2", 8, 8)}, At(200));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200", "p2 runs 8, uses 8"));
  book.Hear({Subscriber("p2", 8, 8)}, At(1200));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200", "p2 runs 8, uses 8"));
  book.Hear({Subscriber("p2", 8, 8)}, At(1201));
  EXPECT_THAT(Lines(book), ElementsAre("p2 runs 8, uses 8"));
}

TEST(DataPlaneBookTest, WhileTheStoreIsAwayNobodyIsForgotten) {
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 7, 5)}, At(100));
  book.Hear({}, At(200));
  for (int64_t ms = 1000; ms <= 9000; ms += 500) {
    book.StoreIsAway(At(ms));
    book.Hear({}, At(ms + 100));
  }
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200"));
  book.Hear({}, At(10'000));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200"));
  book.Hear({}, At(10'001));
  EXPECT_THAT(Lines(book), IsEmpty());
}

TEST(DataPlaneBookTest, WhatIsToBeWrittenChangesOnlyWhenSomethingIsHeard) {
  DataPlaneBook book("a", 1000ms);
  EXPECT_FALSE(book.ToWrite().has_value());
  book.Hear({Subscriber("p1", 7, 7)}, At(100));
  const auto write = book.ToWrite();
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->key, "data-planes/a");
  EXPECT_EQ(write->expires_after.count(), 0) << "what is known of data planes must stay when their control plane dies";
  book.Written(*write);
  book.Hear({Subscriber("p1", 7, 7)}, At(500));
  EXPECT_FALSE(book.ToWrite().has_value());
  book.Hear({}, At(600));
  EXPECT_TRUE(book.ToWrite().has_value());
}

TEST(DataPlaneBookTest, AControlPlaneThatStartsAgainKnowsWhomItHadHeardOf) {
  DataPlaneBook before("a", 1000ms);
  before.Hear({Subscriber("p1", 7, 5)}, At(100));
  DataPlaneBook book("a", 1000ms);
  book.Read({AsRecord(*before.ToWrite())}, {}, At(500));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 500"));
  book.Hear({Subscriber("p1", 8, 8)}, At(600));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 8"));
}

TEST(DataPlaneBookTest, OfWhatTwoControlPlanesSayTheOneToWhichItIsConnectedCounts) {
  DataPlaneBook other("b", 1000ms);
  other.Hear({Subscriber("p1", 7, 7), Subscriber("p2", 7, 7)}, At(100));
  const store::Record record = AsRecord(*other.ToWrite());
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 6, 6)}, At(50));
  book.Hear({}, At(90));
  book.Read({record}, {"b"}, At(200));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 7", "p2 runs 7, uses 7"));
  // The other one dies; one of its data planes comes here.
  book.Read({record}, {}, At(300));
  book.Hear({Subscriber("p1", 8, 7)}, At(350));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 7", "p2 runs 7, uses 7, away since 300"));
  book.Read({record}, {}, At(900));
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 7", "p2 runs 7, uses 7, away since 300"));
}

TEST(DataPlaneBookTest, AClockThatJumpsForgetsNobodyAndKeepsNobody) {
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 7, 5)}, {.unix_ms = 100, .steady_ms = 100});
  book.Hear({}, {.unix_ms = 200, .steady_ms = 200});
  book.Hear({}, {.unix_ms = 86'400'000, .steady_ms = 300});
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200"));
  book.Hear({}, {.unix_ms = -86'400'000, .steady_ms = 1201});
  EXPECT_THAT(Lines(book), IsEmpty());
}

TEST(DataPlaneBookTest, TheRecordOfAControlPlaneThatIsGoneIsGivenUpWhenItsDataPlanesAreForgotten) {
  DataPlaneBook other("b", 1000ms);
  other.Hear({Subscriber("p1", 7, 7)}, At(100));
  store::Record record = AsRecord(*other.ToWrite());
  record.revision = 12;
  DataPlaneBook book("a", 1000ms);
  book.Read({record}, {"b"}, At(5000));
  book.Read({record}, {}, At(6000));
  book.Read({record}, {}, At(7000));
  EXPECT_THAT(book.TakeAbandoned(), IsEmpty());
  book.Read({record}, {"b"}, At(7001));
  book.Read({record}, {}, At(7002));
  book.Read({record}, {}, At(8002));
  EXPECT_THAT(book.TakeAbandoned(), IsEmpty()) << "it was there in between";
  book.Read({record}, {}, At(8003));
  const std::vector<store::RecordWrite> abandoned = book.TakeAbandoned();
  ASSERT_EQ(abandoned.size(), 1u);
  EXPECT_EQ(abandoned[0].key, "data-planes/b");
  EXPECT_FALSE(abandoned[0].value.has_value());
  EXPECT_EQ(abandoned[0].expected_revision, 12) << "one that has come back has written it again";
  EXPECT_THAT(book.TakeAbandoned(), IsEmpty());
}

TEST(DataPlaneBookTest, TheOwnRecordIsNeverGivenUp) {
  DataPlaneBook before("a", 1000ms);
  before.Hear({Subscriber("p1", 7, 5)}, At(100));
  const store::Record record = AsRecord(*before.ToWrite());
  DataPlaneBook book("a", 1000ms);
  for (int64_t ms : {500, 5000, 50'000}) book.Read({record}, {}, At(ms));
  EXPECT_THAT(book.TakeAbandoned(), IsEmpty());
}

TEST(DataPlaneBookTest, WhatMayHaveBeenDroppedIsWrittenAgain) {
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 7, 7)}, At(100));
  const auto write = book.ToWrite();
  book.Written(*write);
  EXPECT_FALSE(book.ToWrite().has_value());
  book.WriteAgain();
  ASSERT_TRUE(book.ToWrite().has_value());
  EXPECT_EQ(book.ToWrite()->value, write->value);
}

TEST(DataPlaneBookTest, WhatIsHeardWhileAWriteIsUnderWayIsWrittenAfterIt) {
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 7, 7)}, At(100));
  const auto write = book.ToWrite();
  book.Hear({Subscriber("p1", 8, 8)}, At(200));
  book.Written(*write);
  EXPECT_TRUE(book.ToWrite().has_value());
}

TEST(DataPlaneBookTest, ARecordThatIsNoneIsPassedOver) {
  DataPlaneBook book("a", 1000ms);
  book.Read({{.key = "data-planes/b", .value = "\xff\xff"}, {.key = "leader", .value = "b"}}, {}, At(100));
  EXPECT_THAT(book.All(), IsEmpty());
}

}  // namespace
}  // namespace signalbox::control
