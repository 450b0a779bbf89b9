// Loads, dry runs and unloads, and what hosts that lie make of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/child_process.h"
#include "base/test_folder.h"
#include "fleet/test_fleet.h"

namespace signalbox::fleet {
namespace {

using rollout::CommandKind;
using rollout::CommandResult;
using rollout::HostCommand;
using rollout::ModelState;
using rollout::ObservedHost;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CommandTest : public FleetTest {};

void Answer(inference::ModelInferResponse& response, std::vector<int64_t> shape, std::vector<float> numbers) {
  auto* output = response.add_outputs();
  output->set_name("y");
  output->set_datatype("FP32");
  for (int64_t dimension : shape) output->add_shape(dimension);
  for (float number : numbers) output->mutable_contents()->add_fp32_contents(number);
}

TEST_F(CommandTest, ALoadEndsWhenTheIndexSaysReadyAndTheIndexIsSeenWithTheResult) {
  StartHost();

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.model, "m@2");
  EXPECT_EQ(StateOf("h1", "m@2"), ModelState::kReady);
  EXPECT_THAT(host_.calls(), ElementsAre("RepositoryModelLoad m version=2"));
}

TEST_F(CommandTest, ALoadThatIsAnsweredBeforeTheModelIsThereIsWaitedFor) {
  StartHost();
  host_.Behave([this](TestBehaviour& b) {
    b.load = [this](const std::string&, const std::string&) {
      host_.SetState("m@2", "LOADING");
      return grpc::Status::OK;
    };
  });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});
  ASSERT_TRUE(Until([&] { return StateOf("h1", "m@2") == ModelState::kLoading; }));
  EXPECT_THAT(fleet_->TakeResults(), IsEmpty());

  host_.SetState("m@2", "READY");

  EXPECT_TRUE(Result().status.ok());
}

TEST_F(CommandTest, AHostThatAnswersALoadAndNeverHasTheModelIsFoundOut) {
  StartHost();
  host_.Behave([this](TestBehaviour& b) {
    b.load = [this](const std::string&, const std::string&) {
      host_.SetState("m@2", "UNAVAILABLE", "cannot allocate");
      return grpc::Status::OK;
    };
  });

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("its index says UNAVAILABLE (cannot allocate)"));
}

TEST_F(CommandTest, ALoadThatTakesTooLongIsGivenUp) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"RepositoryModelLoad"}; });

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2", {}, milliseconds(200)));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("load of m@2: no answer to RepositoryModelLoad within the 200 ms that it may take"));
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
}

TEST_F(CommandTest, WhatAHostSaysOfALoadThatFailsIsPassedOnWithItsCode) {
  StartHost();
  host_.Behave([](TestBehaviour& b) {
    b.load = [](const std::string&, const std::string&) {
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no memory\nfor it");
    };
  });

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(result.status.message(),
            fmt::format("host h1 ({}): load of m@2: RepositoryModelLoad: no memory\\nfor it", host_.address()));
}

TEST_F(CommandTest, AHostThatLoadsByPolicyIsAskedByNameAlone) {
  host_.Behave([](TestBehaviour& b) { b.single_versions = false; });
  StartHost();
  host_.Have("m@2", {.state = "UNAVAILABLE"});

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(host_.calls(), ElementsAre("RepositoryModelLoad m"));
}

TEST_F(CommandTest, AHostThatLoadsByPolicyDoesNotLoseVersionsThatAreInUse) {
  host_.Behave([](TestBehaviour& b) { b.single_versions = false; });
  StartHost();
  host_.Have("m@2");

  const CommandResult refused = Run(Command(CommandKind::kUnload, "h1", "m@1"));
  host_.SetState("m@2", "UNAVAILABLE");
  const CommandResult done = Run(Command(CommandKind::kUnload, "h1", "m@1"));

  EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refused.status.message()),
              HasSubstr("all versions of a model only, and m@2 would go with it"));
  EXPECT_TRUE(done.status.ok()) << done.status;
  EXPECT_THAT(host_.calls(), ElementsAre("RepositoryModelUnload m"));
}

TEST_F(CommandTest, AnUnloadIsSeenWithItsResultAndWhatIsNotThereNeedsNone) {
  StartHost();

  const CommandResult result = Run(Command(CommandKind::kUnload, "h1", "m@1"));
  host_.Behave([](TestBehaviour& b) {
    b.unload = [](const std::string&, const std::string&) { return grpc::Status(grpc::StatusCode::NOT_FOUND, ""); };
  });
  const CommandResult again = Run(Command(CommandKind::kUnload, "h1", "other@1"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(StateOf("h1", "m@1"), ModelState::kUnavailable);
  EXPECT_TRUE(again.status.ok()) << again.status;
}

TEST_F(CommandTest, AModelWithoutAVersionIsThereWhenAnyVersionIs) {
  StartHost();
  EXPECT_EQ(StateOf("h1", "m"), ModelState::kAbsent);  // nobody has asked for it

  const CommandResult loaded = Run(Command(CommandKind::kLoad, "h1", "m"));
  const CommandResult tried = Run(Command(CommandKind::kDryRun, "h1", "m"));

  EXPECT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_TRUE(tried.status.ok()) << tried.status;
  EXPECT_EQ(StateOf("h1", "m"), ModelState::kReady);
}

TEST_F(CommandTest, ADryRunAsksTheSampleOfTheMetadataThreeTimes) {
  const CommandResult result = DryRunOf({});

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_GT(result.seconds, 0);
  EXPECT_EQ(result.note, "");
  EXPECT_EQ(host_.count("ModelInfer"), 3);
}

TEST_F(CommandTest, ADeclaredSampleAndContractGoBeforeThoseOfTheModel) {
  std::mutex mutex;
  std::string asked;
  TestModel model;
  model.infer = [&](const inference::ModelInferRequest& request, inference::ModelInferResponse& response) {
    std::lock_guard lock(mutex);
    asked = request.inputs(0).name();
    Answer(response, {2}, {1, 2});
    return grpc::Status::OK;
  };
  v1::FleetModel declared;
  declared.set_sample_request(
      R"({"inputs":[{"name":"declared","datatype":"FP32","shape":[1],"contents":{"fp32_contents":[1]}}]})");
  auto* output = declared.add_outputs();
  output->set_name("y");
  output->set_datatype("FP32");
  output->add_shape(3);

  const CommandResult result = DryRunOf(model, declared);

  EXPECT_EQ(asked, "declared");
  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("output \"y\" has the shape [2], declared is [3]"));
}

TEST_F(CommandTest, AModelThatSaysReadyAndDoesNotAnswerIsNotThere) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"ModelInfer"}; });

  const CommandResult result = Run(Command(CommandKind::kDryRun, "h1", "m@1", {}, milliseconds(200)));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("no answer to ModelInfer of the sample request"));
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
}

TEST_F(CommandTest, AModelThatSaysReadyAndRefusesIsNotTakenForAHostThatWentAway) {
  TestModel model;
  model.infer = [](const auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not loaded after all"); };

  const CommandResult result = DryRunOf(model);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("ModelInfer of the sample request: not loaded after all"));
  EXPECT_THAT(std::string(result.status.message()), testing::Not(HasSubstr("went away")));
}

TEST_F(CommandTest, AModelThatAnswersWithAnotherShapeThanItPromisesIsNotThere) {
  TestModel model;
  model.shape = {-1, 4};
  model.infer = [](const auto&, inference::ModelInferResponse& response) {
    Answer(response, {1, 3}, {1, 2, 3});
    return grpc::Status::OK;
  };

  const CommandResult result = DryRunOf(model);

  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("dry run of m@1: the answer to the sample request breaks its contract: output \"y\" has the "
                        "shape [1, 3], declared is [-1, 4]"));
}

TEST_F(CommandTest, AModelThatAnswersNaNIsNotThere) {
  TestModel model;
  model.infer = [](const auto&, inference::ModelInferResponse& response) {
    Answer(response, {2}, {1, std::numeric_limits<float>::quiet_NaN()});
    return grpc::Status::OK;
  };

  EXPECT_THAT(std::string(DryRunOf(model).status.message()), HasSubstr("element 1 is NaN or infinite"));
}

TEST_F(CommandTest, AModelWithoutASampleCountsAsThereAndThatIsSaid) {
  const CommandResult result = DryRunOf({.sample_request = ""});

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.note, HasSubstr("neither the fleet's declaration nor its metadata has a sample_request"));
  EXPECT_EQ(host_.count("ModelInfer"), 0);
}

TEST_F(CommandTest, ASampleThatIsNoRequestIsTheDeclarationsMistake) {
  v1::FleetModel declared;
  declared.set_sample_request("{\"inputs\": 5}");

  const CommandResult result = DryRunOf({}, declared);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("sample_request of the fleet's declaration: expected"));
}

TEST_F(CommandTest, AModelIsNotTriedBeforeWhatItDependsOnIsThere) {
  v1::FleetModel declared;
  declared.add_depends_on("tokens@1");
  declared.add_depends_on("vectors@2");
  host_.Have("tokens@1");
  host_.Have("vectors@2", {.state = "LOADING"});

  const CommandResult result = DryRunOf({}, declared);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("not READY there: vectors@2 is LOADING"));
  EXPECT_EQ(host_.count("ModelInfer"), 0);
}

TEST_F(CommandTest, AModelThatIsNotReadyIsNotTried) {
  const CommandResult result = DryRunOf({.state = "UNAVAILABLE", .reason = "corrupt"});

  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("its index says UNAVAILABLE (corrupt)"));
}

TEST_F(CommandTest, ASampleThatCrashesTheHostIsToldAsThat) {
  const TestFolder folder;
  const std::string port_file = folder.File("port");
  auto process = ChildProcess::Start(
      {.name = "host", .command = {SIGNALBOX_CRASHING_HOST, port_file}, .log_file = folder.File("log")});
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::StatusOr<int> port = process->WaitForPort(port_file, kPatience);
  ASSERT_TRUE(port.ok()) << port.status();
  fleet_->SetHosts({{.id = "h1", .address = fmt::format("127.0.0.1:{}", *port), .shard = "s", .instance = ""}});
  ASSERT_TRUE(UntilAlive("h1"));

  const CommandResult result = Run(Command(CommandKind::kDryRun, "h1", "m@1"));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("the host went away during the dry run of m@1, at ModelInfer of the sample request"));
  EXPECT_TRUE(UntilAway("h1"));
}

TEST_F(CommandTest, ACommandToAnEarlierLifeIsVoid) {
  StartHost();
  HostCommand command = Command(CommandKind::kLoad, "h1", "m@2");
  host_.Stop();
  ASSERT_TRUE(UntilAway("h1"));
  host_.Start(host_.port());
  ASSERT_TRUE(UntilAlive("h1"));

  const CommandResult result = Run(command);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("another process now"));
  EXPECT_THAT(host_.calls(), IsEmpty());
}

TEST_F(CommandTest, CommandsToHostsThatAreNotKnownOrForgottenHaveResults) {
  StartHost();
  const CommandResult unknown = Run({.kind = CommandKind::kLoad,
                                     .host = "h2",
                                     .instance = "i",
                                     .address = host_.address(),
                                     .model = "m@1",
                                     .declared = {}});
  host_.Behave([](TestBehaviour& b) { b.hangs = {"RepositoryModelLoad"}; });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});
  ASSERT_TRUE(host_.WaitForCall("RepositoryModelLoad"));

  fleet_->SetHosts({});
  const CommandResult forgotten = Result();

  EXPECT_EQ(unknown.status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(forgotten.status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(forgotten.status.message()), HasSubstr("not one of the fleet any more"));
  EXPECT_THAT(fleet_->Observe(), IsEmpty());
}

TEST_F(CommandTest, OneHostHasSoManyCommandsUnderWayAndNoMore) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"ServerMetadata"}; });
  std::vector<HostCommand> commands;
  for (int version = 1; version <= 5; ++version) {
    commands.push_back(Command(CommandKind::kLoad, "h1", fmt::format("x@{}", version)));
  }

  fleet_->Execute(commands);
  const CommandResult refused = Result();

  EXPECT_EQ(refused.model, "x@5");
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
}

}  // namespace
}  // namespace signalbox::fleet
