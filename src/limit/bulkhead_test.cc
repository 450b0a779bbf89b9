#include "limit/bulkhead.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace signalbox::limit {
namespace {

using Full = WorkerBulkheads::Full;

TEST(Bulkhead, HoldsSoManyRequestsOfAnObjectiveAndNoneOfOthers) {
  Bulkheads bulkheads;
  WorkerBulkheads worker(bulkheads);
  WorkerBulkheads other_worker(bulkheads);
  Berth first;
  Berth second;
  Berth third;
  EXPECT_EQ(worker.Enter("A", 2, 0, first), Full::kNo);
  EXPECT_EQ(other_worker.Enter("A", 2, 0, second), Full::kNo);
  EXPECT_EQ(worker.Enter("A", 2, 0, third), Full::kRequests);
  EXPECT_EQ(worker.Enter("B", 2, 0, third), Full::kNo);
  EXPECT_EQ(first.bulkhead(), second.bulkhead());
  first.Release();
  EXPECT_EQ(worker.Enter("A", 2, 0, first), Full::kNo);
}

TEST(Bulkhead, IsFullOfBytesAsWell) {
  Bulkheads bulkheads;
  WorkerBulkheads worker(bulkheads);
  Berth first;
  Berth second;
  ASSERT_EQ(worker.Enter("A", 0, 100'000, first), Full::kNo);
  EXPECT_FALSE(first.SetBytes(1'000)) << "too little to tell others";
  EXPECT_TRUE(first.SetBytes(100'000));
  EXPECT_EQ(worker.Enter("A", 0, 100'000, second), Full::kBytes);
  EXPECT_TRUE(first.SetBytes(0));
  EXPECT_EQ(worker.Enter("A", 0, 100'000, second), Full::kNo);
}

TEST(Bulkhead, CountsToZeroHoweverRequestsEnd) {
  Bulkheads bulkheads;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      WorkerBulkheads worker(bulkheads);
      std::vector<Berth> berths(50);
      for (size_t i = 0; i < 20'000; ++i) {
        Berth& berth = berths[i * 7 % berths.size()];
        if (i % 3 == 0) berth.Release();
        worker.Enter(i % 2 == 0 ? "A" : "B", 120, 0, berth);
        berth.SetBytes(i % 11 * 20'000);
        if (i % 5 == 0) berth = std::move(berths[(i + 1) % berths.size()]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(bulkheads.States().empty());
}

}  // namespace
}  // namespace signalbox::limit
