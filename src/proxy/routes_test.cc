#include "proxy/routes.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

#include "decide/snapshot.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::proxy {
namespace {

std::shared_ptr<const decide::Snapshot> On(const std::vector<std::string>& hosts) {
  v1::Snapshot snapshot;
  for (const std::string& host : hosts) (*snapshot.mutable_placement()->mutable_shards())["s"].add_hosts(host);
  auto compiled = decide::Snapshot::Compile(std::move(snapshot));
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  return *std::move(compiled);
}

const HostAddress& Find(const RoutePlan& plan, const std::string& text) {
  for (const HostAddress& host : plan.hosts) {
    if (host.text == text) return host;
  }
  ADD_FAILURE() << text << " is not there";
  return plan.hosts.front();
}

// As it would be if names had had another address when they were looked up.
void Move(RoutePlan& plan) {
  for (HostAddress& host : plan.hosts) {
    host.address = {};
    host.address.ss_family = AF_INET;
    host.length = sizeof(sockaddr_in);
  }
}

bool IsMoved(const HostAddress& host) {
  sockaddr_storage nowhere{};
  nowhere.ss_family = AF_INET;
  return host.status.ok() && std::memcmp(&host.address, &nowhere, sizeof(sockaddr_in)) == 0;
}

TEST(RoutePlan, TakesOverWhatWasFoundBeforeAndLooksUpWhatIsNew) {
  balance::Balancer balancer({});
  RoutePlan before(On({"localhost:1", "127.0.0.1:2", "no host"}), nullptr, balancer);
  Move(before);
  const RoutePlan after(On({"localhost:1", "127.0.0.1:4", "no host"}), &before, balancer);
  EXPECT_TRUE(IsMoved(Find(after, "localhost:1"))) << "it was looked up again";
  EXPECT_TRUE(Find(after, "127.0.0.1:4").status.ok());
  EXPECT_FALSE(IsMoved(Find(after, "127.0.0.1:4")));
  EXPECT_FALSE(Find(after, "no host").status.ok()) << "what was not found is looked up again";
}

TEST(RoutePlan, IsRenewedWhereAnAddressHasChanged) {
  balance::Balancer balancer({});
  RoutePlan before(On({"localhost:1", "127.0.0.1:2"}), nullptr, balancer);
  EXPECT_EQ(before.Renewed(), nullptr) << "it was all looked up just now";
  EXPECT_EQ(RoutePlan(On({"localhost:1"}), &before, balancer).Renewed(), nullptr) << "it is still there";
  const RoutePlan first = before;
  Move(before);
  const auto renewed = RoutePlan(On({"localhost:1", "127.0.0.1:4"}), &before, balancer).Renewed();
  ASSERT_NE(renewed, nullptr);
  const HostAddress& host = Find(*renewed, "localhost:1");
  EXPECT_EQ(std::memcmp(&host.address, &Find(first, "localhost:1").address, host.length), 0);
  EXPECT_TRUE(Find(*renewed, "127.0.0.1:4").status.ok());
}

TEST(RoutePlan, KeepsWhatIsKnownOfAHostFromOneSnapshotToTheNext) {
  balance::Balancer balancer({});
  const RoutePlan before(On({"127.0.0.1:1", "127.0.0.1:2"}), nullptr, balancer);
  const RoutePlan after(On({"127.0.0.1:2", "127.0.0.1:3"}), &before, balancer);
  EXPECT_EQ(after.states[0], before.states[1]);
  EXPECT_EQ(after.states[0]->address(), "127.0.0.1:2");
}

}  // namespace
}  // namespace signalbox::proxy
