// What hosts can do that they should not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/test_proxy.h"
#include "tests/support/echo_host.h"
#include "tests/support/raw_http2.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::CallOptions;
using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::GrpcFrame;
using ::signalbox::testing::GrpcHeaders;
using ::signalbox::testing::RawHttp2;
using ::signalbox::testing::RawListener;
using ::signalbox::testing::Reply;
using ::signalbox::testing::UnusedPort;
using ::testing::AnyOf;
using ::testing::HasSubstr;

CallOptions ForEcho() { return {.headers = {{"sb-objective", "Echo"}}}; }
std::string NobodyThere() { return "127.0.0.1:" + std::to_string(UnusedPort()); }

TEST(ProxyHosts, NoSnapshotIsUnavailableAndSaysSo) {
  TestProxy proxy;
  EchoClient client(proxy.port());
  const Reply reply = client.Unary("/a/b", "x", ForEcho());
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("no snapshot"));
}

TEST(ProxyHosts, AHostThatIsNotThereIsPassedOverForAnotherOfItsShard) {
  EchoHost host("there");
  TestProxy proxy;
  proxy.Route({NobodyThere(), host.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 20; ++i) {
    const Reply reply = client.Unary("/a/b", "x", ForEcho());
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.header("sb-reason"), "default");
  }
}

TEST(ProxyHosts, TheFallbackAnswersWhenNoHostOfTheModelDoes) {
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({NobodyThere()}, {}, {spare.address()});
  EchoClient client(proxy.port());
  const Reply reply = client.Unary("/a/b", "x", ForEcho());
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.header("sb-model"), "spare");
  EXPECT_EQ(reply.header("sb-reason"), "fallback");
  EXPECT_EQ(reply.trailer("got-sb-model"), "spare");
}

TEST(ProxyHosts, TheFallbackAnswersForAModelThatIsPlacedNowhere) {
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({}, {}, {spare.address()});
  EchoClient client(proxy.port());
  EXPECT_EQ(client.Unary("/a/b", "x", ForEcho()).header("sb-reason"), "fallback");
}

TEST(ProxyHosts, WithoutAnythingToReachTheAnswerSaysWhy) {
  TestProxy proxy;
  const std::string nobody = NobodyThere();
  proxy.Route({nobody});
  EchoClient client(proxy.port());
  const Reply reply = client.Unary("/a/b", "x", {.headers = {{"sb-objective", "Lonely"}}});
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("model echo@1 of Objective Lonely cannot be reached"));
  EXPECT_THAT(reply.status.error_message(), HasSubstr(nobody));
}

TEST(ProxyHosts, AHostNameThatDoesNotResolveIsReportedAndUnreachable) {
  EchoHost spare("spare");
  TestProxy proxy;
  const std::vector<std::string> failures = proxy.Route({"no-such-host.invalid:1"}, {}, {spare.address()});
  ASSERT_EQ(failures.size(), 1);
  EXPECT_THAT(failures[0], HasSubstr("no-such-host.invalid:1"));
  EchoClient client(proxy.port());
  EXPECT_EQ(client.Unary("/a/b", "x", ForEcho()).header("sb-model"), "spare");
}

TEST(ProxyHosts, AHostThatComesBackIsUsedAgain) {
  auto host = std::make_unique<EchoHost>("first");
  TestProxy proxy;
  proxy.Route({host->address()});
  EchoClient client(proxy.port());
  ASSERT_TRUE(client.Unary("/a/b", "x", ForEcho()).status.ok());
  const int port = host->port();
  host.reset();
  host = std::make_unique<EchoHost>("second", port);
  // Within the backoff.
  Reply reply;
  do {
    reply = client.Unary("/a/b", "x", ForEcho());
  } while (!reply.status.ok());
  EXPECT_EQ(reply.header("host-name"), "second");
}

TEST(ProxyHosts, AHostThatShutsDownGracefullyIsLeftForTheOthers) {
  EchoHost stays("stays");
  TestProxy proxy;
  auto leaves = std::make_unique<EchoHost>("leaves");
  proxy.Route({stays.address(), leaves->address()});
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::atomic<int> done{0};
  std::thread traffic([&] {
    EchoClient client(proxy.port());
    while (!stop) {
      const Reply reply = client.Unary("/a/b", "x", ForEcho());
      // gRPC C++ cancels calls that reach it after it began to shut down and before its GOAWAY reached us: its own
      // answer, not ours.
      if (reply.status.error_code() != grpc::StatusCode::CANCELLED) failed += !reply.status.ok();
      ++done;
    }
  });
  while (done < 100) std::this_thread::yield();
  leaves->Shutdown(std::chrono::seconds(10));
  leaves.reset();
  const int at = done;
  while (done < at + 100) std::this_thread::yield();
  stop = true;
  traffic.join();
  EXPECT_EQ(failed, 0);
}

TEST(ProxyHosts, AHostThatDiesDuringARequestIsUnavailable) {
  std::atomic<bool> die{false};
  RawListener host([&](int socket) {
    char byte = 0;
    recv(socket, &byte, 1, 0);
    while (!die) std::this_thread::yield();
  });
  TestProxy proxy;
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  auto stream = client.Open("/a/b", {.headers = {{"sb-objective", "Lonely"}}});
  stream->Write("x");
  die = true;
  const Reply reply = stream->Finish();
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(reply.status.error_message(), HasSubstr(host.address()));
}

TEST(ProxyHosts, AHostThatNeverAnswersEndsAtTheDeadline) {
  RawListener host([](int socket) { testing::ReadToEnd(socket); });
  TestProxy proxy;
  proxy.Route({host.address()});
  RawHttp2 client(proxy.port());
  const int32_t stream =
      client.Open(GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"grpc-timeout", "100m"}}), GrpcFrame("x"));
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "4");
  EXPECT_THAT(client.stream(stream).headers["grpc-message"], HasSubstr("before host " + host.address()));
}

TEST(ProxyHosts, AHostThatAnswersGarbageIsUnavailable) {
  for (const std::string& garbage :
       {std::string(200, 'x'), std::string("HTTP/1.1 500 Oops\r\n\r\n"), std::string(9, '\xff')}) {
    RawListener host([&](int socket) {
      send(socket, garbage.data(), garbage.size(), MSG_NOSIGNAL);
      testing::ReadToEnd(socket);
    });
    TestProxy proxy;
    proxy.Route({host.address()});
    EchoClient client(proxy.port());
    const Reply reply =
        client.Unary("/a/b", "x", {.headers = {{"sb-objective", "Lonely"}}, .timeout = std::chrono::seconds(5)});
    EXPECT_THAT(reply.status.error_code(), AnyOf(grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::DEADLINE_EXCEEDED));
  }
}

TEST(ProxyHosts, AHostThatAcceptsAndClosesIsLeftForTheFallback) {
  RawListener host([](int) {});
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({host.address()}, {}, {spare.address()});
  EchoClient client(proxy.port());
  int ok = 0;
  for (int i = 0; i < 20; ++i) ok += client.Unary("/a/b", "x", ForEcho()).status.ok();
  // A connection that is closed as it opens can take a request with it; none may hang, and the fallback serves.
  EXPECT_GT(ok + host.accepted(), 0);
  while (proxy->requests_open() > 0) std::this_thread::yield();
}

TEST(ProxyHosts, RequestsSpreadOverTheHostsOfAShard) {
  EchoHost one("one");
  EchoHost two("two");
  EchoHost three("three");
  TestProxy proxy(2);
  proxy.Route({one.address(), two.address(), three.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client.Unary("/a/b", "x", ForEcho()).status.ok());
  EXPECT_EQ(one.calls(), 10);
  EXPECT_EQ(two.calls(), 10);
  EXPECT_EQ(three.calls(), 10);
}

TEST(ProxyHosts, ConnectionsToHostsThatAreNotInUseEnd) {
  std::atomic<int> ended{0};
  RawListener host([&](int socket) {
    testing::ReadToEnd(socket);
    ++ended;
  });
  EchoHost other("other");
  TestProxy proxy;
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  CallOptions options = ForEcho();
  options.timeout = std::chrono::milliseconds(100);
  client.Unary("/a/b", "x", options);
  proxy.Route({other.address()}, {}, {}, 2);
  while (ended == 0) std::this_thread::yield();
}

}  // namespace
}  // namespace signalbox::proxy
