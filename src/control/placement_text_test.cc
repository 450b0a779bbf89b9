#include "control/placement_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "control/host_records.h"
#include "control/publish_fleet.h"

namespace signalbox::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PlacementTextTest : public testing::Test {
 protected:
  void SetUp() override {
    v1::Fleet fleet;
    v1::FleetHost& declared = *(*fleet.mutable_shards())["films"].add_hosts();
    declared.set_id("films-1");
    declared.set_address("h:1");
    (*fleet.mutable_shards())["flights"].add_hosts()->set_address("h:3");
    ASSERT_TRUE(PublishFleet(store(), fleet, "ada", "").ok());
    HostRecords records(store(), std::chrono::minutes(1));
    v1::HostIdentity joined;
    joined.set_id("films-2");
    joined.set_address("h:2");
    joined.set_shard("films");
    joined.set_instance("a");
    ASSERT_TRUE(records.Put(joined, std::chrono::minutes(1)).ok());
    Publish("placement", R"({"models":{"ranker@1":{"shards":["films"]},"delay@1":{"shards":["flights"]}},
                             "shards":{"films":{"hosts":["h:1","h:2"]},"flights":{"hosts":[]}}})");
  }
  store::Store& store() { return **store_; }
  void Publish(const std::string& topic, const std::string& content) {
    ASSERT_TRUE(store().Publish({topic, content, "ada", "", {}}).ok());
  }
  PlacementFacts Facts() {
    absl::StatusOr<PlacementFacts> facts = ReadPlacementFacts(store());
    EXPECT_TRUE(facts.ok()) << facts.status();
    return *facts;
  }

  TestFolder folder_;
  absl::StatusOr<std::unique_ptr<store::Store>> store_ =
      store::OpenStore("sqlite:" + folder_.File("store.db"), store::OpenMode::kCreateIfMissing);
};

TEST_F(PlacementTextTest, HostsAreNamedAsCommandsTakeThemDeclaredOrJoined) {
  EXPECT_THAT(PlacementText(Facts()), HasSubstr("films-1 (h:1), films-2 (h:2)\n"));
  EXPECT_EQ(HostText(Facts().hosts, "h:3"), "h:3");
}

TEST_F(PlacementTextTest, WhatIsDrainedOrNotUsedIsSaid) {
  EXPECT_THAT(PlacementText(Facts()), HasSubstr("host h:3                   h:3 of shard flights, not used: "));
  EXPECT_THAT(PlacementText(Facts()), Not(HasSubstr("drained")));
  Publish("drains", R"({"hosts":["films-2"],"shards":["flights"]})");
  EXPECT_THAT(PlacementText(Facts()), HasSubstr("h:2 of shard films, used: drained, and stays until"));
  EXPECT_THAT(PlacementText(Facts()), HasSubstr("no host is ready; the shard is drained"));
  Publish("placement", R"({"shards":{"films":{"hosts":["h:1"]}}})");
  EXPECT_THAT(PlacementText(Facts()), HasSubstr("h:2 of shard films, not used: drained: it can be stopped"));
}

TEST_F(PlacementTextTest, AModelIsWhereTheHostsOfItsShardsAre) {
  EXPECT_THAT(PlacesOf(Facts(), "ranker@1"), ElementsAre("shard films: films-1 (h:1), films-2 (h:2)"));
  EXPECT_THAT(PlacesOf(Facts(), "delay@1"), ElementsAre("shard flights: no host is ready"));
  EXPECT_THAT(PlacesOf(Facts(), "nobody@1"), IsEmpty());
}

}  // namespace
}  // namespace signalbox::control
