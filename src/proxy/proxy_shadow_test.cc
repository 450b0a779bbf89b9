// Copies of requests to shadows: what hosts get, what is made of their answers, and that live requests never notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/test_folder.h"
#include "decide/test_snapshot.h"
#include "inference/open_inference.pb.h"
#include "proxy/proxy.h"
#include "proxy/test_dying_host.h"
#include "proxy/test_scripted_host.h"
#include "telemetry/shadow_records.h"
#include "telemetry/telemetry.h"
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
using telemetry::ShadowOutcome;
using ::testing::HasSubstr;
using Answer = ScriptedHost::Answer;

constexpr char kInfer[] = "/inference.GRPCInferenceService/ModelInfer";
constexpr char kExact[] = "comparison { exact {} }";

std::string Scores(float first) {
  inference::ModelInferResponse response;
  auto& output = *response.add_outputs();
  output.set_name("scores");
  output.set_datatype("FP32");
  output.add_shape(2);
  output.mutable_contents()->add_fp32_contents(first);
  output.mutable_contents()->add_fp32_contents(2);
  return response.SerializeAsString();
}

std::string Request(const std::string& padding = "p") {
  inference::ModelInferRequest request;
  request.set_model_name("Home");
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("BYTES");
  input.add_shape(1);
  input.mutable_contents()->add_bytes_contents(padding);
  return request.SerializeAsString();
}

ScriptedHost::Answer AnswerOne(int) { return {.message = Scores(1)}; }
ScriptedHost::Answer Never(int) { return {.message = "", .never = true}; }

class ProxyShadow : public ::testing::Test {
 protected:
  ProxyShadow() { Start({}); }
  ~ProxyShadow() override { proxy_.reset(); }

  void Start(const ShadowLimits& limits) {
    proxy_.reset();
    records_ = *telemetry::ShadowRecords::Create({.log_path = folder_.File("shadows.jsonl")});
    telemetry_ = *telemetry::Telemetry::Create({});
    proxy_ = *Proxy::Start(
        {.listen = "127.0.0.1:0", .workers = 1, .shadow_limits = limits, .shadow_records = records_.get()},
        *telemetry_);
    client_ = std::make_unique<EchoClient>(proxy_->port());
  }

  // The Objective `Home`: model `one@1` on a host, all of its requests copied to `two@7` on another.
  void Route(const std::string& live, const std::string& shadow, const std::string& comparison = kExact) {
    v1::Snapshot snapshot = decide::ParseSnapshot(
        "rule_sets { rule_set { namespace: 'test' "
        "objectives { name: 'Home' default_model { name: 'one' version: '1' } } "
        "shadows { id: 's' objectives: 'Home' model { name: 'two' version: '7' } share_ppm: 1000000 " +
        comparison + " } } }");
    for (const auto& [model, host] : {std::pair("one@1", live), std::pair("two@7", shadow)}) {
      (*snapshot.mutable_placement()->mutable_shards())[std::string("s-") + model].add_hosts(host);
      (*snapshot.mutable_placement()->mutable_models())[model].add_shards(std::string("s-") + model);
    }
    proxy_->SetSnapshot(decide::CompileOrDie(std::move(snapshot)));
  }

  Reply Call(const std::string& message = Request(), const signalbox::testing::CallOptions& options = {}) {
    return client_->Unary(kInfer, message, options);
  }
  void ExpectLive(const Reply& reply) {
    EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.message, Scores(1));
    EXPECT_EQ(reply.header("sb-model"), "one@1");
  }

  uint64_t Count(ShadowOutcome outcome) { return records_->SeriesOf("Home", "s", "two@7").count(outcome); }
  // Until so many have become this. False after 20 s.
  bool Await(ShadowOutcome outcome, uint64_t count) {
    return Await([&] { return Count(outcome) >= count; });
  }
  static bool Await(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // Of all outcomes: that no copy was counted twice, or as something else.
  uint64_t CountOfAll() {
    uint64_t sum = 0;
    for (size_t i = 0; i < telemetry::kShadowOutcomeNames.size(); ++i) sum += Count(static_cast<ShadowOutcome>(i));
    return sum;
  }
  void ExpectNothingIsHeld() {
    EXPECT_TRUE(Await([&] { return records_->copies_open == 0 && records_->held_bytes == 0; }))
        << records_->copies_open << " copies, " << records_->held_bytes << " bytes";
  }
  nlohmann::json Examples() { return nlohmann::json::parse(records_->ExamplesJson())["shadows"][0]["examples"]; }

  TestFolder folder_;
  std::unique_ptr<telemetry::ShadowRecords> records_;
  std::unique_ptr<telemetry::Telemetry> telemetry_;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<EchoClient> client_;
};

TEST_F(ProxyShadow, SendsTheRequestToTheShadowsModelAndSaysWhatItIs) {
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow(AnswerOne);
  Route(live.address(), shadow.address());
  const Reply reply = Call(Request(), {.headers = {{"sb-user", "u1"}, {"sb-tenant", "t1"}, {"my-own", "1"}}});
  ExpectLive(reply);
  ASSERT_TRUE(Await(ShadowOutcome::kAgree, 1));

  auto of_shadow = shadow.headers().at(0);
  auto of_live = live.headers().at(0);
  auto find = [](const auto& headers, const std::string& name) {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string("(none)") : found->second;
  };
  EXPECT_EQ(find(of_shadow, "sb-traffic"), "shadow");
  EXPECT_EQ(of_shadow.count("sb-traffic"), 1u);
  EXPECT_EQ(find(of_live, "sb-traffic"), "live");
  EXPECT_EQ(find(of_shadow, "sb-model"), "two@7");
  EXPECT_EQ(find(of_live, "sb-model"), "one@1");
  EXPECT_NE(find(of_shadow, "sb-routing-key"), find(of_live, "sb-routing-key"));
  EXPECT_EQ(find(of_shadow, "sb-decision"), reply.header("sb-decision"));
  for (const std::string same : {"sb-decision", "sb-objective", "sb-user", "sb-tenant", "my-own"}) {
    EXPECT_EQ(find(of_shadow, same), find(of_live, same)) << same;
  }
  inference::ModelInferRequest got;
  ASSERT_TRUE(got.ParseFromString(shadow.received().at(0)));
  EXPECT_EQ(got.model_name(), "two");
  EXPECT_EQ(got.model_version(), "7");
  EXPECT_EQ(got.inputs(0).contents().bytes_contents(0), "p");
  ASSERT_TRUE(got.ParseFromString(live.received().at(0)));
  EXPECT_EQ(got.model_name(), "one");
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, CountsAgreementsExactlyAndShowsDisagreements) {
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow([](int call) { return Answer{.message = Scores(call % 4 == 0 ? 1.5F : 1)}; });
  Route(live.address(), shadow.address());
  std::string first_decision;
  for (int i = 0; i < 20; ++i) {
    const Reply reply = Call();
    ExpectLive(reply);
    if (i == 0) first_decision = reply.header("sb-decision");
    // One after the other, so that it is known which of them the shadow saw first.
    ASSERT_TRUE(Await([&] { return CountOfAll() == static_cast<uint64_t>(i) + 1; }));
  }
  EXPECT_EQ(Count(ShadowOutcome::kAgree), 15u);
  EXPECT_EQ(Count(ShadowOutcome::kDisagree), 5u);
  const nlohmann::json examples = Examples();
  ASSERT_EQ(examples.size(), 5u);
  const nlohmann::json& first = examples[4];
  EXPECT_EQ(first["decision"], first_decision);
  EXPECT_EQ(first["live_model"], "one@1");
  EXPECT_EQ(first["shadow_model"], "two@7");
  EXPECT_EQ(first["reason"], "output scores, element 0: 1 of the live answer, 1.5 of the shadow's");
  EXPECT_EQ(first["live_answer"], "scores FP32 [2]: 1 2");
  EXPECT_EQ(first["shadow_answer"], "scores FP32 [2]: 1.5 2");
  EXPECT_THAT(*ReadFile(folder_.File("shadows.jsonl"), 1 << 20), HasSubstr("\"decision\":\"" + first_decision + "\""));
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, NeverWaitsForAShadowThatHangsAndBoundsItsCopies) {
  Start({.copies_max = 100, .objective_copies_max = 8});
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow(Never);
  Route(live.address(), shadow.address());
  for (int i = 0; i < 100; ++i) {
    ExpectLive(Call());
    ASSERT_LE(records_->copies_open, 8);
  }
  // All live requests have been answered, and not one copy.
  EXPECT_EQ(records_->copies_open, 8);
  EXPECT_EQ(Count(ShadowOutcome::kDroppedCopies), 92u);
  EXPECT_EQ(CountOfAll(), 92u);
  EXPECT_LE(shadow.calls(), 8);
  proxy_.reset();
  EXPECT_EQ(Count(ShadowOutcome::kDroppedStopping), 8u);
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, GivesUpAShadowThatIsSlow) {
  Start({.timeout = milliseconds(50)});
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow([](int) { return Answer{.message = Scores(1), .after = std::chrono::seconds(5)}; });
  Route(live.address(), shadow.address());
  for (int i = 0; i < 3; ++i) ExpectLive(Call());
  EXPECT_TRUE(Await(ShadowOutcome::kDroppedSlow, 3));
  EXPECT_EQ(CountOfAll(), 3u);
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, SaysHowShadowsFail) {
  ScriptedHost live(AnswerOne);
  ScriptedHost refusing([](int) { return Answer{.message = "", .status = {grpc::StatusCode::NOT_FOUND, "no model"}}; });
  ScriptedHost babbling([](int) { return Answer{.message = "\xff\xff"}; });
  DyingHost resetting(kResponseHeaders + Frame(3, 0, 1, std::string("\0\0\0\x02", 4)));
  DyingHost mumbling("no HTTP/2 at all, for as long as it takes");
  DyingHost vanishing("");
  const struct {
    std::string host;
    ShadowOutcome outcome;
    std::string reason;
  } cases[] = {
      {"127.0.0.1:" + std::to_string(UnusedPort()), ShadowOutcome::kFailed, "refused"},
      {refusing.address(), ShadowOutcome::kFailed, "answered NOT_FOUND: no model"},
      {babbling.address(), ShadowOutcome::kNotComparable, "the shadow's answer is not an inference.ModelInferResponse"},
      {resetting.address(), ShadowOutcome::kFailed, "reset the stream"},
      {mumbling.address(), ShadowOutcome::kFailed, "host"},
      {vanishing.address(), ShadowOutcome::kFailed, "host"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.reason);
    Start({});
    Route(live.address(), each.host);
    ExpectLive(Call());
    ASSERT_TRUE(Await(each.outcome, 1));
    EXPECT_EQ(CountOfAll(), 1u);
    ASSERT_TRUE(Await([&] { return Examples().size() == 1; }));
    EXPECT_THAT(std::string(Examples()[0]["reason"]), HasSubstr(each.reason));
    ExpectNothingIsHeld();
  }
}

TEST_F(ProxyShadow, NeverWaitsForAShadowThatDoesNotRead) {
  // Nothing of the body leaves: the host never says HTTP/2.
  std::atomic<bool> stop{false};
  RawListener shadow([&](int) {
    while (!stop) std::this_thread::yield();
  });
  ScriptedHost live(AnswerOne);
  Route(live.address(), shadow.address());
  const std::string large = Request(std::string(1 << 20, 'x'));
  ExpectLive(Call(large));
  EXPECT_EQ(records_->copies_open, 1);
  EXPECT_GE(records_->held_bytes, static_cast<int64_t>(large.size()));
  proxy_.reset();
  stop = true;
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, GivesUpACopyThatTakesTooMuchMemory) {
  Start({.objective_bytes_max = 10'000});
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow(AnswerOne);
  Route(live.address(), shadow.address());
  ExpectLive(Call(Request(std::string(500'000, 'x'))));
  EXPECT_EQ(Count(ShadowOutcome::kDroppedMemory), 1u);
  EXPECT_EQ(shadow.calls(), 0);
  ExpectNothingIsHeld();
  ExpectLive(Call());
  EXPECT_TRUE(Await(ShadowOutcome::kAgree, 1));
}

TEST_F(ProxyShadow, DoesNotCompareAnswersThatAreTooLong) {
  Start({.answer_bytes_max = 64});
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow([](int) { return Answer{.message = std::string(1000, 'x')}; });
  Route(live.address(), shadow.address());
  ExpectLive(Call());
  ASSERT_TRUE(Await(ShadowOutcome::kNotComparable, 1));
  ASSERT_TRUE(Await([&] { return Examples().size() == 1; }));
  EXPECT_EQ(Examples()[0]["reason"], "the shadow's answer is longer than 64 bytes");
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, NeverSendsHalfARequest) {
  ScriptedHost live(AnswerOne);
  ScriptedHost shadow(AnswerOne);
  Route(live.address(), shadow.address());
  RawHttp2 client(proxy_->port());
  const int32_t stream =
      client.Open(GrpcHeaders(kInfer, {{"sb-objective", "Home"}}), GrpcFrame(Request()).substr(0, 12), false);
  ASSERT_TRUE(client.RunUntil([&] {
    client.Flush();
    return records_->copies_open == 1;
  }) || records_->copies_open == 1);
  client.Reset(stream);
  client.Flush();
  EXPECT_TRUE(Await(ShadowOutcome::kDroppedIncomplete, 1));
  EXPECT_EQ(shadow.calls(), 0);
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, GoesOnWhenTheLiveRequestIsOver) {
  ScriptedHost live(Never);
  std::atomic<bool> go{false};
  ScriptedHost shadow([&](int) {
    while (!go) std::this_thread::yield();
    return Answer{.message = Scores(1)};
  });
  Route(live.address(), shadow.address());
  const Reply reply = Call(Request(), {.headers = {}, .timeout = milliseconds(100)});
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(records_->copies_open, 1);
  go = true;
  EXPECT_TRUE(Await(ShadowOutcome::kNotCompared, 1));
  EXPECT_EQ(shadow.received().size(), 1u);
  EXPECT_EQ(CountOfAll(), 1u);
  ExpectNothingIsHeld();
}

TEST_F(ProxyShadow, CopiesNoCopyAndNoQuestionAboutAModel) {
  EchoHost live;
  ScriptedHost shadow(AnswerOne);
  Route(live.address(), shadow.address());
  EXPECT_TRUE(Call(Request(), {.headers = {{"sb-traffic", "shadow"}}}).status.ok());
  EXPECT_TRUE(client_->Unary("/inference.GRPCInferenceService/ModelReady", "\x0a\x04Home").status.ok());
  EXPECT_EQ(CountOfAll(), 0u);
  EXPECT_EQ(records_->copies_open, 0);
  EXPECT_EQ(shadow.calls(), 0);
}

TEST_F(ProxyShadow, CopiesAnyMethodButComparesOnlyWhatItCanRead) {
  EchoHost live;
  EchoHost shadow;
  Route(live.address(), shadow.address());
  EXPECT_EQ(client_->Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Home"}}}).message, "x");
  EXPECT_TRUE(Await(ShadowOutcome::kNotComparable, 1));
  Route(live.address(), shadow.address(), "");
  EXPECT_EQ(client_->Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Home"}}}).message, "x");
  EXPECT_TRUE(Await(ShadowOutcome::kNotCompared, 1));
  EXPECT_EQ(shadow.calls(), 2);
}

TEST_F(ProxyShadow, EndsAStormWithNothingHeld) {
  Start({.objective_copies_max = 16, .timeout = milliseconds(200)});
  ScriptedHost live([](int call) { return call % 5 == 0 ? Never(call) : AnswerOne(call); });
  ScriptedHost shadow([](int call) {
    if (call % 3 == 0) return Never(call);
    if (call % 3 == 1) return Answer{.message = "", .status = {grpc::StatusCode::INTERNAL, "broken"}};
    return AnswerOne(call);
  });
  Route(live.address(), shadow.address());
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      for (int call = 0; call < 40; ++call) {
        Call(Request(std::string(static_cast<size_t>(1 + 3'000 * (call % 7)), 'x')),
             {.headers = {}, .timeout = milliseconds(20 + i)});
        EXPECT_LE(records_->copies_open, 16);
      }
    });
  }
  for (std::thread& each : clients) each.join();
  ExpectNothingIsHeld();
  // Each copy became one thing, once; those that wait for the comparer are there soon. A request that ended before it
  // reached the proxy asked for none.
  const uint64_t drawn = CountOfAll();
  EXPECT_LE(drawn, 160u);
  EXPECT_GT(drawn, 0u);
}

}  // namespace
}  // namespace signalbox::proxy
