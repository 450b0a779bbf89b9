// How much workers and platforms have under way at once, and that nobody waits for longer than it likes.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "allocate/allocator.h"
#include "allocate/platform.h"
#include "allocate/test_http_platform.h"
#include "allocate/test_worker.h"
#include "tests/support/raw_http2.h"

namespace signalbox::allocate {
namespace {

using ::signalbox::testing::RawListener;
using ::signalbox::testing::ReadToEnd;
using std::chrono::seconds;
using Found = WorkerCells::Found;
TEST_F(AllocatorTest, WhoeverWaitsForAPlatformThatHangsMayGiveUpAndTheWorkerNeverWaits) {
  HttpPlatform platform(allocator_, [&](const httplib::Request& request, httplib::Response& response) {
    if (request.body.find("hangs") != std::string::npos) platform.gate().Pass();
    response.set_content(kCellTwo, "application/json");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  TestWaiter hanging;
  ASSERT_EQ(worker.Find(For("hangs"), hanging), Found::kAsked);
  ASSERT_TRUE(worker.RunUntil([&] { return platform.gate().waiting() == 1; }));
  // Asked later, answered sooner.
  EXPECT_EQ(worker.Ask(For("u1")), "2");
  EXPECT_FALSE(hanging.answer.has_value());
  worker.cells().GiveUp(hanging, Outcome::kTimeout);
  EXPECT_FALSE(hanging.waits());
  EXPECT_EQ(Questions(Outcome::kTimeout), 1);
  // It is no question for nothing: the late answer is for the next request.
  platform.gate().Open();
  ASSERT_TRUE(worker.RunUntil([&] { return Exchanges(Result::kCell) == 2; }));
  EXPECT_EQ(worker.Ask(For("hangs")), "2");
  EXPECT_FALSE(hanging.answer.has_value());
}

TEST_F(AllocatorTest, NoMoreThanTheLimitAreAskedAtOnceAndTheOthersTakeTurns) {
  HttpPlatform platform(
      allocator_,
      [&](const httplib::Request&, httplib::Response& response) {
        platform.gate().Pass();
        response.set_content(kCellTwo, "application/json");
      },
      /*threads=*/kExchangesMax + 32);
  Start(platform.port());
  TestWorker worker(*allocator_);
  constexpr size_t kAsked = kExchangesMax + 100;
  std::vector<std::unique_ptr<TestWaiter>> waiters;
  for (size_t i = 0; i < kAsked; ++i) {
    Question question = For("");
    const std::string unit = "u" + std::to_string(i);
    question.unit = unit;
    question.deadline = seconds(10);
    ASSERT_EQ(worker.Find(question, *waiters.emplace_back(std::make_unique<TestWaiter>())), Found::kAsked);
  }
  ASSERT_TRUE(worker.RunUntil([&] {
    return platform.gate().waiting() == static_cast<int>(kExchangesMax) &&
           MetricOf(*allocator_, "signalbox_allocation_queue", {"p"}) == 100;
  }));
  platform.gate().Open();
  ASSERT_TRUE(worker.RunUntil([&] {
    return std::all_of(waiters.begin(), waiters.end(), [](const auto& waiter) { return waiter->answer == "2"; });
  }));
  EXPECT_EQ(platform.gate().most(), static_cast<int>(kExchangesMax));
}

TEST_F(AllocatorTest, WhenTheQueueIsFullThereIsNoCellAtOnce) {
  HttpPlatform platform(
      allocator_, [&](const httplib::Request&, httplib::Response&) { platform.gate().Pass(); }, /*threads=*/4);
  Start(platform.port());
  TestWorker worker(*allocator_);
  constexpr size_t kRoom = kExchangesMax + kQueueMax;
  std::vector<std::unique_ptr<TestWaiter>> waiters;
  for (size_t i = 0; i < kRoom + 10; ++i) {
    const std::string unit = "u" + std::to_string(i);
    Question question = For(unit);
    question.deadline = seconds(10);
    ASSERT_EQ(worker.Find(question, *waiters.emplace_back(std::make_unique<TestWaiter>())), Found::kAsked);
  }
  ASSERT_TRUE(worker.RunUntil([&] {
    return std::all_of(waiters.begin() + kRoom, waiters.end(), [](const auto& waiter) { return waiter->answer == ""; });
  }));
  EXPECT_EQ(Exchanges(Result::kOverloaded), 10);
  EXPECT_EQ(Questions(Outcome::kNone), 10);
  for (auto& waiter : waiters) worker.cells().GiveUp(*waiter, Outcome::kAbandoned);
}

TEST_F(AllocatorTest, AWorkerHasNoMoreQuestionsThanTheLimit) {
  RawListener silent([](int socket) { ReadToEnd(socket); });
  Start(silent.port());
  TestWorker worker(*allocator_);
  std::vector<std::unique_ptr<TestWaiter>> waiters;
  for (size_t i = 0; i < kInquiriesPerWorkerMax; ++i) {
    const std::string unit = "u" + std::to_string(i);
    ASSERT_EQ(worker.Find(For(unit), *waiters.emplace_back(std::make_unique<TestWaiter>())), Found::kAsked) << i;
  }
  TestWaiter one_more;
  EXPECT_EQ(worker.Find(For("one more"), one_more), Found::kNone);
  EXPECT_EQ(Questions(Outcome::kOverloaded), 1);
  for (auto& waiter : waiters) worker.cells().GiveUp(*waiter, Outcome::kAbandoned);
}

TEST_F(AllocatorTest, AQuestionThatIsTooLargeOrNoTextIsNotSent) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For(std::string(kQuestionBytesMax, 'x'))), "");
  EXPECT_EQ(worker.Ask(For("\xff")), "");
  EXPECT_EQ(Questions(Outcome::kTooLarge), 1);
  EXPECT_EQ(Exchanges(Result::kRefused), 1);
  for (const char* flag : {".", ".."}) {
    Question question = For("u1");
    question.flag = flag;
    EXPECT_EQ(worker.Ask(question), "") << flag;
  }
  EXPECT_EQ(Exchanges(Result::kRefused), 3) << "they would be another path than that of a flag";
  EXPECT_EQ(platform.asked(), 0);
}

}  // namespace
}  // namespace signalbox::allocate
