// What hosts can do that they should not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/test_folder.h"
#include "proxy/test_dying_host.h"
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

Reply AskLonely(int port) {
  EchoClient client(port);
  return client.Unary("/a/b", std::string(1000, 'x'), {.headers = {{"sb-objective", "Lonely"}}});
}

TEST(ProxyHosts, AHostThatDiesDuringARequestIsUnavailable) {
  DyingHost host("");
  TestProxy proxy;
  proxy.Route({host.address()});
  const Reply reply = AskLonely(proxy.port());
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(reply.status.error_message(), HasSubstr(host.address()));
}

TEST(ProxyHosts, AHostThatDiesAfterItsHeadersIsUnavailableInTheTrailers) {
  DyingHost host(kResponseHeaders);
  TestProxy proxy;
  proxy.Route({host.address()});
  const Reply reply = AskLonely(proxy.port());
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reply.header("sb-model"), "echo@1");
}

TEST(ProxyHosts, AHostThatDiesInsideItsAnswerIsUnavailableInTheTrailers) {
  DyingHost host(kResponseHeaders + Frame(0, 0, 1, std::string("\0\0\0\1\0abc", 8)));
  TestProxy proxy;
  proxy.Route({host.address()});
  const Reply reply = AskLonely(proxy.port());
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(ProxyHosts, AHostsResetMeansWhatItMeansToAGrpcClient) {
  const std::vector<std::pair<char, grpc::StatusCode>> resets = {
      {2, grpc::StatusCode::INTERNAL}, {8, grpc::StatusCode::CANCELLED}, {11, grpc::StatusCode::RESOURCE_EXHAUSTED}};
  for (const auto& [code, status] : resets) {
    DyingHost host(Frame(3, 0, 1, std::string("\0\0\0", 3) + code));
    TestProxy proxy;
    proxy.Route({host.address()});
    EXPECT_EQ(AskLonely(proxy.port()).status.error_code(), status) << "error code " << static_cast<int>(code);
  }
}

TEST(ProxyHosts, AHostThatDrainsWithAnOpenStreamHoldsNobodyUp) {
  auto leaves = std::make_unique<EchoHost>("leaves");
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({leaves->address()}, {}, {spare.address()});
  EchoClient client(proxy.port());
  auto stream = client.Open("/a/EchoStream", ForEcho());
  std::string message;
  ASSERT_TRUE(stream->Write("x") && stream->Read(message));
  // Its listener is closed at once; the open stream keeps its connection.
  std::thread shutdown([&] { leaves->Shutdown(std::chrono::seconds(20)); });
  Reply reply;
  do {
    CallOptions options = ForEcho();
    options.timeout = std::chrono::seconds(5);
    reply = client.Unary("/a/b", "x", options);
    EXPECT_NE(reply.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  } while (reply.header("host-name") != "spare");
  EXPECT_TRUE(reply.status.ok());
  ASSERT_TRUE(stream->Write("y") && stream->Read(message));
  EXPECT_EQ(message, "y");
  ASSERT_TRUE(stream->WritesDone());
  EXPECT_FALSE(stream->Read(message));
  EXPECT_TRUE(stream->Finish().status.ok());
  shutdown.join();
}

TEST(ProxyHosts, ARequestThatAHostHasSeenGoesToNoOther) {
  // It ends the stream without an answer before any of the body: the request has no body.
  DyingHost host(Frame(3, 0, 1, std::string("\0\0\0\2", 4)));
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({host.address()}, {}, {spare.address()});
  RawHttp2 client(proxy.port());
  const int32_t stream = client.Open(
      GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"my-filler", std::string(400, 'f')}}), "", /*end=*/false);
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "13");
  EXPECT_EQ(spare.calls(), 0);
}

TEST(ProxyHosts, ARequestThatAHostRefusedGoesToTheNext) {
  DyingHost host(Frame(3, 0, 1, std::string("\0\0\0\7", 4)));
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({host.address()}, {}, {spare.address()});
  RawHttp2 client(proxy.port());
  const int32_t stream = client.Open(
      GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"my-filler", std::string(400, 'f')}}), "", /*end=*/false);
  ASSERT_TRUE(client.RunUntil([&] { return spare.calls() == 1; }));
  client.Send(stream, GrpcFrame("x"), /*end=*/true);
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "0");
}

TEST(ProxyHosts, AFallbackKeepsTheExperimentAndCellInTheLog) {
  TestFolder folder;
  EchoHost spare("spare");
  {
    TestProxy proxy(1, {.decision_log_path = folder.File("decisions.jsonl")});
    proxy.Route({NobodyThere()}, {NobodyThere()}, {spare.address()});
    EchoClient client(proxy.port());
    CallOptions options = ForEcho();
    options.headers.emplace("sb-user", "u1");
    EXPECT_EQ(client.Unary("/a/b", "x", options).header("sb-model"), "spare");
    while (proxy->requests_open() > 0) std::this_thread::yield();
    proxy.Stop();
  }
  const std::string log = *ReadFile(folder.File("decisions.jsonl"), 1 << 20);
  EXPECT_THAT(log, HasSubstr(R"("experiment":"77")"));
  EXPECT_THAT(log, HasSubstr(R"("model":"spare")"));
  EXPECT_THAT(log, HasSubstr(R"("reason":"fallback")"));
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

TEST(ProxyHosts, AHostThatIsSilentForLongIsNotAskedSoOftenThatItHangsUp) {
  EchoHost host;  // with gRPC's defaults, which end a connection at the third PING in a silence
  TestProxy proxy;
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  CallOptions options = ForEcho();
  options.timeout = std::chrono::seconds(23);
  EXPECT_EQ(client.Unary("/a/Hang", "x", options).status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
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
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE) << reply.status.error_message();
  }
}

TEST(ProxyHosts, AHostThatAcceptsAndClosesIsLeftForTheFallback) {
  RawListener host([](int) {});
  EchoHost spare("spare");
  TestProxy proxy;
  proxy.Route({host.address()}, {}, {spare.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 20; ++i) {
    const Reply reply = client.Unary("/a/b", "x", ForEcho());
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.header("sb-model"), "spare");
  }
  EXPECT_GT(host.accepted(), 0);
}

TEST(ProxyHosts, RequestsSpreadOverTheHostsOfAShard) {
  EchoHost one("one");
  EchoHost two("two");
  EchoHost three("three");
  TestProxy proxy(2);
  proxy.Route({one.address(), two.address(), three.address()});
  EchoClient client(proxy.port());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(client.Unary("/a/b", "x", ForEcho()).status.ok());
  for (const EchoHost* host : {&one, &two, &three}) EXPECT_GE(host->calls(), 1);
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
