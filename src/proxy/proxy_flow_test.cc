// Memory stays bounded however much passes and however slow either side is, and in steady state none is asked for.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/allocation_count.h"
#include "inference/open_inference.pb.h"
#include "prometheus/metric_family.h"
#include "proxy/test_proxy.h"
#include "signalbox/v1/serving.pb.h"
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

CallOptions ForEcho() { return {.headers = {{"sb-objective", "Echo"}}, .timeout = std::chrono::seconds(100)}; }

TEST(ProxyFlow, AGibibyteUpPassesThroughLittleMemory) {
  EchoHost host;
  TestProxy proxy;
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  auto stream = client.Open("/a/Swallow", ForEcho());
  const std::string message(1 << 20, 'u');
  for (int i = 0; i < 1024; ++i) ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(stream->WritesDone());
  std::string received;
  ASSERT_TRUE(stream->Read(received));
  EXPECT_EQ(received, std::to_string(1LL << 30));
  EXPECT_FALSE(stream->Read(received));
  EXPECT_TRUE(stream->Finish().status.ok());
  EXPECT_LT(proxy->memory_bytes(), 24U << 20);
}

TEST(ProxyFlow, AGibibyteDownPassesThroughLittleMemory) {
  EchoHost host;
  TestProxy proxy;
  proxy.Route({host.address()});
  EchoClient client(proxy.port());
  auto stream = client.Open("/a/Download", ForEcho());
  ASSERT_TRUE(stream->Write("1024 1048576"));
  ASSERT_TRUE(stream->WritesDone());
  size_t bytes = 0;
  for (std::string message; stream->Read(message);) bytes += message.size();
  EXPECT_EQ(bytes, size_t{1} << 30);
  EXPECT_TRUE(stream->Finish().status.ok());
  EXPECT_LT(proxy->memory_bytes(), 24U << 20);
}

TEST(ProxyFlow, AClientThatStopsReadingHoldsLittleAndDisturbsNobody) {
  EchoHost host;
  TestProxy proxy;
  proxy.Route({host.address()});
  RawHttp2 stuck(proxy.port(), RawHttp2::Windows::kNeverGrow);
  std::vector<int32_t> streams;
  for (int i = 0; i < 20; ++i) {
    streams.push_back(
        stuck.Open(GrpcHeaders("/a/Download", {{"sb-objective", "Echo"}}), GrpcFrame("1000 1048576")));  // 1 GB each
  }
  ASSERT_TRUE(stuck.RunUntil([&] { return host.calls() == 20; }));
  EchoClient other(proxy.port());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(other.Unary("/a/b", std::string(20'000, 'x'), ForEcho()).status.ok());
  EXPECT_LT(proxy->memory_bytes(), 64U << 20);
}

TEST(ProxyFlow, AHostThatStopsReadingHoldsLittleAndDisturbsNobody) {
  RawListener stuck([](int socket) {
    pollfd until_it_ends{socket, POLLRDHUP, 0};
    poll(&until_it_ends, 1, /*timeout=*/-1);
  });
  EchoHost host;
  TestProxy proxy;
  proxy.Route({stuck.address()}, {}, {}, 1);
  RawHttp2 client(proxy.port());
  for (int i = 0; i < 20; ++i) {
    client.Open(GrpcHeaders("/a/b", {{"sb-objective", "Echo"}}), GrpcFrame(std::string(4 << 20, 'x')));
  }
  // As much as the windows let it.
  ASSERT_TRUE(client.RunUntil([&] { return proxy->requests_open() == 20; }));
  proxy.Route({host.address()}, {}, {}, 2);
  EchoClient other(proxy.port());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(other.Unary("/a/b", std::string(20'000, 'x'), ForEcho()).status.ok());
  EXPECT_LT(proxy->memory_bytes(), 64U << 20);
}

TEST(ProxyFlow, AFailureBehindAFullSocketEndsTheStreamAndNothingElse) {
  EchoHost host;
  TestProxy proxy;
  proxy.Route({host.address()});
  // Windows of a megabyte a stream and sixteen in all, and a client that does not read: frames wait half sent when the
  // deadline comes.
  RawHttp2 stuck(proxy.port());
  std::vector<int32_t> streams;
  for (int i = 0; i < 32; ++i) {
    streams.push_back(stuck.Open(GrpcHeaders("/a/Download", {{"sb-objective", "Echo"}, {"grpc-timeout", "300m"}}),
                                 GrpcFrame("1000 1048576")));
  }
  stuck.Flush();
  EchoClient other(proxy.port());
  while (host.calls() < 32) ASSERT_TRUE(other.Unary("/inference.GRPCInferenceService/ServerLive", "").status.ok());
  while (host.cancelled() < 32) ASSERT_TRUE(other.Unary("/inference.GRPCInferenceService/ServerLive", "").status.ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(other.Unary("/a/b", "x", ForEcho()).status.ok());
  // Now it reads: every stream has its end.
  ASSERT_TRUE(stuck.RunUntil([&] {
    for (int32_t stream : streams) {
      if (!stuck.stream(stream).closed) return false;
    }
    return true;
  }));
  for (int32_t stream : streams) EXPECT_EQ(stuck.stream(stream).headers["grpc-status"], "4");
}

// Counts what the worker's thread has asked operator new for, at each request that it records.
class AllocationsAtRecord : public telemetry::Telemetry, public telemetry::WorkerTelemetry {
 public:
  telemetry::WorkerTelemetry& AddWorker() override { return *this; }
  void Flush() override {}
  absl::Status ReopenDecisionLog() override { return absl::OkStatus(); }
  std::vector<prometheus::MetricFamily> Collect() const override { return {}; }
  void Record(const telemetry::RequestRecord&) override { allocations_ = AllocationCountOfThisThread(); }

  uint64_t allocations() const { return allocations_; }

 private:
  std::atomic<uint64_t> allocations_{0};
};

// Requests for the Objective `Echo`, again and again, must not take memory from the system.
void ExpectSteadyWithoutMemory(std::shared_ptr<const decide::Snapshot> snapshot, const std::string& path,
                               const std::function<std::string(int)>& message,
                               const std::vector<std::pair<std::string, std::string>>& headers,
                               const std::string& experiments = "") {
  SCOPED_TRACE(path);
  AllocationsAtRecord telemetry;
  auto proxy = *Proxy::Start({.listen = "127.0.0.1:0", .workers = 1}, telemetry);
  proxy->SetSnapshot(std::move(snapshot));
  RawHttp2 client(proxy->port());
  auto round = [&] {
    std::vector<int32_t> streams;
    for (int i = 0; i < 16; ++i) {
      std::vector<std::pair<std::string, std::string>> all = headers;
      all.emplace_back("sb-objective", "Echo");
      all.emplace_back("sb-user", "u" + std::to_string(i));
      all.emplace_back("authorization", std::string(3'000, 't'));
      streams.push_back(client.Open(GrpcHeaders(path, all), GrpcFrame(message(i))));
    }
    ASSERT_TRUE(client.RunUntil([&] {
      for (int32_t stream : streams) {
        if (!client.stream(stream).closed) return false;
      }
      return true;
    }));
    for (int32_t stream : streams) {
      auto& answered = client.stream(stream).headers;
      ASSERT_EQ(answered["grpc-status"], "0");
      ASSERT_EQ(experiments.empty() ? "" : answered["sb-experiments"], experiments);
    }
  };
  for (int i = 0; i < 30; ++i) round();
  const uint64_t pooled_before = proxy->system_allocations();
  const uint64_t before = telemetry.allocations();
  for (int i = 0; i < 100; ++i) round();
  // 1,600 requests.
  EXPECT_EQ(telemetry.allocations(), before) << "operator new on the worker's thread";
  // Not quite none: how many frames are under way at a time depends on the peers.
  EXPECT_LT(proxy->system_allocations() - pooled_before, 16U);
}

std::string SomeBytes(int i) { return std::string(i % 2 == 0 ? 1'000 : 60'000, 'x'); }

TEST(ProxyFlow, SteadyTrafficAsksTheSystemForNoMemory) {
  EchoHost host;
  ExpectSteadyWithoutMemory(TestProxy::Snapshot({host.address()}, {host.address()}), "/a/b", SomeBytes,
                            {{"sb-context", "country=US"}});
}

// What is kept for a further try, and watched by timers, is memory that is used again.
TEST(ProxyFlow, SteadyTrafficThatMayBeTriedAgainAsksTheSystemForNoMemory) {
  EchoHost host;
  EchoHost other;
  v1::Snapshot snapshot =
      TestProxy::Snapshot({host.address(), other.address()}, {host.address(), other.address()})->proto();
  snapshot.clear_hash();
  snapshot.mutable_rule_sets(0)->clear_content_hash();
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(
      R"pb(
        policies {
          name: "again"
          deadlines { total_ms: 60000 per_try_ms: 30000 }
          retries { idempotent: true }
          hedging { percentile_ppm: 999000 min_delay_ms: 30000 }
        }
      )pb",
      snapshot.mutable_rule_sets(0)->mutable_rule_set()));
  snapshot.mutable_rule_sets(0)->mutable_rule_set()->mutable_objectives(0)->set_policy("again");
  ExpectSteadyWithoutMemory(decide::CompileOrDie(std::move(snapshot)), "/a/b", SomeBytes, {});
}

TEST(ProxyFlow, SteadyTrafficAsksTheSystemForNoMemoryWhateverRulesSay) {
  EchoHost host;
  v1::Snapshot snapshot = TestProxy::Snapshot({host.address()}, {host.address()})->proto();
  snapshot.clear_hash();
  snapshot.mutable_rule_sets(0)->clear_content_hash();
  ASSERT_TRUE(google::protobuf::TextFormat::MergeFromString(
      R"pb(
        context_rules {
          id: "kids"
          objectives: "Echo"
          condition {
            field {
              field: "segments"
              in { texts: "kids" }
            }
          }
          parameters { key: "long" value: "a value that is longer than what a string holds in itself" }
        }
        layers { id: "page" }
        experiments {
          id: "78"
          objectives: "Echo"
          layer: "page"
          layer_end_ppm: 1000000
          allocation_ppm: 1000000
          cells {
            name: "the-one-cell-that-there-is"
            weight_ppm: 1000000
            parameters { key: "rows" value: "7" }
          }
        }
        overrides { id: "testers" objectives: "Echo" tenants: "qa" }
      )pb",
      snapshot.mutable_rule_sets(0)->mutable_rule_set()));
  const std::shared_ptr<const decide::Snapshot> compiled = decide::CompileOrDie(std::move(snapshot));
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"sb-context", "segments=(\"kids\" \"premium\"), app-version=\"4.2.1\", plan=basic"},
      {"sb-tenant", "qa"},
      {"sb-override", "cells=\"77=b\""}};
  constexpr char kExperiments[] = "77=b;78=the-one-cell-that-there-is";
  ExpectSteadyWithoutMemory(compiled, "/a/b", SomeBytes, headers, kExperiments);
  ExpectSteadyWithoutMemory(
      compiled, "/signalbox.v1.ModelServing/Serve",
      [](int i) {
        v1::ServeRequest request;
        request.set_input(SomeBytes(i));
        return request.SerializeAsString();
      },
      headers, kExperiments);
  ExpectSteadyWithoutMemory(
      compiled, "/inference.GRPCInferenceService/ModelInfer",
      [](int i) {
        inference::ModelInferRequest request;
        request.add_raw_input_contents(SomeBytes(i));
        return request.SerializeAsString();
      },
      headers, kExperiments);
}

}  // namespace
}  // namespace signalbox::proxy
