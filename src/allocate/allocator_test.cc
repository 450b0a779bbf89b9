// Workers that ask, platforms over HTTP that answer, and what is remembered of it.
#include "allocate/allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "allocate/platform.h"
#include "allocate/test_http_platform.h"
#include "allocate/test_worker.h"
#include "base/allocation_count.h"
#include "base/test_folder.h"
#include "tests/support/raw_http2.h"

namespace signalbox::allocate {
namespace {

using ::signalbox::testing::UnusedPort;
using std::chrono::seconds;
using Found = WorkerCells::Found;
TEST_F(AllocatorTest, ACellComesFromThePlatformAndIsThenKnown) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  TestWaiter first;
  EXPECT_EQ(worker.Find(For("u1"), first), Found::kAsked);
  ASSERT_TRUE(worker.RunUntil([&] { return first.answer.has_value(); }));
  EXPECT_EQ(first.answer, "2");

  TestWaiter second;
  EXPECT_EQ(worker.Find(For("u1"), second), Found::kCell);
  EXPECT_EQ(second.answer, "2");
  EXPECT_EQ(platform.asked(), 1);
  EXPECT_EQ(Questions(Outcome::kAnswered), 1);
  EXPECT_EQ(Questions(Outcome::kHit), 1);
  EXPECT_EQ(Exchanges(Result::kCell), 1);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_exchange_duration_seconds", {"p"}), 1);
}

TEST_F(AllocatorTest, AKnownCellIsFoundWithoutAllocating) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port(), {"plan"});
  TestWorker worker(*allocator_);
  const Field context[] = {{"country", "US"}, {"segments", "kids premium"}};
  const Field attributes[] = {{"plan", "basic"}, {"email", "somebody@somewhere.example"}};
  Question question = For("a-user-whose-name-is-longer-than-a-small-string");
  question.context = context;
  question.attributes = attributes;
  ASSERT_EQ(worker.Ask(question), "2");
  TestWaiter waiter;
  std::string_view cell;
  const uint64_t before = AllocationCountOfThisThread();
  const Found found = worker.cells().Find(question, worker.now(), waiter, cell);
  EXPECT_EQ(AllocationCountOfThisThread(), before);
  EXPECT_EQ(found, Found::kCell);
}

TEST_F(AllocatorTest, ThePlatformSeesTheUnitAndTheContextAndNoAttributeThatWasNotReleased) {
  std::mutex mutex;
  std::string path;
  std::string body;
  std::string authorization;
  HttpPlatform platform(allocator_, [&](const httplib::Request& request, httplib::Response& response) {
    std::lock_guard lock(mutex);
    path = request.path;
    body = request.body;
    authorization = request.get_header_value("authorization");
    response.set_content(kCellTwo, "application/json");
  });
  Start(platform.port(), {"plan"}, "secret-1");
  TestWorker worker(*allocator_);
  const Field context[] = {{"country", "US"}, {"device", ""}, {"segments", "kids premium"}};
  const Field attributes[] = {{"plan", "basic"}, {"email", "a@b.c"}};
  Question question = For("u1");
  question.context = context;
  question.attributes = attributes;
  EXPECT_EQ(worker.Ask(question), "2");
  std::lock_guard lock(mutex);
  EXPECT_EQ(path, "/ofrep/v1/evaluate/flags/f");
  EXPECT_EQ(body, R"({"context":{"country":"US","plan":"basic","segments":["kids","premium"],"targetingKey":"u1"}})");
  EXPECT_EQ(authorization, "Bearer secret-1");
}

TEST_F(AllocatorTest, AnotherContextIsAnotherQuestionButAnAttributeThatIsNotSentIsNone) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  for (const char* country : {"US", "CA"}) {
    for (const char* email : {"a@b.c", "d@e.f"}) {
      const Field context[] = {{"country", country}};
      const Field attributes[] = {{"email", email}};
      Question question = For("u1");
      question.context = context;
      question.attributes = attributes;
      EXPECT_EQ(worker.Ask(question), "2");
    }
  }
  EXPECT_EQ(platform.asked(), 2);
}

TEST_F(AllocatorTest, ACellThatDoesNotExistIsAskedForAgainAfterAWhileByWhomeverOfTheWorkers) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker one(*allocator_);
  TestWorker other(*allocator_);
  TestWaiter waiter;
  waiter.exists = false;
  ASSERT_EQ(one.Find(For("u1"), waiter), Found::kAsked);
  ASSERT_TRUE(one.RunUntil([&] { return waiter.answer.has_value(); }));
  TestWaiter again;
  EXPECT_EQ(one.Find(For("u1"), again), Found::kNone) << "for now";
  EXPECT_EQ(other.Ask(For("u1")), "2");
  other.cells().Refuse(For("u1"), other.now());
  EXPECT_EQ(other.Find(For("u1"), again), Found::kNone);
  EXPECT_EQ(platform.asked(), 1);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_unknown_cells_total", {"p"}), 2);

  one.PassTime(kNoneKept);
  EXPECT_EQ(one.Ask(For("u1")), "2");
  EXPECT_EQ(platform.asked(), 2) << "what was no cell is not given out again";
  other.PassTime(kNoneKept);
  EXPECT_EQ(other.Ask(For("u1")), "2");
  EXPECT_EQ(platform.asked(), 2) << "what another worker has had since is";
}

TEST_F(AllocatorTest, ACellThatIsNoneForOneAskerStaysTheCellOfOthers) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  Question without = For("u1");
  without.asker = "without";
  Question with = For("u1");
  with.asker = "with";
  TestWaiter refuses;
  refuses.exists = false;
  TestWaiter takes;
  ASSERT_EQ(worker.Find(without, refuses), Found::kAsked);
  ASSERT_EQ(worker.Find(with, takes), Found::kAsked);
  ASSERT_TRUE(worker.RunUntil([&] { return refuses.answer.has_value() && takes.answer.has_value(); }));
  EXPECT_EQ(takes.answer, "2");
  TestWaiter again;
  EXPECT_EQ(worker.Find(with, again), Found::kCell);
  EXPECT_EQ(again.answer, "2");
  EXPECT_EQ(worker.Find(without, again), Found::kNone) << "for now";
  worker.cells().Refuse(without, worker.now());
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_unknown_cells_total", {"p"}), 1) << "that is known already";
  EXPECT_EQ(platform.asked(), 1);

  worker.PassTime(kNoneKept);
  EXPECT_EQ(worker.Find(with, again), Found::kCell) << "whoever asks anew";
  EXPECT_EQ(worker.Ask(without), "2");
  EXPECT_EQ(platform.asked(), 2) << "what was no cell is not given out again";
  EXPECT_EQ(worker.Find(with, again), Found::kCell);
}

TEST_F(AllocatorTest, APlatformThatFailsWhereACellWasRefusedTakesItFromNobodyElse) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  Question without = For("u1");
  without.asker = "without";
  ASSERT_EQ(worker.Ask(For("u1")), "2");
  worker.cells().Refuse(without, worker.now());
  platform.Die();
  worker.PassTime(kNoneKept);
  EXPECT_EQ(worker.Ask(without), "");
  EXPECT_EQ(worker.Ask(For("u1")), "2");
}

TEST_F(AllocatorTest, SegmentsAreTheSameQuestionInWhateverOrderTheyCome) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  auto ask = [&](std::string_view segments) {
    const Field field{kSegments, segments};
    Question question = For("u1");
    question.context = std::span(&field, 1);
    return worker.Ask(question);
  };
  for (const char* segments : {"kids premium", "premium kids", " premium  kids kids"}) EXPECT_EQ(ask(segments), "2");
  EXPECT_EQ(platform.asked(), 1);
  EXPECT_EQ(ask("kids"), "2");
  EXPECT_EQ(ask("kidspremium"), "2");
  EXPECT_EQ(platform.asked(), 3);
}

TEST_F(AllocatorTest, EqualQuestionsAreAskedOnceWhateverWorkerHasThem) {
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    platform.gate().Pass();
    response.set_content(kCellTwo, "application/json");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  TestWorker other(*allocator_);
  std::vector<std::unique_ptr<TestWaiter>> waiters;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ((i % 2 == 0 ? worker : other).Find(For("u1"), *waiters.emplace_back(std::make_unique<TestWaiter>())),
              Found::kAsked);
  }
  ASSERT_TRUE(worker.RunUntil([&] {
    return platform.gate().waiting() == 1 && Exchanges(Result::kCell) == 0 &&
           MetricOf(*allocator_, "signalbox_allocation_coalesced_total", {"p"}) == 9;
  }));
  platform.gate().Open();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE((i % 2 == 0 ? worker : other).RunUntil([&] { return waiters[i]->answer.has_value(); }));
    EXPECT_EQ(waiters[i]->answer, "2");
  }
  EXPECT_EQ(platform.asked(), 1);

  // And what one has asked, a third knows.
  TestWorker third(*allocator_);
  EXPECT_EQ(third.Ask(For("u1")), "2");
  EXPECT_EQ(platform.asked(), 1);
}

TEST_F(AllocatorTest, AnOldAnswerIsGivenOutWhileItIsRenewedAndNoLonger) {
  std::atomic<int> version{1};
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(R"({"variant":")" + std::to_string(version) + R"("})", "application/json");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  ASSERT_EQ(worker.Ask(For("u1")), "1");
  version = 2;
  worker.PassTime(seconds(301));
  TestWaiter stale;
  EXPECT_EQ(worker.Find(For("u1"), stale), Found::kCell);
  EXPECT_EQ(stale.answer, "1");
  ASSERT_TRUE(worker.RunUntil([&] { return Exchanges(Result::kCell) == 2; }));
  TestWaiter renewed;
  ASSERT_TRUE(worker.RunUntil([&] {
    worker.Find(For("u1"), renewed);
    return renewed.answer == "2";
  }));

  worker.PassTime(seconds(600));
  TestWaiter too_old;
  EXPECT_EQ(worker.Find(For("u1"), too_old), Found::kAsked);
  worker.cells().GiveUp(too_old, Outcome::kAbandoned);
}

TEST_F(AllocatorTest, APlatformThatDiesTakesNobodysCellAwayBeforeTwiceItsTime) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  ASSERT_EQ(worker.Ask(For("u1")), "2");
  platform.Die();
  worker.PassTime(seconds(301));
  EXPECT_EQ(worker.Ask(For("u1")), "2");
  ASSERT_TRUE(worker.RunUntil([&] { return Exchanges(Result::kUnreachable) >= 1; }));
  EXPECT_EQ(worker.Ask(For("u1")), "2");
  worker.PassTime(seconds(300));
  EXPECT_EQ(worker.Ask(For("u1")), "");
}

TEST_F(AllocatorTest, APlatformThatNobodyDeclaredGivesNoCellAndIsCounted) {
  Start(UnusedPort());
  TestWorker worker(*allocator_);
  TestWaiter waiter;
  EXPECT_EQ(worker.Find(For("u1", "other"), waiter), Found::kNone);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_questions_total", {"", "unknown_platform"}), 1);
  EXPECT_TRUE(allocator_->Knows("p"));
  EXPECT_FALSE(allocator_->Knows("other"));
}

TEST_F(AllocatorTest, ATokenIsReadAgainWhenThePlatformDoesNotKnowItAndWhenSomebodySaysSo) {
  TestFolder folder;
  std::mutex mutex;
  std::string good = "new";
  HttpPlatform platform(allocator_, [&](const httplib::Request& request, httplib::Response& response) {
    std::lock_guard lock(mutex);
    const bool known = request.get_header_value("Authorization") == "Bearer " + good;
    response.status = known ? 200 : 401;
    response.set_content(kCellTwo, "application/json");
  });
  PlatformOptions options;
  options.name = "p";
  options.address = "http://127.0.0.1:" + std::to_string(platform.port());
  options.token = "old";
  options.token_file = folder.File("token");
  std::ofstream(options.token_file) << "new\n";
  allocator_ = Allocator::Start({options}, [this](std::string_view line) {
    std::lock_guard lock(log_mutex_);
    log_.emplace_back(line);
  });
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For("u1")), "") << "with the old one";
  EXPECT_EQ(worker.Ask(For("u2")), "2") << "by itself";
  EXPECT_THAT(log(), ::testing::ElementsAre(::testing::HasSubstr("platform p is asked with the new token of ")));

  {
    std::lock_guard lock(mutex);
    good = "newer";
  }
  std::ofstream(options.token_file) << "newer\n";
  allocator_->RereadTokens();
  ASSERT_TRUE(worker.RunUntil([&] { return log().size() == 2; }));
  EXPECT_EQ(worker.Ask(For("u3")), "2");
  EXPECT_EQ(Exchanges(Result::kUnauthorised), 1);

  std::ofstream(options.token_file, std::ios::trunc);
  allocator_->RereadTokens();
  ASSERT_TRUE(worker.RunUntil([&] { return log().size() == 3; }));
  EXPECT_THAT(log().back(), ::testing::HasSubstr("its token stays as it was"));
  EXPECT_EQ(worker.Ask(For("u4")), "2");
}

TEST_F(AllocatorTest, OneThatIsToldMayAskAndGiveUpForOthers) {
  HttpPlatform platform(allocator_, Saying(kCellTwo));
  Start(platform.port());
  TestWorker worker(*allocator_);
  TestWaiter first;
  TestWaiter second;
  TestWaiter asked_meanwhile;
  first.then = [&] {
    worker.cells().GiveUp(second, Outcome::kAbandoned);
    EXPECT_EQ(worker.Find(For("u1"), asked_meanwhile), Found::kCell);
  };
  worker.Find(For("u1"), first);
  worker.Find(For("u1"), second);
  ASSERT_TRUE(worker.RunUntil([&] { return first.answer.has_value(); }));
  EXPECT_FALSE(second.answer.has_value());
  EXPECT_EQ(asked_meanwhile.answer, "2");
}

}  // namespace
}  // namespace signalbox::allocate
