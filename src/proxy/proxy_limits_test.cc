// What is over a limit is refused at once, says why and when to come back, and whatever a request held is given back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/test_folder.h"
#include "limit/bulkhead.h"
#include "prometheus/metric_family.h"
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
using ::signalbox::testing::Headers;
using ::signalbox::testing::RawHttp2;
using ::signalbox::testing::RawStream;
using ::testing::HasSubstr;
using ::testing::Not;

// Waits, without a length of its own, for what other threads will do.
bool Eventually(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// The sum over all series of a family that have the label value; an empty one is had by all.
double Sum(const std::vector<prometheus::MetricFamily>& families, std::string_view name, std::string_view value = "") {
  double sum = 0;
  for (const prometheus::MetricFamily& family : families) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      const bool has = value.empty() || std::any_of(metric.label.begin(), metric.label.end(),
                                                    [&](const auto& label) { return label.value == value; });
      if (has) sum += metric.gauge.value + metric.counter.value;
    }
  }
  return sum;
}

class ProxyLimits : public ::testing::Test {
 protected:
  explicit ProxyLimits(uint32_t workers = 2, telemetry::Options options = {}) : proxy_(workers, std::move(options)) {}

  // Both Objectives go to the same host; `Echo` has the policy `standard` that says so.
  void Declare(const std::string& policy, int64_t version = 1) {
    v1::Snapshot snapshot = TestProxy::SnapshotProto({host_.address()}, {host_.address()}, {}, version);
    v1::RuleSet& rules = *snapshot.mutable_rule_sets(0)->mutable_rule_set();
    rules.clear_experiments();
    v1::Snapshot declared =
        decide::ParseSnapshot("rule_sets { rule_set { policies { name: 'standard' " + policy + " } } }");
    *rules.add_policies() = declared.rule_sets(0).rule_set().policies(0);
    rules.mutable_objectives(0)->set_policy("standard");
    const auto failures = proxy_->SetSnapshot(decide::CompileOrDie(snapshot));
    EXPECT_TRUE(failures.empty());
  }

  static Headers For(const std::string& objective, const Headers& more = {}) {
    Headers headers = {{"sb-objective", objective}, {"sb-tenant", "web"}};
    headers.insert(headers.end(), more.begin(), more.end());
    return headers;
  }

  // One request on a connection of its own.
  RawStream Ask(const Headers& headers = For("Echo"), const std::string& body = GrpcFrame("x")) {
    RawHttp2 client(proxy_.port());
    const int32_t stream = client.Open(GrpcHeaders("/a/b", headers), body);
    EXPECT_TRUE(client.RunUntilClosed(stream));
    return client.stream(stream);
  }

  // Requests that the host never answers, open until the client goes.
  std::unique_ptr<RawHttp2> Hold(int requests, const Headers& headers = For("Echo")) {
    auto client = std::make_unique<RawHttp2>(proxy_.port());
    const int before = host_.calls();
    const double open_before = Sum(proxy_->Collect(), "signalbox_bulkhead_requests");
    for (int i = 0; i < requests; ++i) client->Open(GrpcHeaders("/a/Hang", headers), GrpcFrame("x"), /*end=*/false);
    // What was reset earlier may still reach the host, so that its calls alone say too little.
    EXPECT_TRUE(client->RunUntil([&] {
      return host_.calls() >= before + requests &&
             Sum(proxy_->Collect(), "signalbox_bulkhead_requests") >= open_before + requests;
    }));
    return client;
  }

  bool NothingIsHeld() {
    return Eventually([&] {
      const auto families = proxy_->Collect();
      return Sum(families, "signalbox_limit_in_flight") == 0 && Sum(families, "signalbox_bulkhead_requests") == 0 &&
             Sum(families, "signalbox_bulkhead_bytes") == 0;
    });
  }

  EchoHost host_;
  TestProxy proxy_;
};

TEST_F(ProxyLimits, ARequestOverTheRateIsToldWhichLimitAndWhenToComeBack) {
  Declare("limits { requests_per_second: 0.1 burst: 3 }");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask().headers["grpc-status"], "0");
  RawStream refused = Ask();
  EXPECT_EQ(refused.headers["grpc-status"], "8");
  EXPECT_EQ(refused.headers["grpc-message"],
            "more than 0.1 requests a second (requestsPerSecond of policy standard) for Objective Echo, model echo@1, "
            "tenant web: send fewer, or raise the limit");
  const int pushback_ms = std::stoi(refused.headers["grpc-retry-pushback-ms"]);
  EXPECT_GE(pushback_ms, 5'000);
  EXPECT_LE(pushback_ms, 20'000);
  EXPECT_EQ(std::stoi(refused.headers["retry-after"]), (pushback_ms + 999) / 1000);
  EXPECT_NE(refused.headers["sb-decision"], "");
  // Others' are their own.
  EXPECT_EQ(Ask({{"sb-objective", "Echo"}, {"sb-tenant", "mobile"}}).headers["grpc-status"], "0");
  EXPECT_EQ(Ask(For("Lonely")).headers["grpc-status"], "0");
  EXPECT_EQ(host_.calls(), 5);
}

TEST_F(ProxyLimits, ConcurrencyIsTheProcesssWhateverWorkerAConnectionFellTo) {
  Declare("limits { concurrent_requests: 4 }");
  std::vector<std::unique_ptr<RawHttp2>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(Hold(1));
  RawStream refused = Ask();
  EXPECT_EQ(refused.headers["grpc-status"], "8");
  EXPECT_THAT(refused.headers["grpc-message"],
              HasSubstr("more than 4 requests at a time (concurrentRequests of policy"));
  EXPECT_GE(std::stoi(refused.headers["grpc-retry-pushback-ms"]), 1);
  clients.pop_back();
  EXPECT_TRUE(Eventually([&] { return Ask().headers["grpc-status"] == "0"; }));
}

TEST_F(ProxyLimits, WhatARequestHeldIsGivenBackHoweverItEnds) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Declare("limits { concurrent_requests: 50 requests_per_second: 1000000 }", 2);
  for (int round = 0; round < 8; ++round) {
    std::vector<std::unique_ptr<RawHttp2>> clients;
    for (int c = 0; c < 4; ++c) {
      auto& client = *clients.emplace_back(std::make_unique<RawHttp2>(proxy_.port()));
      std::vector<int32_t> streams;
      for (int i = 0; i < 60; ++i) {
        Headers headers = For("Echo");
        if (random() % 4 == 0) headers.emplace_back("grpc-timeout", "5m");
        const std::string path = random() % 2 == 0 ? "/a/Hang" : random() % 2 == 0 ? "/a/b" : "/a/Fail";
        const size_t bytes = random() % 3 == 0 ? 100'000 : 10;
        streams.push_back(
            client.Open(GrpcHeaders(path, headers), GrpcFrame(std::string(bytes, 'x')), random() % 2 == 0));
        if (random() % 8 == 0) client.Flush();
        if (random() % 3 == 0) client.Reset(streams[random() % streams.size()]);
      }
      client.Flush();
      if (random() % 2 == 0)
        client.RunUntil([&] { return client.stream(streams.back()).closed || random() % 50 == 0; });
    }
  }
  EXPECT_TRUE(NothingIsHeld());
  // And none of it is lost.
  RawHttp2 holder(proxy_.port());
  for (int i = 0; i < 50; ++i) holder.Open(GrpcHeaders("/a/Hang", For("Echo")), GrpcFrame("x"), /*end=*/false);
  ASSERT_TRUE(holder.RunUntil([&] { return Sum(proxy_->Collect(), "signalbox_limit_in_flight") == 50; }));
  EXPECT_EQ(Ask().headers["grpc-status"], "8");
}

TEST_F(ProxyLimits, AProxyThatStopsGivesUpWhatRequestsHold) {
  Declare("limits { concurrent_requests: 10 }");
  const auto held = Hold(10);
  proxy_.Stop();
}

TEST_F(ProxyLimits, TooMuchPayloadIsRefusedAsSoonAsItIsKnown) {
  Declare("limits { payload_bytes: 1000 }");
  EXPECT_EQ(Ask(For("Echo"), GrpcFrame(std::string(995, 'x'))).headers["grpc-status"], "0");
  const int calls = host_.calls();
  for (const auto& [headers, body] : std::vector<std::pair<Headers, std::string>>{
           {For("Echo", {{"content-length", "1001"}}), std::string("\0\0\0\0\4", 5)},  // it says so
           {For("Echo"), GrpcFrame(std::string(996, 'x')).substr(0, 5)},               // the message says so
       }) {
    RawHttp2 client(proxy_.port());
    const int32_t stream = client.Open(GrpcHeaders("/a/b", headers), body, /*end=*/false);
    ASSERT_TRUE(client.RunUntilClosed(stream));
    EXPECT_EQ(client.stream(stream).headers["grpc-status"], "8");
    EXPECT_THAT(client.stream(stream).headers["grpc-message"],
                HasSubstr("the request has 1001 bytes or more, and payloadBytes of policy standard for Objective Echo "
                          "is 1000"));
    EXPECT_EQ(client.stream(stream).headers["grpc-retry-pushback-ms"], "-1") << "the same request will never do";
    EXPECT_EQ(client.stream(stream).headers["retry-after"], "");
  }
  // A stream is one request, whatever its messages: what passed has passed.
  EchoClient client(proxy_.port());
  auto stream = client.Open("/a/Stream", {.headers = {{"sb-objective", "Echo"}}});
  std::string echoed;
  ASSERT_TRUE(stream->Write(std::string(600, 'x')));
  ASSERT_TRUE(stream->Read(echoed));
  stream->Write(std::string(600, 'x'));
  EXPECT_FALSE(stream->Read(echoed));
  EXPECT_EQ(stream->Finish().status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_LE(host_.calls(), calls + 2);
  EXPECT_TRUE(NothingIsHeld());
}

TEST_F(ProxyLimits, AreDividedAmongProxiesAndTakeANewNumberAtOnce) {
  Declare("limits { concurrent_requests: 8 }");
  proxy_->SetProxies(4);
  const auto held = Hold(2);
  RawStream refused = Ask();
  EXPECT_THAT(refused.headers["grpc-message"],
              HasSubstr("more than 2 in this proxy, which is one of 4 that share 8 requests at a time"));
  proxy_->SetProxies(2);
  EXPECT_EQ(Ask().headers["grpc-status"], "0");
}

TEST_F(ProxyLimits, ANewSnapshotChangesThemAtOnceAndForgetsNothing) {
  Declare("limits { concurrent_requests: 3 }", 1);
  const auto held = Hold(3);
  EXPECT_EQ(Ask().headers["grpc-status"], "8");
  Declare("limits { concurrent_requests: 4 }", 2);
  EXPECT_EQ(Ask().headers["grpc-status"], "0");
  Declare("limits { concurrent_requests: 2 }", 3);
  EXPECT_EQ(Ask().headers["grpc-status"], "8");
  Declare("", 4);
  EXPECT_EQ(Ask().headers["grpc-status"], "0");
}

TEST_F(ProxyLimits, OfZeroAreNone) {
  Declare("limits { requests_per_second: 0 concurrent_requests: 0 payload_bytes: 0 }");
  const auto held = Hold(100);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask().headers["grpc-status"], "0");
}

TEST_F(ProxyLimits, AnAdaptiveLimitLetsInAtLeastItsMinimum) {
  Declare("limits { adaptive_concurrency { min: 3 max: 3 } priority: HIGH }");
  const auto held = Hold(3);
  RawStream refused = Ask();
  EXPECT_EQ(refused.headers["grpc-status"], "8");
  EXPECT_THAT(refused.headers["grpc-message"],
              HasSubstr("adaptiveConcurrency of policy standard, priority class high"));
  const auto families = proxy_->Collect();
  EXPECT_EQ(Sum(families, "signalbox_limit_adaptive", "Echo"), 3);
  EXPECT_EQ(Sum(families, "signalbox_limit_in_flight", "Echo"), 3);
}

TEST_F(ProxyLimits, ABulkheadHoldsSoManyRequestsOfItsObjectiveAndNoneOfAnother) {
  Declare("bulkhead { requests: 5 }");
  auto held = Hold(5);
  RawStream refused = Ask();
  EXPECT_EQ(refused.headers["grpc-status"], "8");
  EXPECT_THAT(refused.headers["grpc-message"], HasSubstr("Objective Echo has 5 requests open in this proxy"));
  EXPECT_THAT(refused.headers["grpc-message"], HasSubstr("bulkhead.requests of standard"));
  EXPECT_EQ(Ask(For("Lonely")).headers["grpc-status"], "0");
  held.reset();
  EXPECT_TRUE(NothingIsHeld());
}

// Clients of one Objective open streams and read nothing of what comes.
TEST_F(ProxyLimits, ABulkheadFullOfBytesRefusesItsObjectiveAlone) {
  Declare("bulkhead { buffered_bytes: 4194304 }");
  RawHttp2 stuck(proxy_.port(), RawHttp2::Windows::kNeverGrow);
  for (int i = 0; i < 60; ++i) stuck.Open(GrpcHeaders("/a/Download", For("Echo")), GrpcFrame("1000 1048576"));
  ASSERT_TRUE(stuck.RunUntil([&] { return Ask().headers["grpc-status"] == "8"; }));
  EXPECT_THAT(Ask().headers["grpc-message"], HasSubstr("bulkhead.bufferedBytes of standard"));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Ask(For("Lonely")).headers["grpc-status"], "0");
  // What was open already does not go on to fill the memory of all.
  EXPECT_LT(Sum(proxy_->Collect(), "signalbox_bulkhead_bytes", "Echo"), 2.5 * 4194304);
}

class ProxyLimitsLogged : public ProxyLimits {
 protected:
  explicit ProxyLimitsLogged() : ProxyLimits(1, {.decision_log_path = folder().File("decisions.jsonl")}) {}
  static TestFolder& folder() {
    static TestFolder folder;
    return folder;
  }
};

TEST_F(ProxyLimitsLogged, RefusalsAreCountedAndLoggedWithLimitAndPriority) {
  Declare("limits { requests_per_second: 0.001 burst: 1 priority: LOW }");
  EXPECT_EQ(Ask().headers["grpc-status"], "0");
  EXPECT_EQ(Ask().headers["grpc-status"], "8");
  EXPECT_EQ(Ask(For("Echo", {{"sb-traffic", "synthetic"}})).headers["grpc-status"], "8");
  EXPECT_TRUE(Eventually([&] { return Sum(proxy_.telemetry().Collect(), "signalbox_refusals_total", "rate") == 2; }));
  EXPECT_EQ(Sum(proxy_.telemetry().Collect(), "signalbox_refusals_total", "low"), 1);
  EXPECT_EQ(Sum(proxy_.telemetry().Collect(), "signalbox_refusals_total", "lowest"), 1);
  EXPECT_EQ(Sum(proxy_.telemetry().Collect(), "signalbox_refusals_total", "web"), 2);
  proxy_.telemetry().Flush();
  const std::string log = *ReadFile(folder().File("decisions.jsonl"), 1 << 20);
  EXPECT_THAT(log, HasSubstr(R"("refused_by":"rate","priority":"low","outcome":"RESOURCE_EXHAUSTED")"));
  EXPECT_THAT(log, HasSubstr(R"("refused_by":"rate","priority":"lowest")"));
}

}  // namespace
}  // namespace signalbox::proxy
