// Workers that ask, and platforms over HTTP: good ones, and bad ones of every kind.
#include "allocate/allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "allocate/platform.h"
#include "allocate/test_platform.h"
#include "allocate/test_worker.h"
#include "base/allocation_count.h"
#include "base/test_folder.h"
#include "tests/support/raw_http2.h"

namespace signalbox::allocate {
namespace {

using ::signalbox::testing::RawListener;
using ::signalbox::testing::ReadToEnd;
using ::signalbox::testing::UnusedPort;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Found = WorkerCells::Found;

constexpr const char* kCellTwo = R"({"key":"f","value":"x","variant":"2","reason":"SPLIT"})";

Question For(std::string_view unit, std::string_view platform = "p") {
  return {.platform = platform,
          .flag = "f",
          .unit = unit,
          .context = {},
          .attributes = {},
          .ttl = seconds(300),
          .deadline = seconds(5)};
}

// A platform over HTTP whose answers a test decides.
class HttpPlatform {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  // `asker` is ended first: what it keeps open would hold the server up.
  HttpPlatform(std::unique_ptr<Allocator>& asker, Handler handler, size_t threads = 8) : asker_(asker) {
    server_.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_timeout(1);
    server_.Post(".*",
                 [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
                   ++asked_;
                   handler(request, response);
                 });
    int listener = -1;
    server_.set_socket_options([&](int socket) { listener = socket; });
    port_ = server_.bind_to_any_port("127.0.0.1");
    // The library's 5 would let only some of many connections that come together in.
    constexpr int kBacklog = 1024;
    listen(listener, kBacklog);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // Before that it could not be stopped.
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~HttpPlatform() {
    gate_.Open();
    asker_.reset();
    Die();
  }
  void Die() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  int asked() const { return asked_; }
  Gate& gate() { return gate_; }

 private:
  std::unique_ptr<Allocator>& asker_;
  Gate gate_;
  httplib::Server server_;
  int port_ = 0;
  std::atomic<int> asked_{0};
  std::thread thread_;
};

HttpPlatform::Handler Saying(const std::string& body) {
  return
      [body](const httplib::Request&, httplib::Response& response) { response.set_content(body, "application/json"); };
}

class AllocatorTest : public ::testing::Test {
 protected:
  void Start(int port, std::vector<std::string> attributes = {}, std::string token = "") {
    PlatformOptions options;
    options.name = "p";
    options.address = "http://127.0.0.1:" + std::to_string(port);
    options.attributes = std::move(attributes);
    options.token = std::move(token);
    allocator_ = Allocator::Start({options}, [this](std::string_view line) {
      std::lock_guard lock(log_mutex_);
      log_.emplace_back(line);
    });
  }
  double Questions(Outcome outcome) {
    return MetricOf(*allocator_, "signalbox_allocation_questions_total", {"p", std::string(Name(outcome))});
  }
  double Exchanges(Result result) {
    return MetricOf(*allocator_, "signalbox_allocation_exchanges_total", {"p", std::string(Name(result))});
  }
  std::vector<std::string> log() {
    std::lock_guard lock(log_mutex_);
    return log_;
  }

  std::mutex log_mutex_;
  std::vector<std::string> log_;
  std::unique_ptr<Allocator> allocator_;
};

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

TEST_F(AllocatorTest, APlatformThatNobodyDeclaredGivesNoCellAndIsCounted) {
  Start(UnusedPort());
  TestWorker worker(*allocator_);
  TestWaiter waiter;
  EXPECT_EQ(worker.Find(For("u1", "other"), waiter), Found::kNone);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_questions_total", {"", "unknown_platform"}), 1);
  EXPECT_TRUE(allocator_->Knows("p"));
  EXPECT_FALSE(allocator_->Knows("other"));
}

TEST_F(AllocatorTest, OneThatFailsInARowIsAskedRarelyAndTheLogSaysItOnce) {
  std::atomic<bool> works{false};
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    response.status = works ? 200 : 500;
    response.set_content(kCellTwo, "application/json");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(worker.Ask(For("u" + std::to_string(i))), "") << i;
  EXPECT_LE(platform.asked(), kFailuresInARowMax + 3);  // the machine may be slow, pauses end
  EXPECT_GE(Exchanges(Result::kPaused), 90);
  EXPECT_THAT(log(), ::testing::ElementsAre(::testing::HasSubstr("platform p is asked only now and then")));

  works = true;
  int user = 1000;
  ASSERT_TRUE(worker.RunUntil([&] { return worker.Ask(For("u" + std::to_string(++user))) == "2"; }));
  EXPECT_THAT(log(), ::testing::Contains("platform p answers again"));
}

TEST_F(AllocatorTest, ARateLimitIsObeyedAtOnce) {
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    response.status = 429;
    response.set_header("Retry-After", "3600");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(worker.Ask(For("u" + std::to_string(i))), "");
  EXPECT_EQ(platform.asked(), 1);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_paused", {"p"}), 1);
}

TEST_F(AllocatorTest, AFlagThatIsNotThereIsNoFailureAndIsRememberedForAWhile) {
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    response.status = 404;
    response.set_content(R"({"key":"f","errorCode":"FLAG_NOT_FOUND"})", "application/json");
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(worker.Ask(For("u" + std::to_string(i))), "");
  EXPECT_EQ(platform.asked(), 20);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(platform.asked(), 20);
  EXPECT_EQ(Questions(Outcome::kKnownNone), 1);
  EXPECT_EQ(MetricOf(*allocator_, "signalbox_allocation_paused", {"p"}), 0);
  worker.PassTime(kNoneKept);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(platform.asked(), 21);
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

TEST_F(AllocatorTest, RedirectsAreNotFollowed) {
  HttpPlatform elsewhere(allocator_, Saying(kCellTwo));
  HttpPlatform platform(allocator_, [&](const httplib::Request&, httplib::Response& response) {
    response.set_redirect("http://127.0.0.1:" + std::to_string(elsewhere.port()) + "/ofrep/v1/evaluate/flags/f", 307);
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(elsewhere.asked(), 0);
  EXPECT_EQ(Exchanges(Result::kRedirect), 1);
}

TEST_F(AllocatorTest, GiantAnswersAreNotRead) {
  const std::string giant = R"({"variant":"2","metadata":")" + std::string(10 << 20, 'x') + "\"}";
  HttpPlatform platform(allocator_, [&](const httplib::Request& request, httplib::Response& response) {
    if (request.body.find("chunks") == std::string::npos) return response.set_content(giant, "application/json");
    response.set_chunked_content_provider("application/json", [&](size_t, httplib::DataSink& sink) {
      sink.write(giant.data(), giant.size());
      sink.done();
      return true;
    });
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(worker.Ask(For("chunks")), "");
  EXPECT_EQ(Exchanges(Result::kTooLarge), 2);
}

TEST_F(AllocatorTest, WhatIsNoAnswerIsNoCell) {
  struct Case {
    std::string sent;
    Result result;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\ncontent-length: ";
  for (const Case& one : std::vector<Case>{
           {ok + "6\r\n\r\n<html>", Result::kBadAnswer},
           {ok + "0\r\n\r\n", Result::kBadAnswer},
           {"SSH-2.0-OpenSSH_9.2\r\n", Result::kBadAnswer},
           {"", Result::kUnreachable},
           {ok + "600\r\n\r\n{\"variant\":\"2\"}", Result::kUnreachable},
           {"HTTP/1.1 200 OK\r\nx: " + std::string(90 << 10, 'x') + "\r\n\r\n", Result::kTooLarge},
       }) {
    RawListener platform([&](int socket) {
      char request[4096];
      EXPECT_GT(recv(socket, request, sizeof(request), 0), 0);
      (void)!send(socket, one.sent.data(), one.sent.size(), MSG_NOSIGNAL);
      shutdown(socket, SHUT_WR);
      ReadToEnd(socket);
    });
    Start(platform.port());
    TestWorker worker(*allocator_);
    EXPECT_EQ(worker.Ask(For("u1")), "") << one.sent.substr(0, 60);
    EXPECT_EQ(Exchanges(one.result), 1) << one.sent.substr(0, 60) << ": expected " << Name(one.result);
    allocator_.reset();
  }
}

TEST_F(AllocatorTest, DropByDropIsATimeout) {
  std::atomic<bool> stop{false};
  RawListener platform([&](int socket) {
    char request[4096];
    EXPECT_GT(recv(socket, request, sizeof(request), 0), 0);
    const std::string begin = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
    (void)!send(socket, begin.data(), begin.size(), MSG_NOSIGNAL);
    pollfd gone{socket, POLLRDHUP, 0};
    constexpr int kDropEveryMs = 10;
    while (!stop && (poll(&gone, 1, kDropEveryMs) == 0 || (gone.revents & POLLRDHUP) == 0)) {
      if (send(socket, " ", 1, MSG_NOSIGNAL) <= 0) return;
    }
  });
  Start(platform.port());
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(Exchanges(Result::kTimeout), 1);
  stop = true;
}

TEST_F(AllocatorTest, NobodyListensAndNobodyIsKept) {
  Start(UnusedPort());
  TestWorker worker(*allocator_);
  EXPECT_EQ(worker.Ask(For("u1")), "");
  EXPECT_EQ(Exchanges(Result::kUnreachable), 1);
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

TEST_F(AllocatorTest, ItEndsWhileAPlatformHangs) {
  RawListener silent([](int socket) { ReadToEnd(socket); });
  Start(silent.port());
  TestWorker worker(*allocator_);
  TestWaiter waiter;
  worker.Find(For("u1"), waiter);
  ASSERT_TRUE(worker.RunUntil([&] { return silent.accepted() == 1; }));
  worker.cells().GiveUp(waiter, Outcome::kAbandoned);
  allocator_.reset();
}

}  // namespace
}  // namespace signalbox::allocate
