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
  book.Hear({Subscriber("p1", 7, 5), Subscriber("p2", 7, 7)}, 100);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5", "p2 runs 7, uses 7"));
  book.Hear({Subscriber("p2", 8, 8)}, 200);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200", "p2 runs 8, uses 8"));
  book.Hear({Subscriber("p2", 8, 8)}, 1200);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 200", "p2 runs 8, uses 8"));
  book.Hear({Subscriber("p2", 8, 8)}, 1201);
  EXPECT_THAT(Lines(book), ElementsAre("p2 runs 8, uses 8"));
}

TEST(DataPlaneBookTest, WhatIsToBeWrittenChangesOnlyWhenSomethingIsHeard) {
  DataPlaneBook book("a", 1000ms);
  EXPECT_FALSE(book.ToWrite().has_value());
  book.Hear({Subscriber("p1", 7, 7)}, 100);
  const auto write = book.ToWrite();
  ASSERT_TRUE(write.has_value());
  EXPECT_EQ(write->key, "data-planes/a");
  EXPECT_EQ(write->expires_after.count(), 0) << "what is known of data planes must stay when their control plane dies";
  book.Written(*write);
  book.Hear({Subscriber("p1", 7, 7)}, 500);
  EXPECT_FALSE(book.ToWrite().has_value());
  book.Hear({}, 600);
  EXPECT_TRUE(book.ToWrite().has_value());
}

TEST(DataPlaneBookTest, AControlPlaneThatStartsAgainKnowsWhomItHadHeardOf) {
  DataPlaneBook before("a", 1000ms);
  before.Hear({Subscriber("p1", 7, 5)}, 100);
  DataPlaneBook book("a", 1000ms);
  book.Read({AsRecord(*before.ToWrite())}, {}, 500);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 5, away since 500"));
  book.Hear({Subscriber("p1", 8, 8)}, 600);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 8"));
}

TEST(DataPlaneBookTest, OfWhatTwoControlPlanesSayTheOneToWhichItIsConnectedCounts) {
  DataPlaneBook other("b", 1000ms);
  other.Hear({Subscriber("p1", 7, 7), Subscriber("p2", 7, 7)}, 100);
  const store::Record record = AsRecord(*other.ToWrite());
  DataPlaneBook book("a", 1000ms);
  book.Hear({Subscriber("p1", 6, 6)}, 50);
  book.Hear({}, 90);
  book.Read({record}, {"b"}, 200);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 7, uses 7", "p2 runs 7, uses 7"));
  // The other one dies; one of its data planes comes here.
  book.Read({record}, {}, 300);
  book.Hear({Subscriber("p1", 8, 7)}, 350);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 7", "p2 runs 7, uses 7, away since 300"));
  book.Read({record}, {}, 900);
  EXPECT_THAT(Lines(book), ElementsAre("p1 runs 8, uses 7", "p2 runs 7, uses 7, away since 300"));
}

TEST(DataPlaneBookTest, ARecordThatIsNoneIsPassedOver) {
  DataPlaneBook book("a", 1000ms);
  book.Read({{.key = "data-planes/b", .value = "\xff\xff"}, {.key = "leader", .value = "b"}}, {}, 100);
  EXPECT_THAT(book.All(), IsEmpty());
}

}  // namespace
}  // namespace signalbox::control
