// What well-behaved clients and hosts see: gRPC C++ on both sides.
#include "proxy/proxy.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

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
using ::signalbox::testing::Reply;

class ProxyTest : public ::testing::Test {
 protected:
  ProxyTest() { proxy_.Route({host_.address()}, {host2_.address()}); }
  CallOptions For(const std::string& objective) { return {.headers = {{"sb-objective", objective}}}; }

  EchoHost host_{"one"};
  EchoHost host2_{"two"};
  TestProxy proxy_;
  EchoClient client_{proxy_.port()};
};

TEST_F(ProxyTest, CarriesAnyMethodByHeadersAlone) {
  const Reply reply = client_.Unary("/acme.Ranker/Rank", "payload", For("Echo"));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.message, "payload") << "an unknown schema is never written into";
  EXPECT_EQ(reply.header("host-name"), "one");
}

TEST_F(ProxyTest, TellsTheHostAboutTheDecision) {
  CallOptions options = For("Echo");
  options.headers.insert({{"sb-context", "country=US, device=tv"},
                          {"sb-tenant", "kids"},
                          {"sb-traffic", "replay"},
                          {"my-header", "kept"},
                          {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  const Reply reply = client_.Unary("/acme.Ranker/Rank", "x", options);
  EXPECT_EQ(reply.trailer("got-sb-objective"), "Echo");
  EXPECT_EQ(reply.trailer("got-sb-model"), "echo@1");
  EXPECT_EQ(reply.trailer("got-sb-routing-key").size(), 16);
  EXPECT_EQ(reply.trailer("got-sb-decision").size(), 16);
  EXPECT_EQ(reply.trailer("got-sb-context"), "country=US, device=tv");
  EXPECT_EQ(reply.trailer("got-sb-tenant"), "kids");
  EXPECT_EQ(reply.trailer("got-sb-traffic"), "replay");
  EXPECT_EQ(reply.trailer("got-my-header"), "kept");
  EXPECT_EQ(reply.trailer("got-traceparent"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(reply.trailer("got-sb-objective-config-bin")));
  EXPECT_EQ(config.objective(), "Echo");
  EXPECT_EQ(config.model_name(), "echo");
  EXPECT_EQ(config.parameters().at("depth"), "50");
}

TEST_F(ProxyTest, TellsTheClientAboutTheDecision) {
  const Reply reply = client_.Unary("/acme.Ranker/Rank", "x", For("Echo"));
  EXPECT_EQ(reply.header("sb-model"), "echo@1");
  EXPECT_EQ(reply.header("sb-reason"), "default");
  EXPECT_EQ(reply.header("sb-decision"), reply.trailer("got-sb-decision"));
  EXPECT_EQ(reply.header("sb-snapshot").size(), 16);
}

TEST_F(ProxyTest, StripsWhatClientsMayNotSet) {
  CallOptions options = For("Echo");
  options.headers.insert({{"sb-routing-key", "forged"},
                          {"sb-model", "forged"},
                          {"sb-decision", "forged"},
                          {"sb-override", "model=forged"},
                          {"sb-objective-config-bin", "forged"},
                          {"sb-anything", "forged"}});
  const Reply reply = client_.Unary("/acme.Ranker/Rank", "x", options);
  ASSERT_TRUE(reply.status.ok());
  for (const auto& [name, value] : reply.trailers) EXPECT_EQ(value.find("forged"), std::string::npos) << name;
}

TEST_F(ProxyTest, SplitsUsersOverTheCellsAndStaysWithThem) {
  std::set<std::string> hosts;
  for (int user = 0; user < 40; ++user) {
    CallOptions options = For("Echo");
    options.headers.emplace("sb-user", "user-" + std::to_string(user));
    const Reply first = client_.Unary("/acme.Ranker/Rank", "x", options);
    const Reply second = client_.Unary("/acme.Ranker/Rank", "x", options);
    EXPECT_EQ(first.header("host-name"), second.header("host-name"));
    EXPECT_EQ(first.header("sb-reason"), "experiment");
    EXPECT_EQ(first.header("sb-model"), first.header("host-name") == "one" ? "echo@1" : "echo@2");
    hosts.insert(first.header("host-name"));
  }
  EXPECT_EQ(hosts.size(), 2);
}

TEST_F(ProxyTest, EnrichesOpenInferenceWithTheObjectiveInModelName) {
  inference::ModelInferRequest request;
  request.set_model_name("Echo");
  request.set_id("42");
  request.add_raw_input_contents(std::string(100'000, 'x'));
  const Reply reply = client_.Unary("/inference.GRPCInferenceService/ModelInfer", request.SerializeAsString());
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  inference::ModelInferRequest received;
  ASSERT_TRUE(received.ParseFromString(reply.message));
  EXPECT_EQ(received.model_name(), "echo");
  EXPECT_EQ(received.model_version(), "1");
  EXPECT_EQ(received.id(), "42");
  EXPECT_EQ(received.raw_input_contents(0).size(), 100'000);
  EXPECT_EQ(received.parameters().at("sb_objective").string_param(), "Echo");
  EXPECT_EQ(received.parameters().at("depth").string_param(), "50");
}

TEST_F(ProxyTest, LetsTheHeaderNameTheObjectiveInstead) {
  inference::ModelInferRequest request;
  request.set_model_name("whatever the client calls it");
  const Reply reply =
      client_.Unary("/inference.GRPCInferenceService/ModelInfer", request.SerializeAsString(), For("Echo"));
  inference::ModelInferRequest received;
  ASSERT_TRUE(received.ParseFromString(reply.message));
  EXPECT_EQ(received.model_name(), "echo");
}

TEST_F(ProxyTest, EnrichesTheTypedEntryPoint) {
  v1::ServeRequest request;
  request.set_objective("Echo");
  request.set_input("films");
  request.mutable_objective_config()->set_cell("forged");
  const Reply reply = client_.Unary("/signalbox.v1.ModelServing/Serve", request.SerializeAsString());
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  v1::ServeRequest received;
  ASSERT_TRUE(received.ParseFromString(reply.message));
  EXPECT_EQ(received.input(), "films");
  EXPECT_EQ(received.objective_config().model_name(), "echo");
  EXPECT_EQ(received.objective_config().cell(), "");
}

TEST_F(ProxyTest, EnrichesEveryMessageOfAStream) {
  auto stream = client_.Open("/inference.GRPCInferenceService/ModelStreamInfer");
  // The echo host answers a stream that does not end in "Stream" at its end.
  inference::ModelInferRequest request;
  request.set_model_name("Echo");
  for (int i = 0; i < 20; ++i) {
    request.set_id(std::to_string(i));
    ASSERT_TRUE(stream->Write(request.SerializeAsString()));
  }
  ASSERT_TRUE(stream->WritesDone());
  for (int i = 0; i < 20; ++i) {
    std::string message;
    ASSERT_TRUE(stream->Read(message));
    inference::ModelInferRequest received;
    ASSERT_TRUE(received.ParseFromString(message));
    EXPECT_EQ(received.id(), std::to_string(i));
    EXPECT_EQ(received.model_name(), "echo");
  }
  EXPECT_TRUE(stream->Finish().status.ok());
}

TEST_F(ProxyTest, AsksTheModelBehindAnObjectiveWhetherItIsReady) {
  inference::ModelReadyRequest request;
  request.set_name("Echo");
  request.set_version("9");
  const Reply reply = client_.Unary("/inference.GRPCInferenceService/ModelReady", request.SerializeAsString());
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  inference::ModelReadyRequest received;
  ASSERT_TRUE(received.ParseFromString(reply.message));
  EXPECT_EQ(received.name(), "echo");
  EXPECT_EQ(received.version(), "1");
}

TEST_F(ProxyTest, AnswersForItselfWhetherItLivesAndIsReady) {
  inference::ServerLiveResponse live;
  ASSERT_TRUE(live.ParseFromString(client_.Unary("/inference.GRPCInferenceService/ServerLive", "").message));
  EXPECT_TRUE(live.live());
  inference::ServerReadyResponse ready;
  ASSERT_TRUE(ready.ParseFromString(client_.Unary("/inference.GRPCInferenceService/ServerReady", "").message));
  EXPECT_TRUE(ready.ready());
  inference::ServerMetadataResponse metadata;
  ASSERT_TRUE(metadata.ParseFromString(client_.Unary("/inference.GRPCInferenceService/ServerMetadata", "").message));
  EXPECT_EQ(metadata.name(), "signalbox");
  const Reply refused = client_.Unary("/inference.GRPCInferenceService/RepositoryModelUnload", "");
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);

  TestProxy empty;
  EchoClient client(empty.port());
  ASSERT_TRUE(ready.ParseFromString(client.Unary("/inference.GRPCInferenceService/ServerReady", "").message));
  EXPECT_FALSE(ready.ready()) << "without a snapshot";
}

TEST_F(ProxyTest, StreamsInBothDirectionsAtOnce) {
  auto stream = client_.Open("/acme.Ranker/EchoStream", For("Echo"));
  for (int i = 0; i < 50; ++i) {
    const std::string message = std::to_string(i) + std::string(static_cast<size_t>(i) * 1000, 'm');
    ASSERT_TRUE(stream->Write(message));
    std::string received;
    ASSERT_TRUE(stream->Read(received));
    ASSERT_EQ(received, message);
  }
  ASSERT_TRUE(stream->WritesDone());
  std::string rest;
  EXPECT_FALSE(stream->Read(rest));
  const Reply reply = stream->Finish();
  EXPECT_TRUE(reply.status.ok());
  EXPECT_EQ(reply.trailer("got-sb-objective"), "Echo");
}

TEST_F(ProxyTest, CarriesLargeMessages) {
  std::string message(30 << 20, '\0');
  for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<char>(i * 2654435761 >> 13);
  const Reply reply = client_.Unary("/acme.Ranker/Rank", message, For("Echo"));
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_TRUE(reply.message == message);
}

TEST_F(ProxyTest, CarriesAHostsStatusAndDetails) {
  const Reply reply = client_.Unary("/acme.Ranker/Fail", "x", For("Echo"));
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(reply.status.error_message(), "no such film: 100%");
}

TEST_F(ProxyTest, EndsACallAtItsDeadlineAtBothSides) {
  CallOptions options = For("Echo");
  options.timeout = std::chrono::milliseconds(100);
  const Reply reply = client_.Unary("/acme.Ranker/Hang", "x", options);
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  while (host_.cancelled() == 0) std::this_thread::yield();
  while (proxy_->requests_open() > 0) std::this_thread::yield();
}

TEST_F(ProxyTest, EndsACallAtItsDeadlineWithoutTheClientsHelp) {
  testing::RawHttp2 client(proxy_.port());
  const int32_t stream =
      client.Open(testing::GrpcHeaders("/acme.Ranker/Hang", {{"sb-objective", "Echo"}, {"grpc-timeout", "50m"}}));
  ASSERT_TRUE(client.RunUntilClosed(stream));
  EXPECT_EQ(client.stream(stream).headers["grpc-status"], "4");
}

TEST_F(ProxyTest, PassesOnWhatIsLeftOfTheDeadline) {
  CallOptions options = For("Echo");
  options.timeout = std::chrono::milliseconds(15'000);
  const Reply reply = client_.Unary("/acme.Ranker/Rank", "x", options);
  EXPECT_GT(std::stoi(reply.trailer("deadline-ms")), 5'000);
  EXPECT_LE(std::stoi(reply.trailer("deadline-ms")), 15'500) << "gRPC rounds up";
}

TEST_F(ProxyTest, CancelsAtTheHostWhatTheClientCancels) {
  auto stream = client_.Open("/acme.Ranker/Hang", For("Echo"));
  while (host_.calls() == 0) std::this_thread::yield();
  stream->Cancel();
  EXPECT_EQ(stream->Finish().status.error_code(), grpc::StatusCode::CANCELLED);
  while (host_.cancelled() == 0) std::this_thread::yield();
  while (proxy_->requests_open() > 0) std::this_thread::yield();
}

TEST_F(ProxyTest, CancelsAtTheHostWhenTheClientVanishes) {
  {
    testing::RawHttp2 client(proxy_.port());
    client.Open(testing::GrpcHeaders("/acme.Ranker/Hang", {{"sb-objective", "Echo"}}));
    ASSERT_TRUE(client.RunUntil([&] { return host_.calls() == 1; }));
  }
  while (host_.cancelled() == 0) std::this_thread::yield();
  while (proxy_->requests_open() > 0) std::this_thread::yield();
}

TEST_F(ProxyTest, KeepsManyClientsApart) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      EchoClient client(proxy_.port());
      for (int i = 0; i < 200; ++i) {
        const std::string message =
            std::to_string(t) + "/" + std::to_string(i) + std::string(static_cast<size_t>(i) * 37, 'x');
        CallOptions options = For("Echo");
        options.headers.emplace("sb-user", message.substr(0, 8));
        const Reply reply = client.Unary("/acme.Ranker/Rank", message, options);
        wrong += !reply.status.ok() || reply.message != message;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(ProxyTest, TakesANewSnapshotUnderTrafficWithoutLosingARequest) {
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      EchoClient client(proxy_.port());
      while (!stop) {
        failed += !client.Unary("/acme.Ranker/Rank", "x", For("Echo")).status.ok();
        ++done;
      }
    });
  }
  for (int version = 2; version < 60; ++version) {
    const std::string& address = version % 2 == 0 ? host2_.address() : host_.address();
    proxy_.Route({address}, {address}, {}, version);
    const Reply reply = client_.Unary("/acme.Ranker/Rank", "x", For("Echo"));
    EXPECT_EQ(reply.header("host-name"), version % 2 == 0 ? "two" : "one") << "in effect when SetSnapshot returns";
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0) << "of " << done;
  EXPECT_GT(done, 50);
}

TEST_F(ProxyTest, FinishesRequestsWithTheSnapshotTheyBeganWith) {
  auto stream = client_.Open("/acme.Ranker/EchoStream", For("Echo"));
  std::string message;
  ASSERT_TRUE(stream->Write("before") && stream->Read(message));
  proxy_.Route({host2_.address()}, {}, {}, 2);
  EXPECT_EQ(client_.Unary("/acme.Ranker/Rank", "x", For("Echo")).header("host-name"), "two");
  ASSERT_TRUE(stream->Write("after") && stream->Read(message));
  EXPECT_EQ(message, "after");
  ASSERT_TRUE(stream->WritesDone());
  EXPECT_FALSE(stream->Read(message));
  EXPECT_EQ(stream->Finish().header("host-name"), "one");
}

// The end of the last request that uses it takes the snapshot's routes with it, and they count at hosts.
TEST_F(ProxyTest, StopsWhileARequestStillHasASnapshotThatWasReplaced) {
  auto stream = client_.Open("/acme.Ranker/EchoStream", For("Echo"));
  std::string message;
  ASSERT_TRUE(stream->Write("before") && stream->Read(message));
  proxy_.Route({host2_.address()}, {}, {}, 2);
  proxy_.Stop();
  EXPECT_EQ(stream->Finish().status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ProxyTest, DrainsWhatIsInFlightAndRefusesWhatIsNew) {
  auto stream = client_.Open("/acme.Ranker/EchoStream", For("Echo"));
  std::string message;
  ASSERT_TRUE(stream->Write("before") && stream->Read(message));
  std::atomic<bool> drained{false};
  std::thread drain([&] { drained = proxy_->Drain(std::chrono::seconds(20)); });
  // The listener is closed first of all.
  while (true) {
    EchoClient late(proxy_.port());
    CallOptions options = For("Echo");
    options.timeout = std::chrono::milliseconds(500);
    if (!late.Unary("/acme.Ranker/Rank", "x", options).status.ok()) break;
  }
  ASSERT_TRUE(stream->Write("during") && stream->Read(message));
  EXPECT_EQ(message, "during");
  EXPECT_FALSE(drained);
  ASSERT_TRUE(stream->WritesDone());
  EXPECT_FALSE(stream->Read(message));
  EXPECT_TRUE(stream->Finish().status.ok());
  drain.join();
  EXPECT_TRUE(drained);
}

TEST_F(ProxyTest, RecordsWhatHappened) {
  client_.Unary("/acme.Ranker/Rank", "x", For("Echo"));
  client_.Unary("/acme.Ranker/Fail", "x", For("Echo"));
  client_.Unary("/acme.Ranker/Rank", "x", For("NoSuchThing"));
  while (proxy_->requests_open() > 0) std::this_thread::yield();
  double ok = 0;
  double invalid = 0;
  double unknown = 0;
  for (const auto& family : proxy_.telemetry().Collect()) {
    if (family.name != "signalbox_requests_total") continue;
    for (const auto& metric : family.metric) {
      auto label = [&](const std::string& name) {
        for (const auto& pair : metric.label) {
          if (pair.name == name) return pair.value;
        }
        return std::string();
      };
      if (label("objective") == "Echo" && label("code") == "OK" && label("model") == "echo@1")
        ok += metric.counter.value;
      if (label("objective") == "Echo" && label("code") == "INVALID_ARGUMENT") invalid += metric.counter.value;
      if (label("objective") == "unknown" && label("code") == "NOT_FOUND") unknown += metric.counter.value;
    }
  }
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(invalid, 1);
  EXPECT_EQ(unknown, 1);
}

TEST(ProxyStart, SaysWhatIsWrongWithItsOptions) {
  auto telemetry = *telemetry::Telemetry::Create({});
  EXPECT_TRUE(absl::IsInvalidArgument(Proxy::Start({.listen = "nonsense", .workers = 1}, *telemetry).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Proxy::Start({.listen = "127.0.0.1:0", .workers = 1000}, *telemetry).status()));
  auto first = Proxy::Start({.listen = "127.0.0.1:0", .workers = 2}, *telemetry);
  ASSERT_TRUE(first.ok());
  const absl::Status second =
      Proxy::Start({.listen = "127.0.0.1:" + std::to_string((*first)->port()), .workers = 1}, *telemetry).status();
  EXPECT_TRUE(absl::IsUnavailable(second)) << "two proxies must not share a port without knowing: " << second;
}

}  // namespace
}  // namespace signalbox::proxy
