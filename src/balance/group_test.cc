#include "balance/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "balance/test_hosts.h"
#include "base/hash.h"

namespace signalbox::balance {
namespace {

using std::chrono::seconds;

TEST(Choice, IsEvenAmongHostsThatAreAlike) {
  TestHosts hosts(5);
  for (const int count : hosts.Count(50'000)) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Choice, OfNobodyIsNobody) {
  Balancer balancer({});
  Group group({}, balancer.settings(), false);
  Random random(1);
  EXPECT_FALSE(group.Choose(random, Time(), TestHosts::Any).has_value());
}

TEST(Choice, PassesOverWhatTheCallerCannotUseAndTakesTheLastThatItCan) {
  TestHosts hosts(20);
  for (int i = 0; i < 100; ++i) {
    const auto place = hosts.group->Choose(hosts.random, hosts.now, [](uint32_t host) { return host == 7; });
    EXPECT_EQ(place, 7u);
  }
  EXPECT_FALSE(hosts.group->Choose(hosts.random, hosts.now, [](uint32_t) { return false; }).has_value());
}

TEST(Choice, NeverTakesTheOneWithMostToDo) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(10));
  hosts.hosts[2]->OnBegin();
  EXPECT_EQ(hosts.Count(1000)[2], 0);
}

TEST(Choice, GivesAHostThatIsFiveTimesAsSlowLess) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(i == 1 ? 50 : 10));
  EXPECT_EQ(hosts.Count(1000)[1], 0);
  for (const uint32_t fast : {0u, 2u, 3u}) {
    for (int i = 0; i < 6; ++i) hosts.hosts[fast]->OnBegin();
  }
  EXPECT_GT(hosts.Count(1000)[1], 400) << "the others have more than five times as much to do";
}

TEST(Choice, TakesAHostThatNeverAnsweredToBeLikeTheOthers) {
  TestHosts hosts(3);
  hosts.Answer(0, milliseconds(10));
  hosts.Answer(1, milliseconds(10));
  hosts.Pass(kTickInterval);
  for (const int count : hosts.Count(3000)) EXPECT_NEAR(count, 1000, 150);
}

TEST(Latency, RisesAtOnceAndFallsWithTime) {
  TestHosts hosts(1);
  const Settings settings;
  const auto latency = [&] { return hosts.hosts[0]->LatencyMicroseconds(hosts.now, settings); };
  EXPECT_EQ(latency(), 0) << "not known";
  hosts.Answer(0, milliseconds(10));
  EXPECT_NEAR(latency(), 10'000, 1);
  hosts.Answer(0, milliseconds(100));
  EXPECT_NEAR(latency(), 100'000, 10);
  hosts.Answer(0, milliseconds(10));
  EXPECT_NEAR(latency(), 100'000, 10) << "one answer proves nothing";
  hosts.now += settings.latency_decay;
  hosts.Answer(0, milliseconds(10));
  EXPECT_NEAR(latency(), 10'000 + 90'000 / std::exp(1), 2000);
}

TEST(Latency, OfAHostThatFailsAtOnceDoesNotFall) {
  TestHosts hosts(1);
  hosts.Answer(0, milliseconds(10));
  hosts.now += seconds(1);
  for (const Outcome outcome : {Outcome::kFailed, Outcome::kRefused, Outcome::kAbandoned})
    hosts.Answer(0, milliseconds(0), outcome);
  EXPECT_GT(hosts.hosts[0]->LatencyMicroseconds(hosts.now, {}), 8'000);
}

TEST(Latency, IsAtLeastWhatWasWaitedForInVain) {
  TestHosts hosts(1);
  hosts.Answer(0, milliseconds(10));
  hosts.Answer(0, milliseconds(2000), Outcome::kAbandoned);
  EXPECT_NEAR(hosts.hosts[0]->LatencyMicroseconds(hosts.now, {}), 2e6, 10);
}

TEST(LoadReports, MoveRequestsAwayFromWhoIsFull) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) {
    hosts.Answer(i, milliseconds(10));
    hosts.hosts[i]->OnReport(i == 3 ? 0.9 : 0.2, hosts.now);
  }
  EXPECT_EQ(hosts.Count(1000)[3], 0);
}

TEST(LoadReports, AreForgotten) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(10));
  hosts.hosts[3]->OnReport(0.9, hosts.now);
  hosts.Pass(hosts.balancer.settings().report_lifetime + seconds(1));
  EXPECT_GT(hosts.Count(1000)[3], 150);
}

// A host that says nonsense neither stops getting requests for good nor gets more than four times its part.
TEST(LoadReports, ThatAreLiesDoLittleHarm) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const double kInfinity = std::numeric_limits<double>::infinity();
  for (const double lie : {-1.0, -0.0, 0.0, kNan, kInfinity, -kInfinity, 1e308, 17.0}) {
    TestHosts hosts(4);
    for (uint32_t i = 0; i < 4; ++i) {
      hosts.Answer(i, milliseconds(10));
      hosts.hosts[i]->OnReport(i == 3 ? lie : 0.5, hosts.now);
    }
    hosts.Pass(kTickInterval);
    const float cost = hosts.group->Cost(*hosts.hosts[3], hosts.now) / hosts.group->Cost(*hosts.hosts[0], hosts.now);
    EXPECT_GE(cost, 0.25F) << lie;
    EXPECT_LE(cost, 4.0F) << lie;
  }
}

TEST(SlowStart, GivesANewHostATenthAndThenMore) {
  TestHosts hosts(4);
  for (uint32_t i = 0; i < 4; ++i) hosts.Answer(i, milliseconds(10));
  const auto bigger = hosts.MakeGroup(5);
  hosts.group = bigger;
  hosts.balancer.Keep({bigger}, hosts.now);
  hosts.Answer(4, milliseconds(10));
  EXPECT_NEAR(hosts.Count(10'000)[4], 2000 / 8, 120);
  for (int i = 0; i < 100; ++i) hosts.Answer(4, milliseconds(10));
  hosts.Pass(seconds(5));
  for (uint32_t i = 0; i < 5; ++i) hosts.Answer(i, milliseconds(10));
  EXPECT_NEAR(hosts.hosts[4]->Weight(hosts.now, {}), 0.5, 0.02);
  hosts.Pass(seconds(5));
  EXPECT_TRUE(hosts.hosts[4]->warm());
}

TEST(SlowStart, IsNotOverByTimeAloneUntilThreeTimesAsLong) {
  TestHosts hosts(1);
  hosts.hosts[0]->SetCold(hosts.now);
  hosts.Pass(seconds(12));
  EXPECT_NEAR(hosts.hosts[0]->Weight(hosts.now, {}), 0.1, 0.001) << "it never answered";
  hosts.Pass(seconds(18));
  EXPECT_TRUE(hosts.hosts[0]->warm());
}

TEST(SlowStart, ConcernsNobodyWhenAllAreNew) {
  TestHosts hosts(3);
  for (const auto& host : hosts.hosts) EXPECT_TRUE(host->warm());
}

TEST(Zones, StayAmongThemselvesWhileTheyCan) {
  TestHosts hosts(6, {.zone = "a"}, {"a", "b", "a", "b", "a", "b"});
  const auto counts = hosts.Count(3000);
  EXPECT_EQ(counts[1] + counts[3] + counts[5], 0);
}

TEST(Zones, SpillOverWhatTheyCannotTake) {
  TestHosts hosts(8, {.zone = "a", .panic_percent = 0}, {"a", "a", "a", "a", "b", "b", "b", "b"});
  hosts.hosts[0]->SetUnhealthy(true);
  hosts.Pass(kTickInterval);
  // Of two zones' requests, seven hosts have an equal part each: three have 6/7 of one zone's.
  EXPECT_NEAR(hosts.group->own_share(), 6.0 / 7, 1e-6);
  const auto counts = hosts.Count(70'000);
  EXPECT_EQ(counts[0], 0);
  EXPECT_NEAR(counts[1] + counts[2] + counts[3], 60'000, 600);
  for (const uint32_t host : {1u, 2u, 3u}) hosts.hosts[host]->SetUnhealthy(true);
  hosts.Pass(kTickInterval);
  const auto without = hosts.Count(1000);
  EXPECT_EQ(without[4] + without[5] + without[6] + without[7], 1000) << "nobody of the own zone is healthy";
}

TEST(Zones, OfASmallPartTakeASmallPart) {
  TestHosts hosts(8, {.zone = "a"}, {"a", "b", "b", "b", "b", "b", "b", "b"});
  EXPECT_NEAR(hosts.group->own_share(), 0.25, 1e-6);
}

TEST(Zones, ThatNobodyKnowsOfMakeNoDifference) {
  for (const std::string zone : {"", "elsewhere"}) {
    TestHosts hosts(4, {.zone = zone}, {"a", "a", "b", "b"});
    for (const int count : hosts.Count(4000)) EXPECT_NEAR(count, 1000, 150);
  }
}

TEST(Panic, IgnoresHealthWhereTooFewAreHealthy) {
  TestHosts hosts(4, {.panic_percent = 50});
  hosts.hosts[0]->SetUnhealthy(true);
  hosts.hosts[1]->SetUnhealthy(true);
  hosts.Pass(kTickInterval);
  EXPECT_FALSE(hosts.group->panic());
  EXPECT_EQ(hosts.Count(1000)[0], 0);
  hosts.hosts[2]->SetUnhealthy(true);
  hosts.Pass(kTickInterval);
  EXPECT_TRUE(hosts.group->panic());
  for (const int count : hosts.Count(4000)) EXPECT_NEAR(count, 1000, 150);
}

TEST(Panic, IsWhenNobodyIsHealthyWhateverIsSet) {
  TestHosts hosts(1, {.panic_percent = 0});
  hosts.hosts[0]->SetUnhealthy(true);
  hosts.Pass(kTickInterval);
  EXPECT_EQ(hosts.Choose(), 0u);
}

// --- Affinity.

uint32_t HostOf(TestHosts& hosts, int user, uint32_t bound = 125) {
  const uint64_t key = StableHash64(fmt::format("user-{}", user));
  return hosts.group->ChooseByKey(key, bound, TestHosts::Any).value();
}

TEST(Affinity, SendsAKeyToOneHostAndSpreadsKeys) {
  TestHosts hosts(8, {}, {}, /*has_ring=*/true);
  std::vector<int> counts(8);
  for (int user = 0; user < 8000; ++user) {
    const uint32_t host = HostOf(hosts, user);
    EXPECT_EQ(HostOf(hosts, user), host);
    ++counts[host];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 350);
}

TEST(Affinity, MovesOnlyWhatAHostTakesOrLeaves) {
  TestHosts hosts(8, {}, {}, true);
  std::vector<uint32_t> before;
  for (int user = 0; user < 4000; ++user) before.push_back(HostOf(hosts, user));
  hosts.group = hosts.MakeGroup(9, {}, true);
  int moved = 0;
  for (int user = 0; user < 4000; ++user) {
    const uint32_t after = HostOf(hosts, user);
    if (after == before[user]) continue;
    ++moved;
    EXPECT_EQ(after, 8u) << "moved between old hosts";
  }
  EXPECT_NEAR(moved, 4000 / 9, 200);
}

TEST(Affinity, NeverGivesAHostMoreThanItsBound) {
  for (const uint32_t bound : {101u, 125u, 200u}) {
    TestHosts hosts(8, {}, {}, true);
    // One user in three is the same: what would swamp a host without a bound.
    for (int request = 0; request < 800; ++request) {
      const uint32_t host = HostOf(hosts, request % 3 == 0 ? 0 : request, bound);
      hosts.hosts[host]->OnBegin();
      const int64_t mean_after = request + 1;
      EXPECT_LE(hosts.hosts[host]->outstanding() * 800, bound * mean_after + 800) << request << " at " << bound;
    }
  }
}

TEST(Affinity, GoesToTheNextWhenItsHostIsEjectedAndBackAfterwards) {
  TestHosts hosts(4, {}, {}, true);
  const uint32_t home = HostOf(hosts, 17);
  hosts.hosts[home]->SetEjected(true);
  EXPECT_NE(HostOf(hosts, 17), home);
  hosts.hosts[home]->SetEjected(false);
  EXPECT_EQ(HostOf(hosts, 17), home);
}

}  // namespace
}  // namespace signalbox::balance
