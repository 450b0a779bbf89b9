#include "proxy/retry_budget.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace signalbox::proxy {
namespace {

using std::chrono::seconds;

const RetryBudget::Time kStart{std::chrono::hours(1)};

// How many of `asked` tries are allowed.
int Taken(RetryBudget& budget, RetryBudget::Time at, int asked, uint32_t ppm) {
  int taken = 0;
  for (int i = 0; i < asked; ++i) taken += budget.TryTake(at, ppm) ? 1 : 0;
  return taken;
}

TEST(RetryBudget, TenASecondAreAlwaysAllowed) {
  RetryBudget budget;
  EXPECT_EQ(Taken(budget, kStart, 100, 200'000), 10);
  EXPECT_EQ(Taken(budget, kStart + seconds(1), 100, 200'000), 10);
}

TEST(RetryBudget, IsAShareOfTheRequestsOfTenSeconds) {
  RetryBudget budget;
  for (int second = 0; second < 10; ++second) {
    for (int i = 0; i < 100; ++i) budget.CountRequest(kStart + seconds(second));
  }
  EXPECT_EQ(Taken(budget, kStart + seconds(9), 1000, 100'000), 100);
}

TEST(RetryBudget, WhatIsNotSaidIsAFifth) {
  RetryBudget budget;
  for (int i = 0; i < 1000; ++i) budget.CountRequest(kStart);
  EXPECT_EQ(Taken(budget, kStart, 1000, 0), 200);
}

TEST(RetryBudget, RequestsOfLongAgoAllowNothing) {
  RetryBudget budget;
  for (int i = 0; i < 1000; ++i) budget.CountRequest(kStart);
  EXPECT_EQ(Taken(budget, kStart + seconds(10), 1000, 500'000), 10);
}

TEST(RetryBudget, TriesCountForAsLongAsRequests) {
  RetryBudget budget;
  for (int i = 0; i < 1000; ++i) budget.CountRequest(kStart);
  EXPECT_EQ(Taken(budget, kStart, 1000, 100'000), 100);
  EXPECT_EQ(Taken(budget, kStart + seconds(5), 1000, 100'000), 10) << "the share is used up; the ten are left";
}

TEST(RetryBudget, CountsWhatAllWorkersDo) {
  RetryBudget budget;
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      for (int request = 0; request < 25'000; ++request) budget.CountRequest(kStart);
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(Taken(budget, kStart, 50'000, 200'000), 20'000);
}

}  // namespace
}  // namespace signalbox::proxy
