#include "limit/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/allocation_count.h"

namespace signalbox::limit {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Time kStart = Time(std::chrono::hours(1));
constexpr Key kKey{.objective = "Ranking", .tenant = "web", .model = "ranker@1", .policy = "standard"};

Key WithTenant(std::string_view tenant) {
  Key key = kKey;
  key.tenant = tenant;
  return key;
}

// One worker that keeps every lease it gets.
struct Caller {
  explicit Caller(Table& table) : worker(table) {}
  Refusal Ask(const Key& key, const Limits& limits, Time now = kStart, PriorityClass priority = PriorityClass::kNormal,
              bool artificial = false) {
    Lease lease;
    const Refusal refusal = worker.Admit(key, limits, priority, artificial, now, lease);
    if (refusal.limit == Limit::kNone) leases.push_back(std::move(lease));
    return refusal;
  }
  int Admitted(int requests, const Key& key, const Limits& limits, Time now = kStart,
               PriorityClass priority = PriorityClass::kNormal, bool artificial = false) {
    int admitted = 0;
    for (int i = 0; i < requests; ++i) admitted += Ask(key, limits, now, priority, artificial).limit == Limit::kNone;
    return admitted;
  }
  WorkerLimits worker;
  std::vector<Lease> leases;
};

TEST(Limits, OfZeroAreNone) {
  Table table;
  Caller caller(table);
  EXPECT_FALSE(Limits{}.any());
  EXPECT_EQ(caller.Admitted(1'000, kKey, {}), 1'000);
  EXPECT_EQ(table.keys(), 0U);
}

TEST(Limits, ConcurrencyIsGivenBackWithTheLease) {
  Table table;
  Caller caller(table);
  const Limits limits{.concurrent_requests = 3};
  EXPECT_EQ(caller.Admitted(10, kKey, limits), 3);
  const Refusal refusal = caller.Ask(kKey, limits);
  EXPECT_EQ(refusal.limit, Limit::kConcurrency);
  EXPECT_EQ(refusal.value, 3);
  EXPECT_EQ(refusal.declared, 3);
  caller.leases.pop_back();
  EXPECT_EQ(caller.Admitted(10, kKey, limits), 1);
  Lease moved = std::move(caller.leases.back());
  caller.leases.clear();
  EXPECT_EQ(table.in_flight(), 1U);
  moved = Lease();
  EXPECT_EQ(table.in_flight(), 0U);
  moved.Release();
  EXPECT_EQ(table.in_flight(), 0U);
}

TEST(Limits, ARequestThatItsRateRefusesHoldsNothing) {
  Table table;
  Caller caller(table);
  const Limits limits{.requests_per_second = 1, .burst = 2, .concurrent_requests = 10};
  EXPECT_EQ(caller.Admitted(10, kKey, limits), 2);
  EXPECT_EQ(table.in_flight(), 2U);
  const Refusal refusal = caller.Ask(kKey, limits);
  EXPECT_EQ(refusal.limit, Limit::kRate);
  EXPECT_EQ(refusal.wait, seconds(1));
}

TEST(Limits, AreOfObjectiveTenantModelAndPolicyEachOnItsOwn) {
  Table table;
  Caller caller(table);
  const Limits limits{.concurrent_requests = 1};
  for (const Key& key :
       {Key{"A", "t", "m", "p"}, Key{"B", "t", "m", "p"}, Key{"A", "u", "m", "p"}, Key{"A", "t", "n", "p"},
        Key{"A", "t", "m", "q"}, Key{"At", "", "m", "p"}, Key{"A", "", "tm", "p"}}) {
    EXPECT_EQ(caller.Admitted(3, key, limits), 1) << key.objective << key.tenant << key.model << key.policy;
  }
}

TEST(Limits, AreSharedByWorkers) {
  Table table;
  Caller first(table);
  Caller second(table);
  const Limits limits{.concurrent_requests = 5};
  EXPECT_EQ(first.Admitted(3, kKey, limits) + second.Admitted(10, kKey, limits), 5);
}

TEST(Limits, ArtificialTrafficLeavesATenthToLiveTraffic) {
  Table table;
  Caller caller(table);
  const Limits limits{.concurrent_requests = 10};
  EXPECT_EQ(caller.Admitted(20, kKey, limits, kStart, PriorityClass::kLow, true), 9);
  EXPECT_EQ(caller.Admitted(20, kKey, limits), 1);
}

TEST(Limits, LowerClassesHaveLessOfAnAdaptiveLimitWhichAllPoliciesShare) {
  Table table;
  Caller caller(table);
  const Limits limits{.adaptive = true, .adaptive_bounds = {.min = 20, .max = 20}};
  EXPECT_EQ(caller.Admitted(50, kKey, limits, kStart, PriorityClass::kLowest), 14);
  EXPECT_EQ(caller.Admitted(50, kKey, limits, kStart, PriorityClass::kLow), 2);
  Key other_policy = kKey;
  other_policy.policy = "important";
  EXPECT_EQ(caller.Admitted(50, other_policy, limits, kStart, PriorityClass::kNormal), 2);
  EXPECT_EQ(caller.Admitted(50, other_policy, limits, kStart, PriorityClass::kHigh), 2);
  EXPECT_EQ(caller.Ask(kKey, limits).limit, Limit::kAdaptiveConcurrency);
  caller.leases.clear();
  EXPECT_EQ(table.in_flight(), 0U);
}

TEST(Limits, AnAdaptiveLimitLearnsFromItsLeases) {
  Table table;
  Caller caller(table);
  const Limits limits{.adaptive = true, .adaptive_bounds = {.min = 1, .max = 100}};
  Time now = kStart;
  for (int round = 0; round < 500; ++round) {
    now += milliseconds(20);
    EXPECT_GT(caller.Admitted(200, kKey, limits, now, PriorityClass::kHigh), 0);
    for (Lease& lease : caller.leases) lease.OnAnswer(now, milliseconds(5));
    caller.leases.clear();
  }
  const std::vector<Table::State> states = table.States(kStart, 10);
  ASSERT_EQ(states.size(), 1U);
  EXPECT_GE(states[0].adaptive_limit, 50U) << "half of it while it probes";
  EXPECT_EQ(states[0].objective, "Ranking");
  EXPECT_EQ(states[0].policy, "");
}

TEST(Limits, AreDividedAmongProxiesAtAnyTimeWithOneRequestAtLeast) {
  Table table;
  Caller caller(table);
  const Limits limits{.concurrent_requests = 10};
  table.SetProxies(4);
  EXPECT_EQ(caller.Admitted(20, kKey, limits), 2);
  const Refusal refusal = caller.Ask(kKey, limits);
  EXPECT_EQ(refusal.proxies, 4U);
  EXPECT_EQ(refusal.declared, 10);
  table.SetProxies(100);
  caller.leases.clear();
  EXPECT_EQ(caller.Admitted(20, kKey, limits), 1);
  table.SetProxies(0);
  EXPECT_EQ(caller.Admitted(20, kKey, limits), 9);
  table.SetProxies(4);
  EXPECT_EQ(caller.Admitted(20, WithTenant("rate"), {.requests_per_second = 10, .burst = 8}), 2);
}

TEST(Limits, KeepWhatIsUsedWhenTheyChange) {
  Table table;
  Caller caller(table);
  EXPECT_EQ(caller.Admitted(20, kKey, {.concurrent_requests = 10}), 10);
  EXPECT_EQ(caller.Admitted(20, kKey, {.concurrent_requests = 5}), 0);
  EXPECT_EQ(caller.Admitted(20, kKey, {.concurrent_requests = 12}), 2);
}

TEST(Limits, TenantsBeyondTheBoundShareALimit) {
  Table table({.keys_max = 1'000, .tenants_max = 3});
  Caller caller(table);
  const Limits limits{.concurrent_requests = 2};
  for (const char* tenant : {"a", "b", "c"}) EXPECT_EQ(caller.Admitted(5, WithTenant(tenant), limits), 2) << tenant;
  EXPECT_EQ(caller.Admitted(1, WithTenant("d"), limits), 1);
  EXPECT_EQ(caller.Admitted(5, WithTenant("e"), limits), 1);
  EXPECT_TRUE(caller.Ask(WithTenant("f"), limits).tenant_is_shared);
  EXPECT_FALSE(caller.Ask(WithTenant("a"), limits).tenant_is_shared);
  EXPECT_EQ(table.keys(), 4U);
  // Another Objective's tenants do not suffer.
  EXPECT_EQ(caller.Admitted(5, {"Other", "d", "ranker@1", "standard"}, limits), 2);
}

TEST(Limits, IdleTenantsMakeRoom) {
  Table table({.keys_max = 1'000, .tenants_max = 3});
  Caller caller(table);
  const Limits limits{.requests_per_second = 100, .burst = 1};
  for (const char* tenant : {"a", "b", "c"}) EXPECT_EQ(caller.Admitted(5, WithTenant(tenant), limits), 1) << tenant;
  EXPECT_TRUE(caller.Ask(WithTenant("d"), limits).limit == Limit::kNone);
  EXPECT_TRUE(caller.Ask(WithTenant("d"), limits).tenant_is_shared);
  const Lease still_open = std::move(caller.leases.front());
  caller.leases.clear();
  const Time later = kStart + seconds(3);
  EXPECT_EQ(caller.Admitted(5, WithTenant("d"), limits, later), 1);
  EXPECT_FALSE(caller.Ask(WithTenant("d"), limits, later).tenant_is_shared);
  EXPECT_EQ(table.keys(), 4U) << "a, which is still open, the shared one, and two of b, c and d";
  EXPECT_EQ(caller.Admitted(5, WithTenant("b"), limits, later), 1) << "forgotten or not, it has its own limit";
}

TEST(Limits, TheTableStaysBoundedWhateverClientsMakeUp) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Table table({.keys_max = 100, .tenants_max = 30});
  Caller caller(table);
  Time now = kStart;
  const Limits limits{.requests_per_second = 10, .burst = 1, .concurrent_requests = 2};
  constexpr std::string_view kObjectives[] = {"A", "B", "C", "D", "E"};
  for (int i = 0; i < 100'000; ++i) {
    now += Duration(static_cast<int64_t>(random() % 10'000'000));
    const std::string tenant = std::to_string(random() % (i % 2 == 0 ? 20 : 1'000'000));
    caller.Ask({kObjectives[random() % 5], tenant, "m", "p"}, limits, now);
    if (caller.leases.size() > 40) caller.leases.erase(caller.leases.begin() + static_cast<ptrdiff_t>(random() % 40));
    ASSERT_LE(table.keys(), 100U + 5);
  }
  caller.leases.clear();
  EXPECT_EQ(table.in_flight(), 0U);
}

TEST(Limits, NoAllocationOnceTheirKeysAreKnown) {
  Table table;
  WorkerLimits worker(table);
  const Limits limits{.requests_per_second = 1e6, .concurrent_requests = 10, .adaptive = true};
  std::vector<std::string> tenants;
  for (int i = 0; i < 500; ++i) tenants.push_back("tenant-" + std::to_string(i));
  uint64_t before = 0;
  for (int round = 0; round < 3; ++round) {
    if (round == 1) before = AllocationCountOfThisThread();
    for (const std::string& tenant : tenants) {
      Lease lease;
      ASSERT_EQ(worker.Admit(WithTenant(tenant), limits, PriorityClass::kNormal, false, kStart, lease).limit,
                Limit::kNone);
    }
  }
  EXPECT_EQ(AllocationCountOfThisThread() - before, 0U);
}

TEST(Limits, ConcurrencyIsExactOverThreadsAndAStormOfCancellationsCountsToZero) {
  constexpr int kThreads = 8;
  constexpr uint32_t kLimit = 50;
  Table table({.keys_max = 64, .tenants_max = 20});
  const Limits limits{.concurrent_requests = kLimit, .adaptive = true, .adaptive_bounds = {.min = 1'000, .max = 1'000}};
  std::atomic<int> open{0};
  std::atomic<int> most{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      WorkerLimits worker(table);
      std::vector<Lease> leases;
      for (int i = 0; i < 20'000; ++i) {
        Lease lease;
        const Time now = kStart + milliseconds(i);
        if (worker.Admit(kKey, limits, PriorityClass::kHigh, false, now, lease).limit == Limit::kNone) {
          const int now_open = open.fetch_add(1) + 1;
          int seen = most.load();
          while (seen < now_open && !most.compare_exchange_weak(seen, now_open)) {
          }
          leases.push_back(std::move(lease));
        } else {
          refused.fetch_add(1);
        }
        // Others' keys come and go beside it.
        Lease other;
        worker.Admit(WithTenant(std::to_string(random() % 100)), limits, PriorityClass::kHigh, false, now, other);
        if (leases.size() > random() % 12) {
          open.fetch_sub(1);
          if (random() % 2 == 0) leases.back().OnAnswer(now, microseconds(100));
          leases.pop_back();
        }
      }
      open.fetch_sub(static_cast<int>(leases.size()));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, static_cast<int>(kLimit));
  EXPECT_EQ(table.in_flight(), 0U);
  EXPECT_EQ(open, 0);
}

TEST(Limits, RatesAreExactOverWorkersAndKeysThatComeAndGo) {
  constexpr int kThreads = 4;
  Table table({.keys_max = 64, .tenants_max = 20});
  const Limits limits{.requests_per_second = 50'000, .burst = 50};
  std::atomic<int64_t> clock_us{0};
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      WorkerLimits worker(table);
      for (int64_t now; (now = clock_us.fetch_add(5)) < 1'000'000;) {
        Lease lease;
        const Time time = kStart + microseconds(now);
        if (worker.Admit(kKey, limits, PriorityClass::kNormal, false, time, lease).limit == Limit::kNone)
          admitted.fetch_add(1);
        Lease other;
        worker.Admit(WithTenant(std::to_string(now % 97)), limits, PriorityClass::kNormal, false, time, other);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  RecordProperty("admitted", admitted);
  EXPECT_LE(admitted, 50'000 + 50);
  EXPECT_GE(admitted, 50'000 * 95 / 100);
  EXPECT_EQ(table.in_flight(), 0U);
}

}  // namespace
}  // namespace signalbox::limit
