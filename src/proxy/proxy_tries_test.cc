// What becomes of a request when a host does not answer it: tried again, hedged, given to a fallback, or told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/test_folder.h"
#include "prometheus/metric_family.h"
#include "proxy/test_dying_host.h"
#include "proxy/test_proxy.h"
#include "proxy/test_scripted_host.h"
#include "tests/support/echo_host.h"
#include "tests/support/raw_http2.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::GrpcFrame;
using ::signalbox::testing::GrpcHeaders;
using ::signalbox::testing::RawHttp2;
using ::signalbox::testing::RawListener;
using ::signalbox::testing::Reply;
using ::signalbox::testing::UnusedPort;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using Answer = ScriptedHost::Answer;

const grpc::Status kNotNow(grpc::StatusCode::UNAVAILABLE, "not now");
constexpr char kIdempotent[] = "retries { idempotent: true }";

class ProxyTries : public ::testing::Test {
 protected:
  ProxyTries() : proxy_(1, {.decision_log_path = folder_.File("decisions.jsonl")}), client_(proxy_.port()) {}

  // The Objective `Home`: model `one` on these hosts, and the fallback `spare` where it has any. `policy` is how its
  // requests are handled.
  void Route(const std::string& policy, const std::vector<std::string>& one, const std::vector<std::string>& spare = {},
             const std::string& of_objective = "") {
    v1::Snapshot snapshot = decide::ParseSnapshot(
        "rule_sets { rule_set { namespace: 'test' objectives { name: 'Home' policy: 'p' default_model { name: 'one' "
        "} " +
        std::string(spare.empty() ? "" : "fallback_models { name: 'spare' } ") + of_objective +
        " } policies { name: 'p' " + policy + " } } }");
    auto place = [&](const std::string& model, const std::vector<std::string>& hosts) {
      auto& shard = (*snapshot.mutable_placement()->mutable_shards())["s-" + model];
      for (const std::string& host : hosts) shard.add_hosts(host);
      (*snapshot.mutable_placement()->mutable_models())[model].add_shards("s-" + model);
    };
    place("one", one);
    if (!spare.empty()) place("spare", spare);
    proxy_->SetSnapshot(decide::CompileOrDie(std::move(snapshot)));
  }

  Reply Call(const std::string& message = "x", milliseconds timeout = std::chrono::seconds(20)) {
    return client_.Unary("/acme.Ranker/Rank", message, {.headers = {{"sb-objective", "Home"}}, .timeout = timeout});
  }

  // How often an event was counted.
  double Events(const std::string& event) {
    while (proxy_->requests_open() > 0) std::this_thread::yield();
    double sum = 0;
    for (const auto& family : proxy_.telemetry().Collect()) {
      if (family.name != "signalbox_try_events_total") continue;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "event" && label.value == event) sum += metric.counter.value;
        }
      }
    }
    return sum;
  }
  std::string Log() {
    while (proxy_->requests_open() > 0) std::this_thread::yield();
    proxy_.telemetry().Flush();
    return *ReadFile(folder_.File("decisions.jsonl"), 16 << 20);
  }

  TestFolder folder_;
  TestProxy proxy_;
  EchoClient client_;
};

Answer Good(int) { return {.message = "good"}; }
Answer Unavailable(int) { return {.message = "", .status = kNotNow}; }
Answer Never(int) { return {.message = "", .never = true}; }

// --- Tries.

TEST_F(ProxyTries, WhatMayBeDoneAgainGoesToTheNextHost) {
  ScriptedHost bad(Unavailable);
  ScriptedHost good(Good);
  Route(kIdempotent, {bad.address(), good.address()});
  const std::string message(300'000, 'm');
  for (int i = 0; i < 10; ++i) {
    const Reply reply = Call(message);
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.message, "good");
  }
  ASSERT_GT(bad.calls(), 0);
  EXPECT_EQ(good.calls(), 10);
  for (const std::string& received : good.received()) EXPECT_TRUE(received == message) << "the whole of it, each time";
  EXPECT_EQ(Events("retry"), bad.calls());
  EXPECT_THAT(Log(), HasSubstr(R"("attempts":2,"tries":{"retry":1})"));
}

TEST_F(ProxyTries, TheClientSeesHowManyHostsWereAsked) {
  ScriptedHost host([](int call) { return call < 2 ? Unavailable(call) : Good(call); });
  Route(kIdempotent, {host.address()});
  EXPECT_EQ(Call().header("sb-attempts"), "3");
  EXPECT_EQ(Call().header("sb-attempts"), "") << "one is what is expected";
}

TEST_F(ProxyTries, WhatMayNotBeDoneAgainIsTheHostsAnswer) {
  ScriptedHost bad(Unavailable);
  ScriptedHost spare(Good);
  Route("", {bad.address()}, {spare.address()});
  const Reply reply = Call();
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reply.status.error_message(), "not now") << "its own words";
  EXPECT_EQ(bad.calls(), 1);
  EXPECT_EQ(spare.calls(), 0);
}

TEST_F(ProxyTries, ARefusalBeforeAnythingWasReadIsSafeToTakeElsewhere) {
  ScriptedHost bad([](int) { return Answer{.message = "", .status = kNotNow, .at_once = true}; });
  ScriptedHost spare(Good);
  Route("", {bad.address()}, {spare.address()});
  RawHttp2 client(proxy_.port());
  const int32_t stream = client.Open(GrpcHeaders("/a/b", {{"sb-objective", "Home"}}), "", /*end=*/false);
  ASSERT_TRUE(client.RunUntil([&] { return spare.calls() == 1; }));
  client.Send(stream, GrpcFrame("x"), /*end=*/true);
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "0");
  EXPECT_EQ(client.stream(stream).headers["sb-reason"], "fallback");
}

TEST_F(ProxyTries, AnswersThatAreNoFailureAreGivenToTheClient) {
  ScriptedHost host([](int) {
    return Answer{.message = "", .status = {grpc::StatusCode::INVALID_ARGUMENT, "no such film"}};
  });
  Route(kIdempotent, {host.address()});
  EXPECT_EQ(Call().status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(host.calls(), 1);
}

TEST_F(ProxyTries, NoMoreAreMadeThanThePolicySays) {
  ScriptedHost bad(Unavailable);
  Route("retries { idempotent: true tries: 5 backoff_ms: 1 }", {bad.address()});
  EXPECT_EQ(Call().status.error_message(), "not now");
  EXPECT_EQ(bad.calls(), 5);
  Route("retries { idempotent: true tries: 1 }", {bad.address()});
  Call();
  EXPECT_EQ(bad.calls(), 6);
}

TEST_F(ProxyTries, HostsThatBreakOffAreLeftForOthers) {
  const std::map<std::string, std::string> ends = {
      {"closes", ""},
      {"resets", Frame(3, 0, 1, std::string("\0\0\0\2", 4))},
      {"refuses", Frame(3, 0, 1, std::string("\0\0\0\7", 4))},
      {"garbage", std::string(200, 'x')},
      {"never speaks HTTP/2 again", Frame(7, 0, 0, std::string(8, '\0'))},
      {"no status twice", Frame(1, 5, 1, std::string("\x88\x5f\x10") + "application/grpc") +
                              Frame(1, 5, 1, std::string("\x88\x5f\x10") + "application/grpc")}};
  for (const auto& [name, end] : ends) {
    DyingHost bad(end);
    ScriptedHost good(Good);
    Route("retries { idempotent: true budget_ppm: 1000000 }", {bad.address(), good.address()});
    for (int i = 0; i < 4; ++i) {
      const Reply reply = Call(std::string(1'000, 'x'), std::chrono::seconds(5));
      EXPECT_TRUE(reply.status.ok()) << name << ": " << reply.status.error_message();
    }
    EXPECT_GT(good.calls(), 0) << name;
  }
}

TEST_F(ProxyTries, AHostThatAcceptsAndNeverSpeaksIsLeftForOthers) {
  RawListener bad([](int socket) { testing::ReadToEnd(socket); });
  ScriptedHost good(Good);
  Route("deadlines { per_try_ms: 500 }", {bad.address(), good.address()});
  // One of the two begins with the bad host. (What a try may take is long enough for a good one on a
  // busy machine, and shorter than what connecting may.)
  for (int i = 0; i < 2; ++i) {
    const Reply reply = Call();
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  }
  EXPECT_GT(Events("timeout"), 0) << "nothing was sent, so it may be sent elsewhere";
}

TEST_F(ProxyTries, AnAnswerThatComesTooLateIsNobodys) {
  ScriptedHost late([](int) { return Answer{.message = "late", .after = milliseconds(1500)}; });
  ScriptedHost good([](int) { return Answer{.message = "good", .after = milliseconds(20)}; });
  Route("deadlines { per_try_ms: 1000 } retries { idempotent: true }", {late.address(), good.address()});
  int timeouts = 0;
  for (int i = 0; i < 2; ++i) {
    const Reply reply = Call();
    EXPECT_EQ(reply.message, "good") << reply.status.error_message();
    timeouts += reply.header("sb-attempts") == "2" ? 1 : 0;
  }
  EXPECT_GT(timeouts, 0);
}

TEST_F(ProxyTries, TrailersThatComeTwiceCountOnce) {
  // `:status: 200`, `content-type`, and `grpc-status: 0` as a literal.
  const std::string status = std::string("\0\x0b", 2) + "grpc-status\x01" + "0";
  const std::string headers = std::string("\x88\x5f\x10") + "application/grpc";
  DyingHost host(Frame(1, 4, 1, headers) + Frame(0, 0, 1, std::string("\0\0\0\0\4good", 9)) + Frame(1, 5, 1, status) +
                 Frame(1, 5, 1, status));
  Route(kIdempotent, {host.address()});
  const Reply reply = Call(std::string(1'000, 'x'));
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.message, "good");
}

TEST_F(ProxyTries, AHostWithHugeHeadersIsLeftForOthers) {
  ScriptedHost bad([](int) {
    Answer answer = Good(0);
    for (int i = 0; i < 200; ++i) answer.trailers.emplace("h" + std::to_string(i), "v");
    answer.message.clear();
    answer.status = kNotNow;
    return answer;
  });
  ScriptedHost good(Good);
  Route(kIdempotent, {bad.address(), good.address()});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Call().status.ok());
  EXPECT_GT(bad.calls(), 0);
}

// --- Pauses and the budget.

TEST_F(ProxyTries, AHostSaysWhenToComeBack) {
  ScriptedHost host([](int call) {
    Answer answer = call == 0 ? Unavailable(0) : Good(0);
    if (call == 0) answer.trailers.emplace("grpc-retry-pushback-ms", "80");
    return answer;
  });
  Route("retries { idempotent: true backoff_ms: 1 }", {host.address()});
  EXPECT_TRUE(Call().status.ok());
  const auto times = host.times();
  ASSERT_EQ(times.size(), 2U);
  EXPECT_GE(times[1] - times[0], milliseconds(80));
}

TEST_F(ProxyTries, AHostSaysNotToComeBack) {
  ScriptedHost host([](int) {
    Answer answer = Unavailable(0);
    answer.trailers.emplace("grpc-retry-pushback-ms", "-1");
    return answer;
  });
  Route(kIdempotent, {host.address()});
  EXPECT_EQ(Call().status.error_message(), "not now");
  EXPECT_EQ(host.calls(), 1);
}

TEST_F(ProxyTries, APauseBeyondTheDeadlineIsNotBegun) {
  ScriptedHost host([](int) {
    Answer answer = Unavailable(0);
    answer.trailers.emplace("grpc-retry-pushback-ms", "60000");
    return answer;
  });
  Route(kIdempotent, {host.address()});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Call("x", std::chrono::seconds(15)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(ProxyTries, TheBudgetBoundsWhatAFailingModelGetsMore) {
  ScriptedHost bad(Unavailable);
  Route("retries { idempotent: true tries: 3 budget_ppm: 100000 backoff_ms: 1 }", {bad.address()});
  const auto begin = std::chrono::steady_clock::now();
  constexpr int kRequests = 300;
  for (int i = 0; i < kRequests; ++i) Call();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const int more = bad.calls() - kRequests;
  EXPECT_LE(more, kRequests / 10 + 10 * (std::floor(seconds) + 2));
  EXPECT_GE(more, 10);
  EXPECT_GT(Events("over_budget"), 0);
}

// --- Deadlines.

TEST_F(ProxyTries, AHostThatTakesTooLongIsLeftForAnother) {
  ScriptedHost slow(Never);
  ScriptedHost good(Good);
  Route("deadlines { per_try_ms: 1000 } retries { idempotent: true }", {slow.address(), good.address()});
  for (int i = 0; i < 2; ++i) {
    const Reply reply = Call();
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  }
  EXPECT_GT(Events("timeout"), 0);
  while (slow.cancelled() < slow.calls()) std::this_thread::yield();
}

TEST_F(ProxyTries, AHostThatTakesTooLongIsToldOfWhenNobodyElseMayBeAsked) {
  ScriptedHost slow(Never);
  ScriptedHost good(Good);
  Route("deadlines { per_try_ms: 50 }", {slow.address()}, {good.address()});
  const Reply reply = Call();
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(reply.status.error_message(), "host " + slow.address() + " did not begin to answer within 50 ms");
  EXPECT_EQ(good.calls(), 0);
}

TEST_F(ProxyTries, ThePolicysDeadlineEndsWhatTheClientWouldWaitFor) {
  ScriptedHost slow(Never);
  Route("deadlines { total_ms: 60 }", {slow.address()});
  EXPECT_EQ(Call().status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  while (slow.cancelled() == 0) std::this_thread::yield();

  // The host is told what is left, and of the two deadlines the earlier.
  EchoHost echo;
  Route("deadlines { total_ms: 5000 }", {echo.address()});
  EXPECT_LT(std::stoi(Call().trailer("deadline-ms")), 6'000);
  EXPECT_LT(std::stoi(Call("x", std::chrono::seconds(2)).trailer("deadline-ms")), 3'000);
}

TEST_F(ProxyTries, WhenThePolicysDeadlineHasPassedTheDeclaredAnswerIsGiven) {
  ScriptedHost slow(Never);
  Route("deadlines { total_ms: 60 }", {slow.address()}, {}, "static_answer { message: '' }");
  const Reply reply = Call();
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.header("sb-reason"), "fallback");
}

TEST_F(ProxyTries, ASlowClientIsNotItsHostsFault) {
  ScriptedHost host(Good);
  Route("deadlines { per_try_ms: 700 } retries { idempotent: true }", {host.address()});
  RawHttp2 client(proxy_.port());
  const int32_t stream = client.Open(GrpcHeaders("/a/b", {{"sb-objective", "Home"}}), GrpcFrame("x"), /*end=*/false);
  const auto late = std::chrono::steady_clock::now() + milliseconds(900);
  client.RunUntil([&] { return std::chrono::steady_clock::now() >= late || client.stream(stream).closed; });
  EXPECT_FALSE(client.stream(stream).closed);
  client.Send(stream, "", /*end=*/true);
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "0");
  EXPECT_EQ(Events("timeout"), 0);
}

// --- Hedging.

TEST_F(ProxyTries, AnUnusuallySlowHostIsHedgedAndTheFirstAnswerCounts) {
  std::atomic<bool> stuck{false};
  ScriptedHost one([&](int) { return stuck ? Never(0) : Good(0); });
  ScriptedHost two(Good);
  Route("retries { idempotent: true } hedging { percentile_ppm: 950000 min_delay_ms: 20 }",
        {one.address(), two.address()});
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Call().status.ok());
  stuck = true;
  int hedged = 0;
  // Once it is known to be slow it is asked less.
  for (int i = 0; i < 500 && hedged == 0; ++i) {
    const Reply reply = Call();
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    hedged += reply.header("sb-attempts") == "2" ? 1 : 0;
  }
  EXPECT_EQ(hedged, 1);
  EXPECT_GE(Events("hedge_win"), 1);
  EXPECT_GE(Events("hedge"), Events("hedge_win"));
  while (one.cancelled() < hedged) std::this_thread::yield();
  EXPECT_THAT(Log(), HasSubstr(R"("hedge":1,"hedge_win":1)"));
}

TEST_F(ProxyTries, NothingIsHedgedBeforeItIsKnownWhatIsUsual) {
  ScriptedHost one([](int) { return Answer{.message = "late", .after = milliseconds(60)}; });
  ScriptedHost two([](int) { return Answer{.message = "late", .after = milliseconds(60)}; });
  Route("retries { idempotent: true } hedging { percentile_ppm: 500000 }", {one.address(), two.address()});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call().header("sb-attempts"), "");
}

// --- Bodies.

TEST_F(ProxyTries, ABodyThatIsTooLongToBeKeptIsSentOnceAndCounted) {
  ScriptedHost bad(Unavailable);
  ScriptedHost good(Good);
  Route(kIdempotent, {bad.address(), good.address()});
  const std::string message(3 << 20, 'm');
  int failed = 0;
  for (int i = 0; i < 4; ++i) {
    const Reply reply = Call(message);
    failed += reply.status.ok() ? 0 : 1;
    EXPECT_EQ(reply.status.error_message(), reply.status.ok() ? "" : "not now");
  }
  EXPECT_EQ(failed, bad.calls());
  EXPECT_GT(failed, 0);
  EXPECT_EQ(Events("body_too_long"), 4);
  for (const std::string& received : good.received()) EXPECT_TRUE(received == message);
}

TEST_F(ProxyTries, AnObjectivesKeptBodiesAreBoundedTogether) {
  ScriptedHost bad(Unavailable);
  ScriptedHost good(Good);
  Route(std::string(kIdempotent) + " bulkhead { buffered_bytes: 100000 }", {bad.address(), good.address()});
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(Call(std::string(50'000, 'm')).status.ok());
    Call(std::string(200'000, 'm'));
  }
  EXPECT_EQ(Events("body_too_long"), 4);
}

// --- Fallbacks.

TEST_F(ProxyTries, AfterTheLastTryTheFallbackIsAsked) {
  ScriptedHost bad(Unavailable);
  ScriptedHost spare(Good);
  Route("retries { idempotent: true tries: 2 backoff_ms: 1 }", {bad.address()}, {spare.address()});
  const Reply reply = Call(std::string(200'000, 'x'));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(bad.calls(), 2);
  EXPECT_EQ(reply.header("sb-model"), "spare");
  EXPECT_EQ(reply.header("sb-reason"), "fallback");
  EXPECT_EQ(reply.header("sb-attempts"), "3");
  EXPECT_EQ(spare.received().at(0).size(), 200'000U);
}

TEST_F(ProxyTries, StreamsFallBackUntilTheirFirstByte) {
  DyingHost bad("");
  EchoHost spare("spare");
  Route(kIdempotent, {bad.address()}, {spare.address()});
  auto stream = client_.Open("/acme.Ranker/EchoStream", {.headers = {{"sb-objective", "Home"}}});
  const std::string first(1'000, 'x');
  ASSERT_TRUE(stream->Write(first));
  std::string message;
  ASSERT_TRUE(stream->Read(message));
  EXPECT_TRUE(message == first);
  ASSERT_TRUE(stream->Write("y") && stream->Read(message));
  EXPECT_EQ(message, "y");
  // From here on it is this host's alone.
  spare.Shutdown(milliseconds(0));
  EXPECT_FALSE(stream->Read(message));
  EXPECT_EQ(stream->Finish().status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

// --- A storm.

TEST_F(ProxyTries, AStormOfCancellationsLeavesNothingBehind) {
  ScriptedHost flaky([](int call) {
    Answer answer = call % 3 == 0 ? Unavailable(0) : Good(0);
    answer.after = milliseconds(call % 5);
    return answer;
  });
  ScriptedHost slow(Never);
  Route(
      "deadlines { per_try_ms: 20 } retries { idempotent: true tries: 4 budget_ppm: 1000000 backoff_ms: 4 } "
      "hedging { percentile_ppm: 500000 } bulkhead { buffered_bytes: 4000000 }",
      {flaky.address(), slow.address()});
  for (int round = 0; round < 20; ++round) {
    RawHttp2 client(proxy_.port());
    std::vector<int32_t> streams;
    for (int i = 0; i < 20; ++i) {
      streams.push_back(client.Open(GrpcHeaders("/a/b", {{"sb-objective", "Home"}}),
                                    GrpcFrame(std::string(static_cast<size_t>(100 * i * i), 'x')), i % 3 != 0));
    }
    client.RunUntil([&] { return client.stream(streams[1 + static_cast<size_t>(round) % 2]).closed; });
    for (const int32_t stream : streams) client.Reset(stream);
    client.Flush();
  }
  while (proxy_->requests_open() > 0) std::this_thread::yield();
  // What was kept was given back: there is room for a body of nearly all of it.
  ScriptedHost good(Good);
  Route(std::string(kIdempotent) + " bulkhead { buffered_bytes: 900000 }", {good.address()});
  const double before = Events("body_too_long");
  EXPECT_TRUE(Call(std::string(800'000, 'x')).status.ok());
  EXPECT_EQ(Events("body_too_long"), before);
}

}  // namespace
}  // namespace signalbox::proxy
