#include "host/host.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "host/test_repository.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox::host {
namespace {

using inference::GRPCInferenceService;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// A call that takes longer has hung.
constexpr std::chrono::seconds kCallMax{30};

class HostTest : public testing::Test {
 protected:
  void SetUp() override {
    const TestRepository* trained = TestRepository::Get();
    ASSERT_NE(trained, nullptr);
    trained->Copy(path_);
  }

  void Start(std::vector<std::string> load = {"all"}, uint64_t memory_bytes = 0) {
    auto host = Host::Start(
        {.repository = path_, .listen = "127.0.0.1:0", .load = std::move(load), .memory_bytes = memory_bytes});
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    const std::optional<LoadResult> loaded = host_->WaitUntilLoaded(kCallMax);
    ASSERT_TRUE(loaded.has_value());
    load_failures_ = loaded->failures;
    stub_ = GRPCInferenceService::NewStub(grpc::CreateChannel(host_->address(), grpc::InsecureChannelCredentials()));
  }

  template <typename Method, typename Request, typename Response>
  grpc::Status Call(Method method, const Request& request, Response& response, const std::string& context = "") {
    grpc::ClientContext call;
    call.set_deadline(std::chrono::system_clock::now() + kCallMax);
    if (!context.empty()) call.AddMetadata("sb-context", context);
    return (stub_.get()->*method)(&call, request, &response);
  }

  grpc::Status Infer(const ModelInferRequest& request, ModelInferResponse& response, const std::string& context = "") {
    return Call(&GRPCInferenceService::Stub::ModelInfer, request, response, context);
  }

  // What the host says of itself beside an answer.
  std::string StatedInstance() {
    grpc::ClientContext call;
    inference::RepositoryIndexResponse response;
    EXPECT_TRUE(stub_->RepositoryIndex(&call, {}, &response).ok());
    const auto found = call.GetServerInitialMetadata().find("sb-host-instance");
    return found == call.GetServerInitialMetadata().end() ? ""
                                                          : std::string(found->second.data(), found->second.size());
  }
  std::string LoadReport(const std::string& format) {
    grpc::ClientContext call;
    if (!format.empty()) call.AddMetadata("endpoint-load-metrics-format", format);
    inference::ServerReadyResponse response;
    EXPECT_TRUE(stub_->ServerReady(&call, {}, &response).ok());
    const auto found = call.GetServerTrailingMetadata().find("endpoint-load-metrics");
    return found == call.GetServerTrailingMetadata().end() ? ""
                                                           : std::string(found->second.data(), found->second.size());
  }

  bool ServerReady() {
    inference::ServerReadyResponse response;
    EXPECT_TRUE(Call(&GRPCInferenceService::Stub::ServerReady, inference::ServerReadyRequest(), response).ok());
    return response.ready();
  }

  bool ModelReady(const std::string& name, const std::string& version) {
    inference::ModelReadyRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelReadyResponse response;
    EXPECT_TRUE(Call(&GRPCInferenceService::Stub::ModelReady, request, response).ok());
    return response.ready();
  }

  grpc::Status Load(const std::string& name, const std::string& version) {
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(name);
    if (!version.empty()) (*request.mutable_parameters())["version"].set_string_param(version);
    inference::RepositoryModelLoadResponse response;
    return Call(&GRPCInferenceService::Stub::RepositoryModelLoad, request, response);
  }

  grpc::Status Unload(const std::string& name, const std::string& version) {
    inference::RepositoryModelUnloadRequest request;
    request.set_model_name(name);
    if (!version.empty()) (*request.mutable_parameters())["version"].set_string_param(version);
    inference::RepositoryModelUnloadResponse response;
    return Call(&GRPCInferenceService::Stub::RepositoryModelUnload, request, response);
  }

  // "NAME@VERSION STATE" of each.
  std::vector<std::string> Index(bool only_ready = false) {
    inference::RepositoryIndexRequest request;
    request.set_ready(only_ready);
    inference::RepositoryIndexResponse response;
    EXPECT_TRUE(Call(&GRPCInferenceService::Stub::RepositoryIndex, request, response).ok());
    std::vector<std::string> models;
    for (const auto& model : response.models()) {
      models.push_back(fmt::format("{}@{} {}", model.name(), model.version(), model.state()));
    }
    return models;
  }

  TestFolder folder_;
  const std::string path_ = folder_.File("models");
  std::unique_ptr<Host> host_;
  std::vector<std::string> load_failures_;
  std::unique_ptr<GRPCInferenceService::Stub> stub_;
};

ModelInferRequest Rank(const std::vector<std::string>& titles, const std::string& version = "") {
  ModelInferRequest request;
  request.set_model_name("title-ranker");
  request.set_model_version(version);
  request.set_id("r1");
  auto* input = request.add_inputs();
  input->set_name("title");
  input->set_datatype("BYTES");
  input->add_shape(static_cast<int64_t>(titles.size()));
  for (const std::string& title : titles) input->mutable_contents()->add_bytes_contents(title);
  return request;
}

void AddText(ModelInferRequest& request, const char* name, const std::string& value) {
  auto* input = request.add_inputs();
  input->set_name(name);
  input->set_datatype("BYTES");
  input->add_shape(1);
  input->mutable_contents()->add_bytes_contents(value);
}

ModelInferRequest Delay(const std::string& departure, const std::string& version = "") {
  ModelInferRequest request;
  request.set_model_name("arrival-delay");
  request.set_model_version(version);
  AddText(request, "origin", "LAX");
  AddText(request, "destination", "SFO");
  AddText(request, "departure", departure);
  auto* distance = request.add_inputs();
  distance->set_name("distance");
  distance->set_datatype("FP32");
  distance->add_shape(1);
  distance->mutable_contents()->add_fp32_contents(337);
  return request;
}

std::vector<std::string> Titles(const ModelInferResponse& response) {
  const auto& contents = response.outputs(0).contents().bytes_contents();
  return {contents.begin(), contents.end()};
}

const std::vector<std::string> kFilms = {"Gigli", "The Godfather", "Toy Story",
                                         "Battlefield Earth: A Saga of the Year 3000", "Pulp Fiction"};

TEST_F(HostTest, SaysThatItLivesIsReadyAndWhatItIs) {
  Start();
  EXPECT_TRUE(load_failures_.empty());
  inference::ServerLiveResponse live;
  ASSERT_TRUE(Call(&GRPCInferenceService::Stub::ServerLive, inference::ServerLiveRequest(), live).ok());
  EXPECT_TRUE(live.live());
  inference::ServerReadyResponse ready;
  ASSERT_TRUE(Call(&GRPCInferenceService::Stub::ServerReady, inference::ServerReadyRequest(), ready).ok());
  EXPECT_TRUE(ready.ready());
  inference::ServerMetadataResponse metadata;
  ASSERT_TRUE(Call(&GRPCInferenceService::Stub::ServerMetadata, inference::ServerMetadataRequest(), metadata).ok());
  EXPECT_EQ(metadata.name(), "signalbox host");
  EXPECT_FALSE(metadata.version().empty());
  EXPECT_THAT(metadata.extensions(), ElementsAre("model_repository", "model_repository(version)"));
}

TEST_F(HostTest, ModelReadyIsAnAnswerForModelsThatAreNotThereToo) {
  Start({"title-ranker@2"});
  EXPECT_TRUE(ModelReady("title-ranker", ""));
  EXPECT_TRUE(ModelReady("title-ranker", "2"));
  EXPECT_FALSE(ModelReady("title-ranker", "1"));
  EXPECT_FALSE(ModelReady("title-ranker", "two"));
  EXPECT_FALSE(ModelReady("arrival-delay", ""));
  EXPECT_FALSE(ModelReady("", ""));
}

TEST_F(HostTest, MetadataDescribesTensorsVersionsAndQuality) {
  Start();
  inference::ModelMetadataRequest request;
  request.set_name("title-ranker");
  inference::ModelMetadataResponse response;
  ASSERT_TRUE(Call(&GRPCInferenceService::Stub::ModelMetadata, request, response).ok());
  EXPECT_THAT(response.versions(), ElementsAre("1", "2", "3"));
  ASSERT_EQ(response.inputs_size(), 1);
  EXPECT_EQ(response.inputs(0).name(), "title");
  EXPECT_EQ(response.inputs(0).datatype(), "BYTES");
  EXPECT_THAT(response.inputs(0).shape(), ElementsAre(-1));
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(1).datatype(), "FP32");
  EXPECT_THAT(response.properties().at("held_out_ndcg@10"), testing::StartsWith("0."));
  EXPECT_THAT(response.properties().at("sample_request"), HasSubstr("bytes_contents"));

  request.set_version("4");
  EXPECT_EQ(Call(&GRPCInferenceService::Stub::ModelMetadata, request, response).error_code(), grpc::NOT_FOUND);
}

TEST_F(HostTest, RanksTheTitlesThatItWasGiven) {
  Start();
  ModelInferResponse response;
  ASSERT_TRUE(Infer(Rank(kFilms, "3"), response).ok());
  EXPECT_EQ(response.model_name(), "title-ranker");
  EXPECT_EQ(response.model_version(), "3");
  EXPECT_EQ(response.id(), "r1");
  const std::vector<std::string> ranked = Titles(response);
  EXPECT_THAT(ranked, testing::UnorderedElementsAreArray(kFilms));
  EXPECT_THAT((std::vector<std::string>{ranked[3], ranked[4]}),
              UnorderedElementsAre("Gigli", "Battlefield Earth: A Saga of the Year 3000"));
  const auto& scores = response.outputs(1).contents().fp32_contents();
  EXPECT_TRUE(std::is_sorted(scores.rbegin(), scores.rend())) << "best first";

  ModelInferResponse without_version;
  ASSERT_TRUE(Infer(Rank(kFilms), without_version).ok());
  EXPECT_EQ(without_version.model_version(), "3") << "the highest that is loaded";
}

TEST_F(HostTest, TitlesThatItDoesNotKnowComeLastAndAreCounted) {
  Start({"title-ranker"});
  ModelInferResponse response;
  ASSERT_TRUE(Infer(Rank({"No Such Film", "Gigli", "Neither This"}), response).ok());
  EXPECT_THAT(Titles(response), ElementsAre("Gigli", "No Such Film", "Neither This"));
  EXPECT_EQ(response.parameters().at("unknown_titles").int64_param(), 2);
}

TEST_F(HostTest, TheRequestContextAndTheRulesParametersChangeTheOrder) {
  Start({"title-ranker"});
  ModelInferResponse response;
  ASSERT_TRUE(Infer(Rank(kFilms), response, "country=US, surface=kids").ok());
  EXPECT_EQ(Titles(response)[0], "Toy Story") << "the one film of the five that is rated G";

  const std::vector<std::string> genres = {"The Godfather", "The Godfather: Part II", "Goodfellas", "Toy Story"};
  ModelInferRequest diverse = Rank(genres);
  (*diverse.mutable_parameters())["genre_diversity"].set_string_param("0.9");
  ModelInferResponse plain_order, diverse_order;
  ASSERT_TRUE(Infer(Rank(genres), plain_order).ok());
  ASSERT_TRUE(Infer(diverse, diverse_order).ok());
  EXPECT_NE(Titles(plain_order), Titles(diverse_order));

  (*diverse.mutable_parameters())["genre_diversity"].set_string_param("very");
  const grpc::Status status = Infer(diverse, response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("parameter \"genre_diversity\": \"very\", expected a number from 0 to 1"));
}

TEST_F(HostTest, ScoresDelaysWithBothVersions) {
  Start({"arrival-delay"});
  std::set<float> evening_and_morning;
  for (const char* version : {"1", "2"}) {
    for (const char* departure : {"2001/03/30 06:10", "2001/03/30 20:40"}) {
      ModelInferResponse response;
      ASSERT_TRUE(Infer(Delay(departure, version), response).ok());
      const float probability = response.outputs(0).contents().fp32_contents(0);
      EXPECT_GT(probability, 0);
      EXPECT_LT(probability, 1);
      evening_and_morning.insert(probability);
    }
  }
  EXPECT_EQ(evening_and_morning.size(), 3U) << "version 1 does not look at the time of day, version 2 does";
}

TEST_F(HostTest, RawContentsAreAnsweredRawAndWithTheSameNumbers) {
  Start({"arrival-delay@2"});
  ModelInferRequest typed = Delay("2001-03-30T18:00"), raw = typed;
  for (auto& input : *raw.mutable_inputs()) {
    std::string bytes;
    for (const std::string& text : input.contents().bytes_contents()) {
      const uint32_t length = static_cast<uint32_t>(text.size());
      bytes.append(reinterpret_cast<const char*>(&length), sizeof(length)).append(text);
    }
    for (float value : input.contents().fp32_contents())
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    input.clear_contents();
    raw.add_raw_input_contents(bytes);
  }
  ModelInferResponse typed_response, raw_response;
  ASSERT_TRUE(Infer(typed, typed_response).ok());
  ASSERT_TRUE(Infer(raw, raw_response).ok());
  ASSERT_EQ(raw_response.raw_output_contents_size(), 1);
  EXPECT_FALSE(raw_response.outputs(0).has_contents());
  const float probability = typed_response.outputs(0).contents().fp32_contents(0);
  EXPECT_EQ(raw_response.raw_output_contents(0),
            std::string(reinterpret_cast<const char*>(&probability), sizeof(probability)));
}

TEST_F(HostTest, BadRequestsAreRefusedWithAStatusAndTheHostStaysUp) {
  Start({"title-ranker", "arrival-delay@2"});
  auto changed = [](ModelInferRequest request, const std::function<void(ModelInferRequest&)>& change) {
    change(request);
    return request;
  };
  const struct {
    ModelInferRequest request;
    grpc::StatusCode code;
    const char* message;
  } cases[] = {
      {ModelInferRequest(), grpc::NOT_FOUND, "no model \"\" in this repository; it has arrival-delay, title-ranker"},
      {Rank(kFilms, "8"), grpc::NOT_FOUND, "has no version 8"},
      {Rank(kFilms, "latest"), grpc::INVALID_ARGUMENT, "version \"latest\" is not a number"},
      {Delay("2001/03/30 06:10", "1"), grpc::UNAVAILABLE, "version 1 is UNAVAILABLE: not loaded"},
      {changed(Rank(kFilms), [](auto& r) { r.clear_inputs(); }), grpc::INVALID_ARGUMENT, "input \"title\": missing"},
      {changed(Rank(kFilms), [](auto& r) { r.mutable_inputs(0)->set_datatype("INT8"); }), grpc::INVALID_ARGUMENT,
       "datatype \"INT8\", expected BYTES"},
      {changed(Rank(kFilms), [](auto& r) { r.mutable_inputs(0)->set_shape(0, int64_t{1} << 62); }),
       grpc::INVALID_ARGUMENT, "expected 0 to 10000 rows"},
      {changed(Rank(kFilms), [](auto& r) { r.mutable_inputs(0)->set_shape(0, 4); }), grpc::INVALID_ARGUMENT,
       "5 elements in contents.bytes_contents, the shape says 4"},
      {changed(Rank(kFilms), [](auto& r) { r.add_outputs()->set_name("probability"); }), grpc::INVALID_ARGUMENT,
       "output \"probability\": this model has no such output"},
      {Delay("tomorrow"), grpc::INVALID_ARGUMENT, "element 0 is \"tomorrow\", expected local time"},
      {changed(Delay("2001/03/30 06:10"),
               [](auto& r) { r.mutable_inputs(0)->mutable_contents()->set_bytes_contents(0, "Los Angeles"); }),
       grpc::INVALID_ARGUMENT, "expected an airport code such as JFK"},
      {changed(Delay("2001/03/30 06:10"),
               [](auto& r) { r.mutable_inputs(3)->mutable_contents()->set_fp32_contents(0, -3); }),
       grpc::INVALID_ARGUMENT, "input \"distance\": element 0 is -3"},
  };
  for (const auto& c : cases) {
    ModelInferResponse response;
    const grpc::Status status = Infer(c.request, response);
    EXPECT_EQ(status.error_code(), c.code) << c.message;
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
  ModelInferResponse response;
  EXPECT_TRUE(Infer(Rank(kFilms), response).ok());
}

TEST_F(HostTest, ABodyThatIsTooLargeIsRefused) {
  Start({"title-ranker@1"});
  ModelInferRequest request = Rank(kFilms);
  request.mutable_inputs(0)->mutable_contents()->set_bytes_contents(0, std::string(17 << 20, 'x'));
  ModelInferResponse response;
  EXPECT_EQ(Infer(request, response).error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Infer(Rank(kFilms), response).ok());
}

TEST_F(HostTest, AStreamIsAnsweredInOrderAndOutlivesAMistake) {
  Start();
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + kCallMax);
  auto stream = stub_->ModelStreamInfer(&call);
  ModelInferRequest wrong = Rank({"Jaws"});
  wrong.set_id("wrong");
  wrong.mutable_inputs(0)->set_datatype("FP32");
  inference::ModelStreamInferResponse response;

  ASSERT_TRUE(stream->Write(Rank(kFilms)));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.error_message(), "");
  EXPECT_EQ(Titles(response.infer_response()).size(), kFilms.size());

  ASSERT_TRUE(stream->Write(wrong));
  ASSERT_TRUE(stream->Write(Delay("2001/03/30 06:10")));
  stream->WritesDone();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_THAT(response.error_message(), HasSubstr("datatype \"FP32\", expected BYTES"));
  EXPECT_EQ(response.infer_response().id(), "wrong");
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.infer_response().model_name(), "arrival-delay");
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(HostTest, ModelsAreLoadedAndUnloadedOnRequest) {
  Start({"none"});
  EXPECT_THAT(Index(/*only_ready=*/true), ElementsAre());
  EXPECT_EQ(Index().size(), 5U);

  ASSERT_TRUE(Load("title-ranker", "2").ok());
  EXPECT_THAT(Index(/*only_ready=*/true), ElementsAre("title-ranker@2 READY"));
  ASSERT_TRUE(Load("title-ranker", "").ok());
  ASSERT_TRUE(Load("title-ranker", "").ok()) << "what is loaded stays so";
  EXPECT_EQ(Index(/*only_ready=*/true).size(), 3U);
  ASSERT_TRUE(Unload("title-ranker", "2").ok());
  EXPECT_THAT(Index(/*only_ready=*/true), ElementsAre("title-ranker@1 READY", "title-ranker@3 READY"));
  EXPECT_FALSE(ModelReady("title-ranker", "2"));

  EXPECT_EQ(Load("ranker", "").error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(Load("title-ranker", "x").error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(Unload("title-ranker", "9").error_code(), grpc::NOT_FOUND);
  inference::RepositoryModelLoadRequest request;
  request.set_repository_name("other");
  inference::RepositoryModelLoadResponse response;
  EXPECT_EQ(Call(&GRPCInferenceService::Stub::RepositoryModelLoad, request, response).error_code(), grpc::NOT_FOUND);
  request.clear_repository_name();
  (*request.mutable_parameters())["version"].set_bool_param(true);
  EXPECT_EQ(Call(&GRPCInferenceService::Stub::RepositoryModelLoad, request, response).error_code(),
            grpc::INVALID_ARGUMENT);
}

TEST_F(HostTest, LoadsBeyondTheMemoryForModelsAreRefusedUntilOthersAreUnloaded) {
  const auto bytes_of = [this](const std::string& version) {
    uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(path_ + "/title-ranker/" + version)) {
      bytes += file.file_size();
    }
    return bytes;
  };
  const uint64_t limit = std::max(bytes_of("2"), bytes_of("3")) + 1;
  Start({"none"}, limit);
  ASSERT_TRUE(Load("title-ranker", "2").ok());

  const grpc::Status refused = Load("title-ranker", "3");
  const std::vector<std::string> index = Index();
  ASSERT_TRUE(Unload("title-ranker", "2").ok());

  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_THAT(
      refused.error_message(),
      HasSubstr(fmt::format("its files have {} bytes, {} of the {} bytes for models (--memory-bytes) are in use",
                            bytes_of("3"), bytes_of("2"), limit)));
  EXPECT_THAT(index, testing::Contains("title-ranker@3 UNAVAILABLE"));
  EXPECT_TRUE(Load("title-ranker", "3").ok());
  inference::ModelMetadataRequest request;
  request.set_name("title-ranker");
  inference::ModelMetadataResponse metadata;
  ASSERT_TRUE(Call(&GRPCInferenceService::Stub::ModelMetadata, request, metadata).ok());
  EXPECT_EQ(metadata.properties().at("memory_bytes"), fmt::format("{}", bytes_of("3")));
}

TEST_F(HostTest, StatesWhichLifeItIs) {
  Start({"none"});
  const std::string first = host_->instance();
  EXPECT_EQ(StatedInstance(), first);
  EXPECT_EQ(first.size(), 32U);

  host_->Stop(std::chrono::milliseconds(0));
  Start({"none"});

  EXPECT_NE(host_->instance(), first);
}

TEST_F(HostTest, ReportsItsLoadToWhoAsksForIt) {
  Start({"title-ranker@2"}, 1 << 30);
  EXPECT_EQ(LoadReport(""), "");
  EXPECT_EQ(LoadReport("bin"), "");
  EXPECT_THAT(LoadReport("text"), testing::MatchesRegex("TEXT cpu_utilization=[0-9.]+,mem_utilization=0\\.[0-9]+"));
  EXPECT_THAT(LoadReport("JSON"),
              testing::MatchesRegex("JSON .\"cpu_utilization\": [0-9.]+, \"mem_utilization\": 0.*"));
}

TEST_F(HostTest, IsQuietWhenNobodyHasAskedForAWhile) {
  Start({"title-ranker@2"});
  constexpr std::chrono::milliseconds kQuiet{50};
  EXPECT_TRUE(host_->WaitUntilQuiet(kQuiet, kCallMax));

  std::atomic<bool> asking = true;
  std::promise<void> asked;
  std::thread client([&] {
    for (bool first = true; asking; first = false) {
      ModelInferResponse response;
      EXPECT_TRUE(Infer(Rank({"Jaws"}), response).ok());
      if (first) asked.set_value();
    }
  });
  asked.get_future().wait();
  // Longer than any pause between two of these requests.
  const bool quiet_while_asked = host_->WaitUntilQuiet(std::chrono::seconds(5), std::chrono::milliseconds(100));
  asking = false;
  client.join();

  EXPECT_FALSE(quiet_while_asked);
  EXPECT_TRUE(host_->WaitUntilQuiet(kQuiet, kCallMax));
}

TEST_F(HostTest, ABrokenModelIsReportedAndTheOthersServe) {
  std::filesystem::resize_file(path_ + "/arrival-delay/2/model.ubj", 1000);
  Start();
  ASSERT_EQ(load_failures_.size(), 1U);
  EXPECT_THAT(load_failures_[0], HasSubstr("model \"arrival-delay\" version 2: "));
  EXPECT_THAT(Index(), testing::Contains("arrival-delay@2 UNAVAILABLE"));
  const grpc::Status status = Load("arrival-delay", "2");
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("SHA-256"));
  ModelInferResponse response;
  EXPECT_TRUE(Infer(Delay("2001/03/30 06:10"), response).ok());
  EXPECT_EQ(response.model_version(), "1");
}

TEST_F(HostTest, IsNotReadyWhenNothingThatWasAskedForCouldBeLoaded) {
  for (const char* model : {"arrival-delay/1", "arrival-delay/2"})
    std::filesystem::resize_file(fmt::format("{}/{}/model.ubj", path_, model), 1000);
  Start({"arrival-delay", "no-such-model"});
  EXPECT_EQ(load_failures_.size(), 2U);
  EXPECT_FALSE(host_->WaitUntilLoaded(kCallMax)->ready);
  EXPECT_FALSE(ServerReady());
}

TEST_F(HostTest, IsReadyWithoutModelsWhenNoneWereAskedFor) {
  Start({"none"});
  EXPECT_TRUE(host_->WaitUntilLoaded(kCallMax)->ready);
  EXPECT_TRUE(ServerReady());
}

TEST_F(HostTest, AStopDoesNotWaitForModelsThatAreStillToBeLoaded) {
  constexpr int kVersions = 2000;
  for (int version = 3; version <= kVersions; ++version) {
    std::filesystem::create_directory_symlink(path_ + "/arrival-delay/2",
                                              fmt::format("{}/arrival-delay/{}", path_, version));
  }
  auto host = Host::Start({.repository = path_, .listen = "127.0.0.1:0", .load = {"arrival-delay"}});
  ASSERT_TRUE(host.ok()) << host.status();
  (*host)->Stop(kCallMax);
  const std::optional<LoadResult> loaded = (*host)->WaitUntilLoaded(kCallMax);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_FALSE(loaded->ready);
  EXPECT_THAT(loaded->failures, testing::ElementsAre(HasSubstr("the host stops")));
}

TEST_F(HostTest, StopsWithAnsweredRequestsAndEndedStreams) {
  Start({"title-ranker@1"});
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + kCallMax);
  auto stream = stub_->ModelStreamInfer(&call);
  inference::ModelStreamInferResponse response;
  ASSERT_TRUE(stream->Write(Rank(kFilms)));
  ASSERT_TRUE(stream->Read(&response));

  auto stopped = std::async(std::launch::async, [&] { host_->Stop(kCallMax); });
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(stopped.wait_for(kCallMax), std::future_status::ready) << "an idle stream held the host up";
}

TEST_F(HostTest, OptionsThatSayNothingAreRefused) {
  auto refused = [&](HostOptions options) { return Host::Start(std::move(options)).status(); };
  EXPECT_TRUE(absl::IsInvalidArgument(refused({.repository = path_, .listen = "127.0.0.1:0", .load = {}})));
  EXPECT_TRUE(absl::IsInvalidArgument(refused({.repository = path_, .listen = "127.0.0.1:0", .load = {"all", "x"}})));
  EXPECT_TRUE(absl::IsInvalidArgument(refused({.repository = path_, .listen = "127.0.0.1:0", .load = {"x@"}})));
  EXPECT_TRUE(absl::IsNotFound(refused({.repository = path_ + "/absent", .listen = "127.0.0.1:0"})));
  EXPECT_TRUE(absl::IsUnavailable(refused({.repository = path_, .listen = "192.0.2.1:0"})));
  Start({"none"});
  EXPECT_TRUE(absl::IsUnavailable(refused({.repository = path_, .listen = host_->address()})))
      << "two hosts must not share a port";
}

}  // namespace
}  // namespace signalbox::host
