// Several models that answer one request together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "inference/open_inference.pb.h"
#include "proxy/test_proxy.h"
#include "proxy/test_scripted_host.h"
#include "signalbox/v1/objective_config.pb.h"
#include "tests/support/echo_host.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::Reply;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Answer = ScriptedHost::Answer;

constexpr char kInfer[] = "/inference.GRPCInferenceService/ModelInfer";

std::string Scores(const std::vector<float>& scores, const std::string& name = "scores") {
  ::inference::ModelInferResponse response;
  response.set_id("7");
  auto& output = *response.add_outputs();
  output.set_name(name);
  output.set_datatype("FP32");
  output.add_shape(static_cast<int64_t>(scores.size()));
  for (const float score : scores) output.mutable_contents()->add_fp32_contents(score);
  return response.SerializeAsString();
}

std::vector<float> ScoresOf(const Reply& reply) {
  ::inference::ModelInferResponse response;
  EXPECT_TRUE(response.ParseFromString(reply.message)) << reply.status.error_message();
  if (response.outputs().empty()) return {};
  const auto& scores = response.outputs(0).contents().fp32_contents();
  return {scores.begin(), scores.end()};
}

class ProxyEnsemble : public ::testing::Test {
 protected:
  ProxyEnsemble() : client_(proxy_.port()) {}

  // The Objective `Home`: an ensemble `mix` of `a`, `b` and `c`, on these hosts, and what `of_objective` says.
  void Route(const std::string& mode, const std::vector<std::string>& hosts, const std::string& of_objective = "",
             const std::string& policy = "") {
    std::string rules =
        "rule_sets { rule_set { namespace: 'test' objectives { name: 'Home' policy: 'p' "
        "default_model { ensemble: 'mix' } " +
        of_objective + " } policies { name: 'p' " + policy + " } ensembles { name: 'mix' mode: " + mode;
    const std::vector<std::string> weights = {"0.5", "0.25", "0.25"};
    const bool is_weighted = mode.starts_with("WEIGHTED");
    for (size_t i = 0; i < hosts.size(); ++i) {
      rules += std::string(" members { model { name: '") + static_cast<char>('a' + i) + "' } " +
               (is_weighted ? "weight: " + weights[i] : "") + " }";
    }
    v1::Snapshot snapshot = decide::ParseSnapshot(rules + " } } }");
    auto place = [&](const std::string& model, const std::string& host) {
      (*snapshot.mutable_placement()->mutable_shards())["s-" + model].add_hosts(host);
      (*snapshot.mutable_placement()->mutable_models())[model].add_shards("s-" + model);
    };
    for (size_t i = 0; i < hosts.size(); ++i) place(std::string(1, static_cast<char>('a' + i)), hosts[i]);
    place("spare", spare_.address());
    proxy_->SetSnapshot(decide::CompileOrDie(std::move(snapshot)));
  }

  Reply Infer(size_t bytes = 10) {
    ::inference::ModelInferRequest request;
    request.set_model_name("Home");
    request.add_raw_input_contents(std::string(bytes, 'x'));
    return client_.Unary(kInfer, request.SerializeAsString());
  }

  EchoHost spare_{"spare"};
  TestProxy proxy_;
  EchoClient client_;
};

std::function<Answer(int)> Says(std::string message, milliseconds after = milliseconds(0)) {
  return [=](int) { return Answer{.message = message, .after = after}; };
}
std::function<Answer(int)> Fails() {
  return [](int) { return Answer{.message = "", .status = {grpc::StatusCode::UNAVAILABLE, "not now"}}; };
}
std::function<Answer(int)> Never() {
  return [](int) { return Answer{.message = "", .never = true}; };
}

// --- The first.

TEST_F(ProxyEnsemble, OfARaceTheFirstAnswerIsTakenAndTheOthersAreCancelled) {
  ScriptedHost slow(Never());
  ScriptedHost fast(Says("fast"));
  Route("FIRST", {slow.address(), fast.address()});
  for (int i = 0; i < 5; ++i) {
    const Reply reply =
        client_.Unary("/acme.Ranker/Rank", std::string(100'000, 'x'), {.headers = {{"sb-objective", "Home"}}});
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.message, "fast");
    EXPECT_EQ(reply.header("sb-model"), "b");
    EXPECT_EQ(reply.header("sb-reason"), "default");
    EXPECT_EQ(reply.header("sb-attempts"), "2");
  }
  EXPECT_EQ(slow.calls(), 5);
  while (slow.cancelled() < 5) std::this_thread::yield();
  for (const std::string& received : fast.received()) EXPECT_EQ(received.size(), 100'000U);
}

TEST_F(ProxyEnsemble, OfARaceAFailureIsNoAnswer) {
  ScriptedHost bad([](int) { return Answer{.message = "", .status = {grpc::StatusCode::INTERNAL, "no"}}; });
  ScriptedHost gone(Fails());
  ScriptedHost good(Says("good", milliseconds(30)));
  Route("FIRST", {bad.address(), gone.address(), good.address()});
  const Reply reply = client_.Unary("/a/b", "x", {.headers = {{"sb-objective", "Home"}}});
  EXPECT_EQ(reply.message, "good") << reply.status.error_message();
  Route("FIRST", {bad.address(), gone.address()});
  EXPECT_THAT(client_.Unary("/a/b", "x", {.headers = {{"sb-objective", "Home"}}}).status.error_message(),
              HasSubstr("ensemble mix of Objective Home does not answer"));
}

TEST_F(ProxyEnsemble, OfARaceOneThatReadsNothingHoldsNobodyUp) {
  ScriptedHost deaf([](int) { return Answer{.message = "", .deaf = true}; });
  ScriptedHost good(Says("good"));
  Route("FIRST", {deaf.address(), good.address()});
  const Reply reply = client_.Unary("/a/b", std::string(5 << 20, 'x'), {.headers = {{"sb-objective", "Home"}}});
  EXPECT_EQ(reply.message, "good") << reply.status.error_message();
  EXPECT_EQ(good.received().at(0).size(), 5U << 20);
  while (deaf.cancelled() == 0) std::this_thread::yield();
}

TEST_F(ProxyEnsemble, EachMemberIsAskedForItself) {
  EchoHost a("a");
  EchoHost b("b");
  Route("FIRST", {a.address(), b.address()});
  const Reply reply = client_.Unary("/a/b", "x", {.headers = {{"sb-objective", "Home"}}});
  const std::string model = reply.header("sb-model");
  EXPECT_EQ(reply.header("host-name"), model);
  EXPECT_EQ(reply.trailer("got-sb-model"), model);
  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(reply.trailer("got-sb-objective-config-bin")));
  EXPECT_EQ(config.model_name(), model);
}

// --- All of them.

TEST_F(ProxyEnsemble, TheMeanIsOfAllAnswers) {
  ScriptedHost a(Says(Scores({1, 2, 3})));
  ScriptedHost b(Says(Scores({3, 2, 1}), milliseconds(20)));
  Route("MEAN", {a.address(), b.address()});
  const Reply reply = Infer(300'000);
  EXPECT_THAT(ScoresOf(reply), ElementsAre(2, 2, 2));
  EXPECT_EQ(reply.header("sb-model"), "ensemble:mix");
  EXPECT_EQ(reply.header("sb-members"), "2/2");
  ::inference::ModelInferRequest received;
  ASSERT_TRUE(received.ParseFromString(b.received().at(0)));
  EXPECT_EQ(received.model_name(), "b");
  EXPECT_EQ(received.raw_input_contents(0).size(), 300'000U);
}

TEST_F(ProxyEnsemble, TheWeightedMeanIsOfThoseWhoAnswered) {
  ScriptedHost a(Says(Scores({8})));
  ScriptedHost b(Says(Scores({4})));
  ScriptedHost c(Fails());
  Route("WEIGHTED min_members: 2", {a.address(), b.address(), c.address()});
  const Reply reply = Infer();
  ASSERT_THAT(ScoresOf(reply), ElementsAre(20.0F / 3)) << "(0.5 * 8 + 0.25 * 4) / 0.75";
  EXPECT_EQ(reply.header("sb-members"), "2/3");
}

TEST_F(ProxyEnsemble, AllAnswersAreLabelledWithTheirModels) {
  ScriptedHost a(Says(Scores({1})));
  ScriptedHost b(Says(Scores({2}, "other")));
  Route("ALL", {a.address(), b.address()});
  ::inference::ModelInferResponse response;
  ASSERT_TRUE(response.ParseFromString(Infer().message));
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(0).name(), "a/scores");
  EXPECT_EQ(response.outputs(1).name(), "b/other");
  EXPECT_EQ(response.model_name(), "ensemble:mix");
}

TEST_F(ProxyEnsemble, TooFewAnswersGoToTheFallbackElseToTheDeclaredAnswer) {
  ScriptedHost a(Says(Scores({8})));
  ScriptedHost b(Fails());
  Route("MEAN", {a.address(), b.address()}, "fallback_models { name: 'spare' }");
  const Reply reply = Infer(50'000);
  EXPECT_EQ(reply.header("sb-model"), "spare");
  EXPECT_EQ(reply.header("sb-reason"), "fallback");

  Route("MEAN", {a.address(), b.address()}, "static_answer { message: '' }");
  EXPECT_TRUE(Infer().status.ok());

  Route("MEAN", {a.address(), b.address()});
  EXPECT_THAT(Infer().status.error_message(), HasSubstr("1 of 2 members of ensemble mix failed, and 2 have to answer"));
}

TEST_F(ProxyEnsemble, AnswersThatDoNotFitTogetherAreToldOf) {
  ScriptedHost a(Says(Scores({1, 2})));
  ScriptedHost b(Says(Scores({1, 2, 3})));
  Route("MEAN", {a.address(), b.address()});
  const Reply reply = Infer();
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(reply.status.error_message(), "output scores has shape [2] of model a and [3] of model b");
}

TEST_F(ProxyEnsemble, AtThePolicysDeadlineThoseWhoAnsweredAreEnough) {
  ScriptedHost a(Says(Scores({1})));
  ScriptedHost b(Says(Scores({3})));
  ScriptedHost c(Never());
  Route("MEAN min_members: 2", {a.address(), b.address(), c.address()}, "", "deadlines { total_ms: 1500 }");
  const Reply reply = Infer();
  EXPECT_THAT(ScoresOf(reply), ElementsAre(2)) << reply.status.error_message();
  EXPECT_EQ(reply.header("sb-members"), "2/3");
  while (c.cancelled() == 0) std::this_thread::yield();
}

TEST_F(ProxyEnsemble, AnAnswerThatIsTooLongToBeCollectedIsAFailure) {
  ScriptedHost a(Says(Scores({1})));
  ScriptedHost b(Says(std::string(5 << 20, 'x')));
  Route("MEAN", {a.address(), b.address()});
  EXPECT_THAT(Infer().status.error_message(), HasSubstr("model b answered more than 4194304 bytes"));
}

TEST_F(ProxyEnsemble, ARequestThatIsTooLongToBeKeptIsSentToAllAtThePaceOfTheSlowest) {
  ScriptedHost a(Says(Scores({1})));
  ScriptedHost b(Says(Scores({3})));
  Route("MEAN", {a.address(), b.address()});
  EXPECT_THAT(ScoresOf(Infer(3 << 20)), ElementsAre(2));
  EXPECT_EQ(a.received().at(0).size(), b.received().at(0).size());
}

TEST_F(ProxyEnsemble, WhatCannotBeCombinedGoesToTheFallbackOrIsRefusedByName) {
  ScriptedHost a(Says(Scores({1})));
  ScriptedHost b(Says(Scores({3})));
  for (const std::string mode : {"MEAN", "WEIGHTED", "ALL"}) {
    std::vector<std::string> hosts = {a.address(), b.address(), b.address()};
    Route(mode, hosts, "fallback_models { name: 'spare' }");
    Reply reply = client_.Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Home"}}});
    EXPECT_EQ(reply.header("sb-model"), "spare");
    EXPECT_EQ(reply.header("sb-reason"), "fallback");

    Route(mode, hosts);
    reply = client_.Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Home"}}});
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(reply.status.error_message(), HasSubstr("ensemble mix of Objective Home has the mode `"));
  }
  EXPECT_EQ(a.calls(), 0);
}

}  // namespace
}  // namespace signalbox::proxy
