#include "telemetry/tenant_set.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace signalbox::telemetry {
namespace {

TEST(TenantSet, ThoseBeyondTheLimitAreOtherAndTheFirstStay) {
  TenantSet tenants(2);
  EXPECT_EQ(tenants.Admit("a"), "a");
  EXPECT_EQ(tenants.Admit("b"), "b");
  EXPECT_EQ(tenants.Admit("c"), kOther);
  EXPECT_EQ(tenants.Admit("a"), "a");
  EXPECT_EQ(tenants.Admit("b"), "b");
}

TEST(TenantSet, ALimitOfZeroMakesAllOther) { EXPECT_EQ(TenantSet(0).Admit("a"), kOther); }

TEST(TenantSet, AnOverlongNameIsOther) {
  TenantSet tenants(10);
  EXPECT_EQ(tenants.Admit(std::string(TenantSet::kTenantBytesMax + 1, 'x')), kOther);
}

TEST(TenantSet, WorkersThatAdmitAtOnceAgreeAndKeepTheLimit) {
  constexpr size_t kLimit = 100;
  constexpr int kThreads = 4;
  TenantSet tenants(kLimit);
  std::vector<std::set<std::string>> admitted(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = 0; i < 2 * kLimit; ++i) {
        std::string tenant = "tenant-" + std::to_string(i);
        if (tenants.Admit(tenant) == tenant) admitted[static_cast<size_t>(thread)].insert(tenant);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  std::set<std::string> all;
  for (const std::set<std::string>& some : admitted) all.insert(some.begin(), some.end());
  EXPECT_LE(all.size(), kLimit);
  // A worker may be told "other" in the moment that another claims the last place and gives it back; so near the limit,
  // not at it.
  EXPECT_GE(all.size(), kLimit - kThreads);
  for (const std::string& tenant : all) EXPECT_EQ(tenants.Admit(tenant), tenant);
}

}  // namespace
}  // namespace signalbox::telemetry
