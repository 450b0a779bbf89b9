// Platforms that fail, refuse, lie, flood or hang.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "allocate/allocator.h"
#include "allocate/platform.h"
#include "allocate/test_http_platform.h"
#include "allocate/test_worker.h"
#include "tests/support/raw_http2.h"

namespace signalbox::allocate {
namespace {

using ::signalbox::testing::RawListener;
using ::signalbox::testing::ReadToEnd;
using ::signalbox::testing::UnusedPort;
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
