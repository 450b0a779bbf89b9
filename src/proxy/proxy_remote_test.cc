// Requests that an experimentation platform has a say in: whatever it does, they are answered, and nobody else waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "allocate/allocator.h"
#include "allocate/test_platform.h"
#include "allocate/test_worker.h"
#include "base/test_folder.h"
#include "proxy/test_logged_context.h"
#include "proxy/test_proxy.h"
#include "tests/support/echo_host.h"
#include "tests/support/raw_http2.h"

namespace signalbox::proxy {
namespace {

using allocate::Gate;
using allocate::GrpcPlatform;
using ::signalbox::testing::CallOptions;
using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::GrpcFrame;
using ::signalbox::testing::GrpcHeaders;
using ::signalbox::testing::RawHttp2;
using ::signalbox::testing::Reply;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// Users whose name begins with "b" are in cell b, those with "x" in one that does not exist, all others in a.
grpc::Status ByName(const v1::AllocateRequest& request, v1::AllocateResponse& response) {
  response.set_cell(request.unit().starts_with("b") ? "b" : request.unit().starts_with("x") ? "no-such-cell" : "a");
  return grpc::Status::OK;
}

class ProxyRemote : public ::testing::Test {
 protected:
  // Asks `platform` as "p".
  void Start(const GrpcPlatform& platform, telemetry::Options telemetry = {}) {
    allocate::PlatformOptions options;
    options.name = "p";
    options.protocol = allocate::PlatformOptions::Protocol::kGrpc;
    options.address = "127.0.0.1:" + std::to_string(platform.port());
    allocator_ = allocate::Allocator::Start({options}, [](std::string_view) {});
    proxy_ = std::make_unique<TestProxy>(/*workers=*/1, std::move(telemetry), allocator_.get());
  }
  ~ProxyRemote() override {
    proxy_.reset();
    allocator_.reset();
  }

  // As TestProxy routes, without a fallback; the experiment asks the platform, and gives cell b to those whom the
  // platform leaves to it.
  std::vector<std::string> Route(uint32_t deadline_ms, int64_t version = 1, const std::string& platform = "p") {
    v1::Snapshot snapshot = TestProxy::SnapshotProto({host_.address()}, {host_.address()}, {}, version);
    v1::RuleSet& rules = *snapshot.mutable_rule_sets(0)->mutable_rule_set();
    rules.mutable_objectives(0)->clear_fallback_models();
    v1::RemoteAllocation& remote = *rules.mutable_experiments(0)->mutable_remote();
    remote.set_platform(platform);
    remote.set_flag("f");
    remote.set_ttl_ms(300'000);
    remote.set_deadline_ms(deadline_ms);
    remote.set_fallback(v1::RemoteAllocation::CELL);
    remote.set_fallback_cell("b");
    snapshot_ = decide::CompileOrDie(std::move(snapshot));
    return (*proxy_)->SetSnapshot(snapshot_);
  }

  static CallOptions From(const std::string& user, const std::string& objective = "Echo") {
    return {.headers = {{"sb-objective", objective}, {"sb-user", user}}};
  }
  Reply Ask(const std::string& user, const std::string& objective = "Echo") {
    EchoClient client(proxy_->port());
    return client.Unary("/a/b", "hello", From(user, objective));
  }
  double Questions(allocate::Outcome outcome) {
    return allocate::MetricOf(*allocator_, "signalbox_allocation_questions_total", {"p", std::string(Name(outcome))});
  }
  double RequestsOf(const std::string& objective) {
    double sum = 0;
    for (const auto& family : proxy_->telemetry().Collect()) {
      if (family.name != "signalbox_requests_total") continue;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.name == "objective" && label.value == objective) sum += metric.counter.value;
        }
      }
    }
    return sum;
  }
  static bool Eventually(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::yield();
    }
    return true;
  }

  EchoHost host_;
  std::unique_ptr<allocate::Allocator> allocator_;
  std::unique_ptr<TestProxy> proxy_;
  std::shared_ptr<const decide::Snapshot> snapshot_;
};

// Longer than any test: what ends earlier has not waited for it.
constexpr uint32_t kLongMs = 10'000;

GrpcPlatform::Handler Answering() {
  return [](grpc::ServerContext&, const v1::AllocateRequest& request, v1::AllocateResponse& response) {
    return ByName(request, response);
  };
}

GrpcPlatform::Handler Behind(Gate& gate) {
  return [&gate](grpc::ServerContext&, const v1::AllocateRequest& request, v1::AllocateResponse& response) {
    gate.Pass();
    return ByName(request, response);
  };
}

// Opened before the platform is ended, which waits for those who stand at it.
struct OpenAtEnd {
  Gate& gate;
  ~OpenAtEnd() { gate.Open(); }
};

TEST_F(ProxyRemote, TwoUsersGetThePlatformsCells) {
  GrpcPlatform platform(Answering());
  Start(platform);
  EXPECT_THAT(Route(kLongMs), IsEmpty());
  for (int round = 0; round < 3; ++round) {
    const Reply alice = Ask("alice");
    EXPECT_TRUE(alice.status.ok()) << alice.status.error_message();
    EXPECT_EQ(alice.header("sb-model"), "echo@1");
    EXPECT_EQ(alice.header("sb-experiments"), "77=a");
    const Reply bob = Ask("bob");
    EXPECT_EQ(bob.header("sb-model"), "echo@2");
    EXPECT_EQ(bob.header("sb-experiments"), "77=b");
    EXPECT_EQ(bob.header("sb-reason"), "experiment");
  }
  EXPECT_EQ(platform.asked(), 2);
  EXPECT_EQ(Questions(allocate::Outcome::kHit), 4);
}

TEST_F(ProxyRemote, ARequestThatNoRemoteExperimentConcernsAsksNobody) {
  GrpcPlatform platform(Answering());
  Start(platform);
  Route(kLongMs);
  EXPECT_EQ(Ask("alice", "Lonely").header("sb-model"), "echo@1");
  EXPECT_EQ(platform.asked(), 0);
}

TEST_F(ProxyRemote, WhoDoesNotAskIsAnsweredWhileAPlatformHangs) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  EchoClient client(proxy_->port());
  auto waiting = client.Open("/a/b", From("bob"));
  ASSERT_TRUE(waiting->Write("hello"));
  ASSERT_TRUE(waiting->WritesDone());
  ASSERT_TRUE(Eventually([&] { return gate.waiting() == 1; }));
  // On the only worker there is, all of them after the one that waits, and before it.
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(client.Unary("/a/b", "hello", From("carol", "Lonely")).status.ok());
  }
  EXPECT_EQ(gate.waiting(), 1);
  EXPECT_EQ((*proxy_)->requests_open(), 1U);
  gate.Open();
  std::string message;
  ASSERT_TRUE(waiting->Read(message));
  const Reply reply = waiting->Finish();
  EXPECT_TRUE(reply.status.ok());
  EXPECT_EQ(reply.header("sb-model"), "echo@2");
}

TEST_F(ProxyRemote, AfterItsDeadlineTheDeclaredFallbackCounts) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(/*deadline_ms=*/20);
  const Reply reply = Ask("alice");
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.header("sb-model"), "echo@2");  // the fallback is cell b
  EXPECT_EQ(Questions(allocate::Outcome::kTimeout), 1);
}

TEST_F(ProxyRemote, ACellThatDoesNotExistIsNone) {
  GrpcPlatform platform(Answering());
  Start(platform);
  Route(kLongMs);
  for (int i = 0; i < 3; ++i) {
    const Reply reply = Ask("xavier");
    EXPECT_TRUE(reply.status.ok());
    EXPECT_EQ(reply.header("sb-experiments"), "77=b");
  }
  EXPECT_EQ(Questions(allocate::Outcome::kHit), 0) << "it is no cell that is known";
  EXPECT_EQ(allocate::MetricOf(*allocator_, "signalbox_allocation_unknown_cells_total", {"p"}), 1);
}

TEST_F(ProxyRemote, ARequestThatEndsBeforeItIsDecidedIsCountedForItsObjective) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  CallOptions options = From("alice");
  options.timeout = std::chrono::seconds(60);
  EchoClient client(proxy_->port());
  auto waiting = client.Open("/a/b", options);
  ASSERT_TRUE(waiting->Write("hello"));
  ASSERT_TRUE(Eventually([&] { return gate.waiting() == 1; }));
  waiting->Cancel();
  ASSERT_TRUE(Eventually([&] { return (*proxy_)->requests_open() == 0; }));
  EXPECT_TRUE(Eventually([&] { return RequestsOf("Echo") == 1; }));
}

TEST_F(ProxyRemote, EachDecisionCanBeMadeAgainFromItsLineInTheLogWithoutThePlatform) {
  // Users whose name begins with "f" are not known to the platform.
  GrpcPlatform platform([](grpc::ServerContext&, const v1::AllocateRequest& request, v1::AllocateResponse& response) {
    if (request.unit().starts_with("f")) return grpc::Status(grpc::StatusCode::INTERNAL, "no");
    return ByName(request, response);
  });
  const TestFolder folder;
  const std::string log_path = folder.File("decisions.jsonl");
  Start(platform, {.decision_log_path = log_path});
  Route(kLongMs);
  EchoClient client(proxy_->port());
  constexpr int kRounds = 3;  // the first asks the platform, the next know its answer
  for (int round = 0; round < kRounds; ++round) {
    for (const char* user : {"alice", "bob", "fay", "xavier"})
      ASSERT_TRUE(client.Unary("/a/b", "hello", From(user)).status.ok());
  }
  // A request is logged when its stream is closed; the next one on its connection is not logged before it.
  client.Unary("/a/b", "hello", {.headers = {{"sb-objective", "Nobody"}}});
  proxy_->telemetry().Flush();

  std::map<std::string, std::string> given;
  std::map<std::string, std::string> models;
  std::map<std::string, int> lines;
  for (const nlohmann::json& line : ReadLogLines(log_path)) {
    if (line["objective"] != "Echo") continue;
    SCOPED_TRACE(line.dump());
    const LoggedContext logged(line);
    const decide::Decision again = decide::Decide(*snapshot_, logged.context);
    ASSERT_NE(again.answer, nullptr);
    EXPECT_EQ(again.answer->model->id, line["model"]);
    ASSERT_EQ(again.enrolments.size(), 1u);
    EXPECT_EQ(again.enrolments[0].cell, line["cells"]["77"].get<std::string>());
    const std::string user = line["user"];
    ++lines[user];
    models[user] = line["model"];
    if (!logged.remote_cells.empty()) given[user] = logged.remote_cells[0].cell;
  }
  EXPECT_THAT(lines,
              ElementsAre(Pair("alice", kRounds), Pair("bob", kRounds), Pair("fay", kRounds), Pair("xavier", kRounds)));
  EXPECT_THAT(models, ElementsAre(Pair("alice", "echo@1"), Pair("bob", "echo@2"), Pair("fay", "echo@2"),
                                  Pair("xavier", "echo@2")));
  EXPECT_EQ(given["alice"], "a");
  EXPECT_EQ(given["bob"], "b");
  EXPECT_FALSE(given.contains("fay"));
}

TEST_F(ProxyRemote, APlatformThatDiesCostsNobodyAnAnswer) {
  auto platform = std::make_unique<GrpcPlatform>(Answering());
  Start(*platform);
  Route(/*deadline_ms=*/200);
  EXPECT_EQ(Ask("alice").header("sb-model"), "echo@1");
  platform.reset();
  for (int i = 0; i < 30; ++i) {
    const Reply known = Ask("alice");
    EXPECT_TRUE(known.status.ok());
    EXPECT_EQ(known.header("sb-model"), "echo@1");
    const Reply unknown = Ask("anna" + std::to_string(i));
    EXPECT_TRUE(unknown.status.ok());
    EXPECT_EQ(unknown.header("sb-model"), "echo@2");
  }
}

TEST_F(ProxyRemote, APlatformThatTheProxyDoesNotKnowIsToldOnceAndTheFallbackCounts) {
  GrpcPlatform platform(Answering());
  Start(platform);
  EXPECT_THAT(Route(kLongMs, 1, "growthbook"),
              ElementsAre(HasSubstr("experiment 77 of namespace test asks the platform \"growthbook\"")));
  EXPECT_EQ(Ask("alice").header("sb-model"), "echo@2");
  EXPECT_EQ(platform.asked(), 0);
}

TEST_F(ProxyRemote, ARequestIsDecidedByTheSnapshotThatItAskedFor) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs, 1);
  const std::string before = Ask("carol", "Lonely").header("sb-snapshot");
  EchoClient client(proxy_->port());
  auto waiting = client.Open("/a/b", From("bob"));
  ASSERT_TRUE(waiting->Write("hello"));
  ASSERT_TRUE(waiting->WritesDone());
  ASSERT_TRUE(Eventually([&] { return gate.waiting() == 1; }));
  Route(kLongMs - 1, 2);
  EXPECT_NE(Ask("carol", "Lonely").header("sb-snapshot"), before);
  gate.Open();
  std::string message;
  ASSERT_TRUE(waiting->Read(message));
  const Reply reply = waiting->Finish();
  EXPECT_EQ(reply.header("sb-snapshot"), before);
  EXPECT_EQ(reply.header("sb-model"), "echo@2");
}

TEST_F(ProxyRemote, ABodyWaitsUnderFlowControlAndPassesWhole) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  EchoClient client(proxy_->port());
  auto stream = client.Open("/a/Swallow", From("bob"));
  std::thread writer([&] {
    const std::string message(1 << 20, 'x');
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(stream->Write(message));
    EXPECT_TRUE(stream->WritesDone());
  });
  EXPECT_TRUE(Eventually([&] { return gate.waiting() == 1; }));
  EchoClient other(proxy_->port());
  for (int i = 0; i < 100; ++i) other.Unary("/a/b", "hello", From("carol", "Lonely"));
  EXPECT_LT((*proxy_)->memory_bytes(), 16U << 20);
  gate.Open();
  writer.join();
  std::string received;
  ASSERT_TRUE(stream->Read(received));
  EXPECT_EQ(received, std::to_string(64 << 20));
  const Reply reply = stream->Finish();
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
}

TEST_F(ProxyRemote, WhoeverGoesWhileWaitingLeavesNothingBehind) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  const auto headers = GrpcHeaders("/a/b", {{"sb-objective", "Echo"}, {"sb-user", "bob"}});
  {
    RawHttp2 client(proxy_->port());
    for (int i = 0; i < 20; ++i) client.Reset(client.Open(headers, GrpcFrame("hello")));
    // By reset, by a body that is wrong, and with the connection.
    const int32_t stays = client.Open(headers, GrpcFrame("hello"), /*end=*/false);
    ASSERT_TRUE(client.RunUntil([&] { return gate.waiting() == 1 && (*proxy_)->requests_open() == 1; }));
    client.Send(stays, GrpcFrame("more"), /*end=*/false);
    client.Flush();
  }
  ASSERT_TRUE(Eventually([&] { return (*proxy_)->requests_open() == 0; }));
  EXPECT_GE(Questions(allocate::Outcome::kAbandoned), 1);
  gate.Open();
  EXPECT_EQ(Ask("bob").header("sb-model"), "echo@2");
  EXPECT_EQ(platform.asked(), 1);
}

TEST_F(ProxyRemote, TheRequestsOwnDeadlineIsKeptAndHalfOfItIsTheModels) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  CallOptions options = From("alice");
  options.timeout = std::chrono::seconds(4);  // less than the platform may take
  EchoClient client(proxy_->port());
  const Reply reply = client.Unary("/a/b", "hello", options);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_EQ(reply.header("sb-model"), "echo@2");
}

TEST_F(ProxyRemote, TheProxyStopsWhileARequestWaits) {
  Gate gate;
  GrpcPlatform platform(Behind(gate));
  OpenAtEnd opener{gate};
  Start(platform);
  Route(kLongMs);
  EchoClient client(proxy_->port());
  auto waiting = client.Open("/a/b", From("bob"));
  ASSERT_TRUE(waiting->Write("hello"));
  ASSERT_TRUE(Eventually([&] { return gate.waiting() == 1; }));
  proxy_.reset();
  allocator_.reset();
  EXPECT_FALSE(waiting->Finish().status.ok());
}

TEST_F(ProxyRemote, ManyUsersAndAPlatformThatAnswersEveryOtherOneAreAllAnswered) {
  std::atomic<int> asked{0};
  GrpcPlatform platform([&](grpc::ServerContext&, const v1::AllocateRequest& request, v1::AllocateResponse& response) {
    if (++asked % 2 == 0) return grpc::Status(grpc::StatusCode::INTERNAL, "no");
    return ByName(request, response);
  });
  Start(platform);
  Route(kLongMs);
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      EchoClient client(proxy_->port());
      for (int i = 0; i < 200; ++i) {
        const std::string user = "user-" + std::to_string(thread) + "-" + std::to_string(i);
        answered += client.Unary("/a/b", "hello", From(user)).status.ok() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 800);
}

}  // namespace
}  // namespace signalbox::proxy
