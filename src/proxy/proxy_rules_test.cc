// What rules can say, and what clients, hosts and operators see of it: gRPC C++ on both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "decide/decide.h"
#include "inference/open_inference.pb.h"
#include "prometheus/metric_family.h"
#include "proxy/test_dying_host.h"
#include "proxy/test_logged_context.h"
#include "proxy/test_proxy.h"
#include "signalbox/v1/serving.pb.h"
#include "tests/support/echo_host.h"

namespace signalbox::proxy {
namespace {

using ::signalbox::testing::CallOptions;
using ::signalbox::testing::EchoClient;
using ::signalbox::testing::EchoHost;
using ::signalbox::testing::Reply;
using ::testing::HasSubstr;

constexpr char kInfer[] = "/inference.GRPCInferenceService/ModelInfer";

class ProxyRulesTest : public ::testing::Test {
 protected:
  ProxyRulesTest() : log_path_(NewLogPath()), proxy_(1, {.decision_log_path = log_path_}), client_(proxy_.port()) {}
  ~ProxyRulesTest() override { std::filesystem::remove_all(std::filesystem::path(log_path_).parent_path()); }

  static std::string NewLogPath() {
    std::string pattern = ::testing::TempDir() + "/proxy_rules_XXXXXX";
    return std::string(mkdtemp(pattern.data())) + "/decisions.jsonl";
  }

  // The Objective `Home` with the default model `one` and what `rules` say besides. `one`, `two` and `three` are placed
  // on hosts of these names; `away` is on a host where nobody listens, or that does as it
  // likes.
  void Route(const std::string& rules, const std::string& of_objective = "", const std::string& away = "127.0.0.1:1") {
    v1::Snapshot snapshot = decide::ParseSnapshot(
        std::string("rule_sets { rule_set { namespace: 'test' objectives { name: 'Home' ") +
        (of_objective.find("default_model") == std::string::npos ? "default_model { name: 'one' } " : "") +
        "parameters { key: 'depth' value: '50' } " + of_objective + " } " + rules + " } }");
    std::map<std::string, std::string> places = {
        {"one", one_.address()}, {"two", two_.address()}, {"three", three_.address()}, {"away", away}};
    for (const auto& [model, host] : places) {
      (*snapshot.mutable_placement()->mutable_shards())["s-" + model].add_hosts(host);
      (*snapshot.mutable_placement()->mutable_models())[model].add_shards("s-" + model);
    }
    snapshot_ = decide::CompileOrDie(std::move(snapshot));
    proxy_->SetSnapshot(snapshot_);
  }

  using Headers = std::multimap<std::string, std::string>;
  Reply Call(Headers headers, const std::string& method = "/acme.Ranker/Rank", const std::string& message = "x") {
    headers.emplace("sb-objective", "Home");
    return client_.Unary(method, message, {.headers = std::move(headers)});
  }
  std::string ModelFor(Headers headers) { return Call(std::move(headers)).header("sb-model"); }

  // The last line of the decision log.
  nlohmann::json LastLogLine() {
    nlohmann::json last;
    for (nlohmann::json& line : LogLines()) last = std::move(line);
    return last;
  }
  // A request is logged when its stream is closed, which can be after the client has its answer: one more call on the
  // same connection, which is not logged before it.
  std::vector<nlohmann::json> LogLines() {
    client_.Unary("/acme.Ranker/Rank", "x", {.headers = {{"sb-objective", "Nobody"}}});
    proxy_.telemetry().Flush();
    return ReadLogLines(log_path_);
  }

  // The sum of a family's counters whose labels have all of these.
  double Count(const std::string& family_name, const std::map<std::string, std::string>& labels = {}) {
    LogLines();
    double sum = 0;
    for (const auto& family : proxy_.telemetry().Collect()) {
      if (family.name != family_name) continue;
      for (const auto& metric : family.metric) {
        size_t same = 0;
        for (const auto& label : metric.label) {
          const auto found = labels.find(label.name);
          if (found != labels.end() && found->second == label.value) ++same;
        }
        if (same == labels.size()) sum += metric.counter.value;
      }
    }
    return sum;
  }

  EchoHost one_{"one"};
  EchoHost two_{"two"};
  EchoHost three_{"three"};
  std::string log_path_;
  TestProxy proxy_;
  EchoClient client_;
  std::shared_ptr<const decide::Snapshot> snapshot_;
};

// --- Context.

TEST_F(ProxyRulesTest, ContextRulesSeeVersionSegmentsAndAttributes) {
  Route(R"(
    context_rules { id: 'kids' objectives: 'Home' model { name: 'three' }
      condition { field { field: 'segments' in { texts: 'kids' } } } }
    context_rules { id: 'new' objectives: 'Home' model { name: 'two' }
      condition { all {
        conditions { field { field: 'app_version' version { min: '4.2' } } }
        conditions { field { field: 'plan' in { texts: 'basic' } } } } } })");
  EXPECT_EQ(ModelFor({{"sb-context", "app-version=\"4.10.0\", plan=basic"}}), "two");
  EXPECT_EQ(ModelFor({{"sb-context", "app-version=\"4.1.9\", plan=basic"}}), "one");
  EXPECT_EQ(ModelFor({{"sb-context", "app-version=\"4.10.0\", plan=premium"}}), "one");
  EXPECT_EQ(ModelFor({{"sb-context", "segments=(\"premium\" \"kids\")"}}), "three");
  EXPECT_EQ(ModelFor({{"sb-context", "segments=(\"kids2\")"}}), "one");
  const Reply reply = Call({{"sb-context", "segments=(kids)"}});
  EXPECT_EQ(reply.header("sb-reason"), "context_rule");
  EXPECT_EQ(reply.trailer("got-sb-context"), "segments=(kids)") << "hosts get the context as it was sent";
}

TEST_F(ProxyRulesTest, TimeIsTheTimeOfTheRequest) {
  Route(R"(
    context_rules { id: 'now' objectives: 'Home' model { name: 'two' } condition { time { from_unix_ms: 1700000000000 } } }
    context_rules { id: 'past' objectives: 'Home' model { name: 'three' } condition { time { to_unix_ms: 1700000000000 } } })");
  EXPECT_EQ(ModelFor({}), "two");
}

// --- What hosts get.

TEST_F(ProxyRulesTest, OverlaysGoWithEveryKindOfBody) {
  Route(R"(
    context_rules { id: 'us' objectives: 'Home' parameters { key: 'depth' value: '80' } parameters { key: 'extra' value: 'x' }
      condition { field { field: 'country' in { texts: 'US' } } } })");
  for (const auto& [country, depth] : {std::pair("US", "80"), std::pair("CA", "50")}) {
    SCOPED_TRACE(country);
    const Headers headers = {{"sb-context", std::string("country=") + country}};
    const bool has_extra = std::string(country) == "US";

    inference::ModelInferRequest infer;
    infer.set_id("42");
    ASSERT_TRUE(infer.ParseFromString(Call(headers, kInfer, infer.SerializeAsString()).message));
    EXPECT_EQ(infer.id(), "42");
    EXPECT_EQ(infer.model_name(), "one");
    EXPECT_EQ(infer.parameters().at("depth").string_param(), depth);
    EXPECT_EQ(infer.parameters().contains("extra"), has_extra);

    v1::ServeRequest serve;
    serve.set_input("in");
    ASSERT_TRUE(
        serve.ParseFromString(Call(headers, "/signalbox.v1.ModelServing/Serve", serve.SerializeAsString()).message));
    EXPECT_EQ(serve.input(), "in");
    EXPECT_EQ(serve.objective_config().model_name(), "one");
    EXPECT_EQ(serve.objective_config().parameters().at("depth"), depth);
    EXPECT_EQ(serve.objective_config().parameters().contains("extra"), has_extra);

    v1::ObjectiveConfig config;
    ASSERT_TRUE(config.ParseFromString(Call(headers).trailer("got-sb-objective-config-bin")));
    EXPECT_EQ(config.model_name(), "one");
    EXPECT_EQ(config.parameters().at("depth"), depth);
    EXPECT_EQ(config.parameters().contains("extra"), has_extra);
  }
}

TEST_F(ProxyRulesTest, OverlaysGoWithEveryMessageOfAStreamAndWithFallbacks) {
  Route(R"(
    context_rules { id: 'all' objectives: 'Home' model { name: 'away' } parameters { key: 'depth' value: '80' }
      condition { all {} } })",
        "fallback_models { name: 'two' }");
  auto stream =
      client_.Open("/inference.GRPCInferenceService/ModelStreamInfer", {.headers = {{"sb-objective", "Home"}}});
  for (int i = 0; i < 20; ++i) {
    inference::ModelInferRequest request;
    request.set_id(std::to_string(i));
    request.add_raw_input_contents(std::string(static_cast<size_t>(i) * 1'000, 'x'));
    ASSERT_TRUE(stream->Write(request.SerializeAsString()));
  }
  ASSERT_TRUE(stream->WritesDone());
  for (int i = 0; i < 20; ++i) {
    std::string message;
    ASSERT_TRUE(stream->Read(message));
    inference::ModelInferRequest received;
    ASSERT_TRUE(received.ParseFromString(message));
    EXPECT_EQ(received.model_name(), "two");
    EXPECT_EQ(received.id(), std::to_string(i));
    EXPECT_EQ(received.parameters().at("depth").string_param(), "80");
  }
  std::string none;
  EXPECT_FALSE(stream->Read(none));
  const Reply reply = stream->Finish();
  EXPECT_TRUE(reply.status.ok());
  EXPECT_EQ(reply.header("sb-reason"), "fallback");
}

TEST_F(ProxyRulesTest, AFallbackGetsNoParameterOfTheCellWhoseModelCannotBeReached) {
  Route(R"(
    context_rules { id: 'all' objectives: 'Home' parameters { key: 'depth' value: '60' } condition { all {} } }
    experiments { id: '100' objectives: 'Home' allocation_ppm: 1000000 cells { name: 'b' weight_ppm: 1000000
      model { name: 'away' } parameters { key: 'depth' value: '80' } parameters { key: 'rows' value: '7' } } })",
        "fallback_models { name: 'two' }");
  const Headers headers = {{"sb-user", "u1"}};

  inference::ModelInferRequest infer;
  ASSERT_TRUE(infer.ParseFromString(Call(headers, kInfer, infer.SerializeAsString()).message));
  EXPECT_EQ(infer.model_name(), "two");
  EXPECT_EQ(infer.parameters().at("depth").string_param(), "60");
  EXPECT_FALSE(infer.parameters().contains("rows"));

  v1::ServeRequest serve;
  ASSERT_TRUE(
      serve.ParseFromString(Call(headers, "/signalbox.v1.ModelServing/Serve", serve.SerializeAsString()).message));
  EXPECT_EQ(serve.objective_config().model_name(), "two");
  EXPECT_EQ(serve.objective_config().parameters().at("depth"), "60");
  EXPECT_FALSE(serve.objective_config().parameters().contains("rows"));

  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(Call(headers).trailer("got-sb-objective-config-bin")));
  EXPECT_EQ(config.model_name(), "two");
  EXPECT_EQ(config.parameters().at("depth"), "60");
  EXPECT_FALSE(config.parameters().contains("rows"));
}

constexpr char kTwoExperiments[] = R"(
    layers { id: 'ranking' } layers { id: 'page' }
    experiments { id: '100' objectives: 'Home' layer: 'ranking' layer_end_ppm: 1000000 allocation_ppm: 1000000
      cells { name: 'b' model { name: 'two' } weight_ppm: 1000000 } }
    experiments { id: '200' objectives: 'Home' layer: 'page' layer_end_ppm: 1000000 allocation_ppm: 1000000
      cells { name: 'rows' weight_ppm: 1000000 parameters { key: 'rows' value: '7' } } })";

TEST_F(ProxyRulesTest, HostsAndClientsSeeEveryExperimentAndCell) {
  Route(kTwoExperiments);
  const Reply reply = Call({{"sb-user", "u1"}});
  EXPECT_EQ(reply.header("sb-model"), "two");
  EXPECT_EQ(reply.header("sb-experiments"), "100=b;200=rows");
  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(reply.trailer("got-sb-objective-config-bin")));
  EXPECT_EQ(config.experiment(), "100");
  EXPECT_EQ(config.cell(), "b");
  EXPECT_EQ(config.cells().at("100"), "b");
  EXPECT_EQ(config.cells().at("200"), "rows");
  EXPECT_EQ(config.parameters().at("rows"), "7");
  EXPECT_EQ(Call({}).header("sb-experiments"), "") << "who is in none";

  Call({{"sb-user", "u1"}});
  const nlohmann::json line = LastLogLine();
  EXPECT_EQ(line["experiment"], "100");
  EXPECT_EQ(line["cell"], "b");
  EXPECT_EQ(line["cells"].dump(), R"({"100":"b","200":"rows"})");
  EXPECT_EQ(Count("signalbox_requests_total", {{"experiment", "100"}, {"cell", "b"}}), 2);
  EXPECT_EQ(Count("signalbox_decision_notes_total", {{"objective", "Home"}, {"note", "missing_unit"}}), 1);
}

// --- Overrides.

TEST_F(ProxyRulesTest, AnOverrideIsForThoseWhomARuleNames) {
  Route(std::string(kTwoExperiments) + R"(
    overrides { id: 'testers' objectives: 'Home' users: 'alice' models { name: 'three' } }
    context_rules { id: 'all' objectives: 'Home' model { name: 'one' }
      condition { field { field: 'country' in { texts: 'US' } } } })");
  const std::string wish = "model=three, cells=\"200=rows\"";
  Reply reply = Call({{"sb-user", "alice"}, {"sb-context", "country=US"}, {"sb-override", wish}});
  EXPECT_EQ(reply.header("sb-model"), "three");
  EXPECT_EQ(reply.header("sb-reason"), "override");
  EXPECT_EQ(reply.trailer("got-sb-override"), "") << "hosts do not get it";
  nlohmann::json line = LastLogLine();
  EXPECT_EQ(line["override"].dump(), R"({"cells":{"200":"rows"},"model":"three"})");
  EXPECT_EQ(line["override_rule"], "testers");
  EXPECT_EQ(line["user"], "alice");
  EXPECT_FALSE(line.contains("notes"));
  EXPECT_EQ(Count("signalbox_overrides_total", {{"objective", "Home"}}), 1);

  reply = Call({{"sb-user", "mallory"}, {"sb-context", "country=US"}, {"sb-override", wish}});
  EXPECT_TRUE(reply.status.ok());
  EXPECT_EQ(reply.header("sb-model"), "one") << "decided as if it had not asked";
  line = LastLogLine();
  EXPECT_EQ(line["override"]["model"], "three");
  EXPECT_FALSE(line.contains("override_rule"));
  EXPECT_EQ(line["notes"].dump(), R"(["override_refused"])");
  EXPECT_EQ(Count("signalbox_overrides_total", {{"objective", "Home"}}), 1);
  EXPECT_EQ(Count("signalbox_decision_notes_total", {{"objective", "Home"}, {"note", "override_refused"}}), 1);
}

TEST_F(ProxyRulesTest, AnOverrideThatCannotBeReadIsRefused) {
  Route("");
  const Reply reply = Call({{"sb-override", "modle=two"}});
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(reply.status.error_message(), HasSubstr("header sb-override, column 1: expected `model` or `cells`"));
}

// --- When nobody can be reached.

// The field `static_answer` with a message that has control characters in it.
std::string StaticAnswerOf(const google::protobuf::MessageLite& message) {
  std::string octal;
  for (const char c : message.SerializeAsString()) {
    const auto byte = static_cast<unsigned char>(c);
    octal += '\\';
    for (const int shift : {6, 3, 0}) octal += static_cast<char>('0' + (byte >> shift & 7));
  }
  return "static_answer { message: '" + octal + "' }";
}

inference::ModelInferResponse DeclaredResponse() {
  inference::ModelInferResponse response;
  auto& output = *response.add_outputs();
  output.set_name("scores");
  output.set_datatype("FP32");
  output.add_shape(1'000);
  output.mutable_contents()->mutable_fp32_contents()->Resize(1'000, 0.5F);
  return response;
}

TEST_F(ProxyRulesTest, TheDeclaredAnswerIsGivenWhenNeitherModelNorFallbackCanBeReached) {
  Route("",
        "default_model { name: 'away' } fallback_models { name: 'unplaced' } " + StaticAnswerOf(DeclaredResponse()));
  inference::ModelInferRequest request;
  request.set_model_name("Home");
  request.add_raw_input_contents(std::string(1 << 20, 'x'));
  for (int round = 0; round < 3; ++round) {
    const Reply reply = client_.Unary(kInfer, request.SerializeAsString());
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    EXPECT_EQ(reply.message, DeclaredResponse().SerializeAsString());
    EXPECT_EQ(reply.header("sb-reason"), "fallback");
    EXPECT_EQ(reply.header("sb-model"), "") << "no model answered";
    EXPECT_EQ(reply.header("sb-decision").size(), 16);
  }
  EXPECT_EQ(Count("signalbox_static_answers_total", {{"objective", "Home"}}), 3);
  EXPECT_EQ(Count("signalbox_fallbacks_total", {{"objective", "Home"}}), 6) << "two tried in vain, each time";
  EXPECT_EQ(Count("signalbox_requests_total", {{"code", "OK"}}), 3);
  EXPECT_EQ(Count("signalbox_requests_total", {{"model", ""}, {"code", "OK"}}), 3) << "away has answered nobody";
  const nlohmann::json line = LastLogLine();
  EXPECT_EQ(line["static_answer"], true);
  EXPECT_EQ(line["model"], "");
  EXPECT_EQ(line["reason"], "fallback");
  EXPECT_EQ(line["outcome"], "OK");
  EXPECT_EQ(line["host"], "");
}

TEST_F(ProxyRulesTest, TheDeclaredAnswerIsNoAnswerToWhetherAModelIsReady) {
  Route("", "default_model { name: 'away' } " + StaticAnswerOf(DeclaredResponse()));
  for (const std::string method : {"ModelReady", "ModelMetadata", "ModelStreamInfer"}) {
    inference::ModelReadyRequest request;
    request.set_name("Home");
    const Reply reply = client_.Unary("/inference.GRPCInferenceService/" + method, request.SerializeAsString());
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNAVAILABLE) << method;
  }
}

TEST_F(ProxyRulesTest, TheDeclaredAnswerIsGivenWhenTheHostBreaksOffBeforeItsAnswer) {
  DyingHost host("");
  Route("", "default_model { name: 'away' } fallback_models { name: 'two' } " + StaticAnswerOf(DeclaredResponse()),
        host.address());
  const Reply reply = Call({}, "/acme.Ranker/Rank", std::string(1'000, 'x'));
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  EXPECT_TRUE(reply.message == DeclaredResponse().SerializeAsString());
  EXPECT_EQ(two_.calls(), 0) << "what one host may have done, no other does again";
}

TEST_F(ProxyRulesTest, TheDeclaredAnswerIsNotGivenAfterPartOfTheModels) {
  Route("", StaticAnswerOf(DeclaredResponse()));
  auto stream = client_.Open("/acme.Ranker/Stream", {.headers = {{"sb-objective", "Home"}}});
  ASSERT_TRUE(stream->Write("x"));
  std::string message;
  ASSERT_TRUE(stream->Read(message));
  EXPECT_EQ(message, "x");
  one_.Shutdown(std::chrono::milliseconds(0));
  EXPECT_FALSE(stream->Read(message));
  EXPECT_FALSE(stream->Finish().status.ok());
}

// --- Shadows.

TEST_F(ProxyRulesTest, CopiesThatArriveAreNotCopiedAgain) {
  Route("shadows { id: 's' objectives: 'Home' model { name: 'two' } share_ppm: 1000000 }");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ModelFor({{"sb-traffic", "shadow"}}), "one");
  EXPECT_EQ(one_.calls(), 3);
  EXPECT_EQ(two_.calls(), 0);
}

// --- The decision log.

TEST_F(ProxyRulesTest, EachDecisionCanBeMadeAgainFromItsLineInTheLog) {
  Route(std::string(kTwoExperiments) + R"(
    experiments { id: '300' objectives: 'Home' layer: 'third' layer_end_ppm: 500000 allocation_ppm: 500000 unit: 'device_id' unit: 'user'
      condition { field { field: 'segments' in { texts: 'kids' texts: 'teens' } } }
      cells { name: 'x' weight_ppm: 500000 parameters { key: 'p' value: 'x' } } cells { name: 'y' weight_ppm: 500000 } }
    layers { id: 'third' unit: 'device_id' unit: 'user' }
    shadows { id: 's' objectives: 'Home' model { name: 'two' } share_ppm: 300000
      condition { not { field { field: 'device' in { texts: 'tv' } } } } }
    traffic_shifts { id: 't' objectives: 'Home' to { name: 'three' } share_ppm: 500000 unit: 'device_id' condition { field { field: 'app_version' version { min: '4.2' } } } }
    context_rules { id: 'c' objectives: 'Home' model { name: 'three' } condition { all {
      conditions { field { field: 'country' in { texts: 'US' } } } conditions { field { field: 'age' number { min: 18 } } } } } }
    overrides { id: 'o' objectives: 'Home' tenants: 'qa' })");
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  auto pick = [&](std::vector<std::string> of) { return of[random() % of.size()]; };
  constexpr int kRequests = 300;
  std::map<std::string, Reply> replies;
  for (int i = 0; i < kRequests; ++i) {
    Headers headers = {{"sb-tenant", pick({"qa", "web"})}, {"sb-traffic", pick({"live", "synthetic"})}};
    if (random() % 4 != 0) headers.emplace("sb-user", "u" + std::to_string(random() % 50));
    headers.emplace("sb-context", "country=" + pick({"US", "CA"}) + ", device=" + pick({"tv", "phone"}) +
                                      ", app-version=\"" + pick({"4.1", "4.2.1", "none"}) + "\", segments=(" +
                                      pick({"", "kids", "\"teens\" premium", "premium"}) +
                                      "), age=" + pick({"17", "18", "x"}) + ", device_id=" + pick({"d1", "d2", "d3"}));
    if (random() % 2 == 0) headers.emplace("sb-override", pick({"model=two", "cells=\"100=b;300=y\"", "model=nobody"}));
    const Reply reply = Call(std::move(headers));
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    replies.emplace(reply.header("sb-decision"), reply);
  }
  const std::vector<nlohmann::json> lines = LogLines();
  ASSERT_EQ(lines.size(), kRequests);
  std::map<std::string, int> reasons;
  for (const nlohmann::json& line : lines) {
    SCOPED_TRACE(line.dump());
    ASSERT_FALSE(line.contains("truncated"));
    const LoggedContext logged(line);
    const decide::Decision again = decide::Decide(*snapshot_, logged.context);
    ASSERT_NE(again.answer, nullptr);
    EXPECT_EQ(again.answer->model->id, line["model"]);
    EXPECT_EQ(decide::Name(again.answer->reason), line["reason"]);
    EXPECT_EQ(again.override_rule, line.value("override_rule", ""));
    nlohmann::json cells = nlohmann::json::object();
    for (const decide::Enrolment& enrolment : again.enrolments)
      cells[std::string(enrolment.experiment)] = enrolment.cell;
    EXPECT_EQ(cells, line.value("cells", nlohmann::json::object()));
    EXPECT_EQ(replies.at(line["decision"]).header("sb-model"), line["model"]);
    ++reasons[line["reason"]];
  }
  EXPECT_EQ(reasons.size(), 5) << "every way to a model was taken";
}

}  // namespace
}  // namespace signalbox::proxy
