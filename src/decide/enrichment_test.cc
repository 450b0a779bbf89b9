#include "decide/enrichment.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "decide/decide.h"
#include "decide/test_snapshot.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/serving.pb.h"

namespace signalbox::decide {
namespace {

using google::protobuf::util::MessageDifferencer;
using inference::ModelInferRequest;

constexpr uint32_t kSeed = 20260415;

class RandomRequests {
 public:
  std::string Text() {
    std::string text;
    for (int i = Number(12); i > 0; --i) text.push_back(static_cast<char>('a' + Number(26)));
    return text;
  }

  int Number(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(random_); }

  // Sets, or leaves, the very fields that signalbox writes, and others.
  ModelInferRequest Infer() {
    ModelInferRequest request;
    if (Number(2) == 0) request.set_model_name(Text());
    if (Number(2) == 0) request.set_model_version(Text());
    if (Number(2) == 0) request.set_id(Text());
    for (const char* key : {"sb_objective", "sb_experiment", "sb_cell", "sb_model_input_type", "depth", "mine"}) {
      if (Number(3) == 0) (*request.mutable_parameters())[key].set_string_param(Text());
      if (Number(3) == 0) (*request.mutable_parameters())[key].set_int64_param(Number(1000));
    }
    for (int i = Number(3); i > 0; --i) {
      auto& input = *request.add_inputs();
      input.set_name(Text());
      input.add_shape(Number(5));
      input.mutable_contents()->add_fp64_contents(0.5);
    }
    for (int i = Number(3); i > 0; --i) request.add_raw_input_contents(Text());
    return request;
  }

  v1::ServeRequest Serve() {
    v1::ServeRequest request;
    request.set_objective(Text());
    if (Number(2) == 0) request.set_input(Text());
    if (Number(2) == 0) {
      v1::ObjectiveConfig& config = *request.mutable_objective_config();
      config.set_model_name(Text());
      config.set_experiment(Text());
      config.set_cell(Text());
      (*config.mutable_parameters())["mine"] = Text();
    }
    return request;
  }

 private:
  std::mt19937 random_{kSeed};
};

// What the host must see, worked out on message objects.
ModelInferRequest Expected(ModelInferRequest request, const v1::ObjectiveConfig& config) {
  request.set_model_name(config.model_name());
  request.set_model_version(config.model_version());
  auto& parameters = *request.mutable_parameters();
  auto set = [&](const std::string& key, const std::string& value) {
    parameters[key].Clear();
    parameters[key].set_string_param(value);
  };
  set("sb_objective", config.objective());
  set("sb_experiment", config.experiment());
  set("sb_cell", config.cell());
  set("sb_model_input_type", config.model_input_type());
  for (const auto& [experiment, cell] : config.cells()) set("sb_cell." + experiment, cell);
  for (const auto& [key, value] : config.parameters()) set(key, value);
  return request;
}

TEST(Enrichment, AppendedToAnyInferRequestItSetsItsFieldsAndLeavesTheRest) {
  RandomRequests random;
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  for (int i = 0; i < 2000; ++i) {
    for (const Answer* answer : snapshot->answers()) {
      v1::ObjectiveConfig config;
      ASSERT_TRUE(config.ParseFromString(std::string(answer->objective_config)));
      const ModelInferRequest request = random.Infer();
      ModelInferRequest enriched;
      ASSERT_TRUE(enriched.ParseFromString(request.SerializeAsString() + std::string(answer->open_inference_suffix)));
      EXPECT_TRUE(MessageDifferencer::Equals(enriched, Expected(request, config)))
          << "seed " << kSeed << ", request " << request.ShortDebugString() << ", became "
          << enriched.ShortDebugString();
    }
  }
}

TEST(Enrichment, AppendedToAnyServeRequestItOverwritesTheClientsConfig) {
  RandomRequests random;
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  for (int i = 0; i < 2000; ++i) {
    for (const Answer* answer : snapshot->answers()) {
      const v1::ServeRequest request = random.Serve();
      v1::ServeRequest expected = request;
      v1::ObjectiveConfig& config = *expected.mutable_objective_config();
      const google::protobuf::Map<std::string, std::string> client_parameters = config.parameters();
      ASSERT_TRUE(config.ParseFromString(std::string(answer->objective_config)));
      config.mutable_parameters()->insert(client_parameters.begin(), client_parameters.end());

      v1::ServeRequest enriched;
      ASSERT_TRUE(enriched.ParseFromString(request.SerializeAsString() + std::string(answer->serve_suffix)));
      EXPECT_TRUE(MessageDifferencer::Equals(enriched, expected))
          << "seed " << kSeed << ", request " << request.ShortDebugString() << ", became "
          << enriched.ShortDebugString();
    }
  }
}

TEST(Enrichment, AnEmptyVersionOverridesTheClients) {
  v1::ObjectiveConfig config;
  config.set_model_name("popular");
  ModelInferRequest request;
  request.set_model_version("9");
  ModelInferRequest enriched;
  ASSERT_TRUE(enriched.ParseFromString(request.SerializeAsString() + OpenInferenceSuffix(config)));
  EXPECT_EQ(enriched.model_name(), "popular");
  EXPECT_EQ(enriched.model_version(), "");
}

TEST(Enrichment, TheConfigIsTheSameMessageThatProtobufWrites) {
  const auto snapshot = CompileOrDie(ExampleSnapshot());
  for (const Answer* answer : snapshot->answers()) {
    v1::ObjectiveConfig config;
    ASSERT_TRUE(config.ParseFromString(std::string(answer->objective_config)));
    EXPECT_EQ(config.model_name(), answer->model->name);
    EXPECT_EQ(config.objective(), answer->objective);
    EXPECT_EQ(config.experiment(), answer->experiment);
    EXPECT_EQ(config.cell(), answer->cell);
    EXPECT_EQ(SerialiseObjectiveConfig(config), answer->objective_config);
    EXPECT_EQ(config.ByteSizeLong(), answer->objective_config.size());
  }
}

// --- Who gets what of a cell that chose the model, where a context rule sets the same parameter.

// A cell of `n`, or what stands there; fallback f, shadow s. Both rules set `p`; `q` is the cell's alone.
Decision DecideForCell(std::shared_ptr<const Snapshot>& snapshot, const std::string& model) {
  snapshot = CompileOrDie(ParseSnapshot(R"(rule_sets { rule_set { namespace: 'test'
    objectives { name: 'Home' default_model { name: 'm' } fallback_models { name: 'f' }
      parameters { key: 'p' value: 'objective' } parameters { key: 'q' value: 'objective' } }
    ensembles { name: 'mix' mode: FIRST members { model { name: 'a' } } members { model { name: 'b' } } }
    context_rules { id: 'c' objectives: 'Home' condition { all {} } parameters { key: 'p' value: 'context' } }
    experiments { id: 'e' objectives: 'Home' allocation_ppm: 1000000 cells { name: 'x' weight_ppm: 1000000
      model { )" + model + R"( } parameters { key: 'p' value: 'cell' } parameters { key: 'q' value: 'cell' } } }
    shadows { id: 's' objectives: 'Home' model { name: 's' } share_ppm: 1000000 } } })"));
  return Decide(*snapshot, {.objective = "Home", .user = "u1"});
}

// `p` and `q` as every kind of request carries them.
void ExpectParameters(const Decision& decision, const Answer& answering, const std::string& p, const std::string& q) {
  SCOPED_TRACE(answering.model->id);
  std::string buffer;
  ModelInferRequest infer;
  ASSERT_TRUE(infer.ParseFromString(std::string(OpenInferenceSuffix(decision, answering, buffer))));
  EXPECT_EQ(infer.parameters().at("p").string_param(), p);
  EXPECT_EQ(infer.parameters().at("q").string_param(), q);
  EXPECT_EQ(infer.parameters().at("sb_cell").string_param(), answering.cell);
  v1::ServeRequest serve;
  ASSERT_TRUE(serve.ParseFromString(std::string(ServeSuffix(decision, answering, buffer))));
  EXPECT_EQ(serve.objective_config().parameters().at("p"), p);
  EXPECT_EQ(serve.objective_config().parameters().at("q"), q);
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(std::string(ObjectiveConfigBase64(decision, answering, buffer)), &bytes));
  v1::ObjectiveConfig config;
  ASSERT_TRUE(config.ParseFromString(bytes));
  EXPECT_EQ(config.parameters().at("p"), p);
  EXPECT_EQ(config.parameters().at("q"), q);
}

TEST(Enrichment, AFallbackOrAShadowGetsNothingOfTheCellThatChoseTheModel) {
  std::shared_ptr<const Snapshot> snapshot;
  const Decision decision = DecideForCell(snapshot, "name: 'n'");
  ExpectParameters(decision, *decision.answer, "cell", "cell");
  ASSERT_EQ(decision.fallbacks.size(), 1u);
  ExpectParameters(decision, *decision.fallbacks[0], "context", "objective");
  ASSERT_EQ(decision.shadows.size(), 1u);
  ExpectParameters(decision, *decision.shadows[0]->answer, "context", "objective");
}

TEST(Enrichment, EveryMemberOfTheEnsembleOfACellGetsWhatTheCellSays) {
  std::shared_ptr<const Snapshot> snapshot;
  const Decision decision = DecideForCell(snapshot, "ensemble: 'mix'");
  ASSERT_EQ(decision.answer->members.size(), 2u);
  for (const Answer::Member& member : decision.answer->members)
    ExpectParameters(decision, *member.answer, "cell", "cell");
  ExpectParameters(decision, *decision.fallbacks[0], "context", "objective");
}

}  // namespace
}  // namespace signalbox::decide
