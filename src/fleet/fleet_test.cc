#include "fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <mutex>

#include "base/child_process.h"
#include "base/test_folder.h"
#include "fleet/test_host.h"

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

// Longer than anything takes that does not hang.
constexpr std::chrono::seconds kPatience{60};

class FleetTest : public testing::Test {
 protected:
  void SetUp() override { StartFleet(); }

  // Quick probes, or the tests would take as long as what they wait for.
  void StartFleet(FleetOptions options = {.probe_interval_min = milliseconds(20),
                                          .probe_interval_max = milliseconds(40),
                                          .probe_again = milliseconds(10),
                                          .probe_timeout = milliseconds(1000),
                                          .commands_per_host_max = 4}) {
    fleet_.reset();
    fleet_ = Fleet::Start(options, [this] {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
  }

  KnownHost Known(const std::string& id, const TestHost& host, const std::string& instance = "") {
    return {.id = id, .address = host.address(), .shard = "s", .instance = instance};
  }

  // True as soon as the condition is, which is looked at whenever the fleet says that something has changed.
  bool Until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::unique_lock lock(mutex_);
    while (true) {
      const int seen = changes_;
      lock.unlock();
      if (condition()) return true;
      lock.lock();
      if (!changed_.wait_until(lock, deadline, [&] { return changes_ != seen; })) return false;
    }
  }

  // How often the fleet said that something had changed.
  int Changes() {
    std::lock_guard lock(mutex_);
    return changes_;
  }

  ObservedHost Observed(const std::string& id) {
    for (ObservedHost& host : fleet_->Observe()) {
      if (host.id == id) return host;
    }
    return {};
  }
  bool UntilAlive(const std::string& id) {
    return Until([&] { return Observed(id).alive; });
  }
  bool UntilAway(const std::string& id) {
    return Until([&] { return !Observed(id).alive; });
  }
  ModelState StateOf(const std::string& id, const std::string& model) {
    const ObservedHost host = Observed(id);
    const auto found = host.index.find(model);
    return found == host.index.end() ? ModelState::kAbsent : found->second.state;
  }

  HostCommand Command(CommandKind kind, const std::string& id, const std::string& model, v1::FleetModel declared = {},
                      milliseconds timeout = milliseconds(0)) {
    const ObservedHost host = Observed(id);
    return {.kind = kind,
            .host = id,
            .instance = host.instance,
            .address = host.address,
            .model = model,
            .declared = std::move(declared),
            .timeout = timeout};
  }

  CommandResult Result() {
    std::vector<CommandResult> results;
    EXPECT_TRUE(Until([&] {
      results = fleet_->TakeResults();
      return !results.empty();
    }));
    EXPECT_EQ(results.size(), 1U);
    return results.empty() ? CommandResult{} : results.front();
  }
  CommandResult Run(HostCommand command) {
    fleet_->Execute({std::move(command)});
    return Result();
  }

  // Of a host of its own with the model m@1, READY.
  void StartHost() {
    host_.Have("m@1");
    fleet_->SetHosts({Known("h1", host_)});
    ASSERT_TRUE(UntilAlive("h1"));
  }
  CommandResult DryRunOf(TestModel model, v1::FleetModel declared = {}, milliseconds timeout = milliseconds(0)) {
    host_.Have("m@1", std::move(model));
    fleet_->SetHosts({Known("h1", host_)});
    EXPECT_TRUE(UntilAlive("h1"));
    return Run(Command(CommandKind::kDryRun, "h1", "m@1", std::move(declared), timeout));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  TestHost host_;
  std::unique_ptr<Fleet> fleet_;
};

void Answer(inference::ModelInferResponse& response, std::vector<int64_t> shape, std::vector<float> numbers) {
  auto* output = response.add_outputs();
  output->set_name("y");
  output->set_datatype("FP32");
  for (int64_t dimension : shape) output->add_shape(dimension);
  for (float number : numbers) output->mutable_contents()->add_fp32_contents(number);
}

TEST_F(FleetTest, AHostThatAnswersIsAliveWithItsIndex) {
  host_.Have("m@1");
  host_.Have("m@2", {.state = "UNAVAILABLE", .reason = "not loaded"});
  host_.Have("old", {.state = "LOADING"});

  fleet_->SetHosts({Known("h1", host_)});

  ASSERT_TRUE(UntilAlive("h1"));
  const ObservedHost host = Observed("h1");
  EXPECT_EQ(host.address, host_.address());
  EXPECT_EQ(host.shard, "s");
  EXPECT_EQ(host.trouble, "");
  EXPECT_NE(host.instance, "");
  ASSERT_EQ(host.index.size(), 3U);
  EXPECT_EQ(host.index.at("m@1").state, ModelState::kReady);
  EXPECT_EQ(host.index.at("m@2").state, ModelState::kUnavailable);
  EXPECT_EQ(host.index.at("m@2").reason, "not loaded");
  EXPECT_EQ(host.index.at("old").state, ModelState::kLoading);
}

TEST_F(FleetTest, AHostThatIsNotThereIsToldAtOnceAndWhy) {
  const KnownHost known = Known("h1", host_);
  host_.Stop();

  fleet_->SetHosts({known});

  ASSERT_TRUE(Until([&] { return Observed("h1").trouble.find("connection refused") != std::string::npos; }))
      << Observed("h1").trouble;
  EXPECT_FALSE(Observed("h1").alive);
}

TEST_F(FleetTest, AHostThatEndsIsAwayAndComesBackWithAnotherInstance) {
  StartHost();
  const std::string instance = Observed("h1").instance;

  host_.Stop();
  ASSERT_TRUE(UntilAway("h1"));
  host_.Start(host_.port());

  ASSERT_TRUE(UntilAlive("h1"));
  EXPECT_NE(Observed("h1").instance, instance);
}

TEST_F(FleetTest, AHostThatStatesItsInstanceIsKnownByItAndKeepsItWhenAConnectionIsLost) {
  host_.Behave([](TestBehaviour& b) { b.instance = "life-1"; });
  StartHost();
  EXPECT_EQ(Observed("h1").instance, "life-1");

  host_.Stop();
  ASSERT_TRUE(UntilAway("h1"));
  host_.Start(host_.port());
  ASSERT_TRUE(UntilAlive("h1"));

  EXPECT_EQ(Observed("h1").instance, "life-1");
}

TEST_F(FleetTest, AnotherProcessThanTheOneThatRegisteredIsAStranger) {
  host_.Behave([](TestBehaviour& b) { b.instance = "life-2"; });

  fleet_->SetHosts({Known("h1", host_, "life-1")});

  ASSERT_TRUE(Until([&] {
    return Observed("h1").trouble.find("life-2, the one that registered was life-1") != std::string::npos;
  })) << Observed("h1").trouble;
  EXPECT_FALSE(Observed("h1").alive);
  fleet_->SetHosts({Known("h1", host_, "life-2")});
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatSaysThatItIsNotReadyIsNotAlive) {
  StartHost();

  host_.Behave([](TestBehaviour& b) { b.ready = false; });

  ASSERT_TRUE(UntilAway("h1"));
  EXPECT_EQ(Observed("h1").trouble, "it says that it is not ready");
  host_.Behave([](TestBehaviour& b) { b.ready = true; });
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatHangsIsAwayAfterTwoProbesAndCostsOthersNothing) {
  StartFleet({.probe_interval_min = milliseconds(10),
              .probe_interval_max = milliseconds(20),
              .probe_again = milliseconds(10),
              .probe_timeout = milliseconds(300),
              .commands_per_host_max = 4});
  TestHost other;
  other.Have("m@1");
  host_.Have("m@1");
  fleet_->SetHosts({Known("h1", host_), Known("h2", other)});
  ASSERT_TRUE(UntilAlive("h1") && UntilAlive("h2"));

  host_.Behave([](TestBehaviour& b) { b.hangs = {"ServerReady", "RepositoryModelLoad"}; });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});  // hangs for a minute
  const CommandResult result = Run(Command(CommandKind::kLoad, "h2", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.host, "h2");
  ASSERT_TRUE(UntilAway("h1"));
  EXPECT_EQ(Observed("h1").trouble, "no answer to ServerReady within 300 ms");
  EXPECT_TRUE(Observed("h2").alive);
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostThatFailsOneProbeStaysAliveAndOneThatFailsTwoDoesNot) {
  StartHost();
  const int changes = Changes();

  host_.Behave([](TestBehaviour& b) { b.fails["RepositoryIndex"] = 1; });
  ASSERT_TRUE(host_.WaitForCall("RepositoryIndex", host_.count("RepositoryIndex") + 5));
  const int changes_after_one = Changes();
  host_.Behave([](TestBehaviour& b) { b.fails["RepositoryIndex"] = 2; });

  EXPECT_EQ(changes_after_one, changes);
  ASSERT_TRUE(Until([&] { return Changes() != changes; }));
  EXPECT_TRUE(UntilAlive("h1"));
}

TEST_F(FleetTest, AHostWithoutARepositoryIndexCannotBeManagedAndThatIsSaid) {
  host_.Behave([](TestBehaviour& b) { b.has_index = false; });

  fleet_->SetHosts({Known("h1", host_)});

  ASSERT_TRUE(
      Until([&] { return Observed("h1").trouble.find("does not implement RepositoryIndex") != std::string::npos; }));
  EXPECT_FALSE(Observed("h1").alive);
}

TEST_F(FleetTest, AModelThatAHostLosesIsSeen) {
  StartHost();
  ASSERT_EQ(StateOf("h1", "m@1"), ModelState::kReady);

  host_.SetState("m@1", "UNAVAILABLE", "out of memory");

  EXPECT_TRUE(Until([&] { return StateOf("h1", "m@1") == ModelState::kUnavailable; }));
  host_.Lose("m@1");
  EXPECT_TRUE(Until([&] { return StateOf("h1", "m@1") == ModelState::kAbsent; }));
}

TEST_F(FleetTest, SaturationIsWhatTheHostReports) {
  host_.Behave(
      [](TestBehaviour& b) { b.load_report = "TEXT cpu_utilization=0.25,named_metrics.kv_cache_utilization=0.75"; });

  StartHost();

  EXPECT_DOUBLE_EQ(Observed("h1").saturation, 0.75);
}

TEST_F(FleetTest, ALoadEndsWhenTheIndexSaysReadyAndTheIndexIsSeenWithTheResult) {
  StartHost();

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.model, "m@2");
  EXPECT_EQ(StateOf("h1", "m@2"), ModelState::kReady);
  EXPECT_THAT(host_.calls(), ElementsAre("RepositoryModelLoad m version=2"));
}

TEST_F(FleetTest, ALoadThatIsAnsweredBeforeTheModelIsThereIsWaitedFor) {
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

TEST_F(FleetTest, AHostThatAnswersALoadAndNeverHasTheModelIsFoundOut) {
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

TEST_F(FleetTest, ALoadThatTakesTooLongIsGivenUp) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"RepositoryModelLoad"}; });

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2", {}, milliseconds(200)));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("load of m@2: no answer to RepositoryModelLoad within the 200 ms that it may take"));
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
}

TEST_F(FleetTest, WhatAHostSaysOfALoadThatFailsIsPassedOnWithItsCode) {
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

TEST_F(FleetTest, AHostThatLoadsByPolicyIsAskedByNameAlone) {
  host_.Behave([](TestBehaviour& b) { b.single_versions = false; });
  StartHost();
  host_.Have("m@2", {.state = "UNAVAILABLE"});

  const CommandResult result = Run(Command(CommandKind::kLoad, "h1", "m@2"));

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(host_.calls(), ElementsAre("RepositoryModelLoad m"));
}

TEST_F(FleetTest, AHostThatLoadsByPolicyDoesNotLoseVersionsThatAreInUse) {
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

TEST_F(FleetTest, AnUnloadIsSeenWithItsResultAndWhatIsNotThereNeedsNone) {
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

TEST_F(FleetTest, AModelWithoutAVersionIsThereWhenAnyVersionIs) {
  StartHost();
  EXPECT_EQ(StateOf("h1", "m"), ModelState::kAbsent);  // nobody has asked for it

  const CommandResult loaded = Run(Command(CommandKind::kLoad, "h1", "m"));
  const CommandResult tried = Run(Command(CommandKind::kDryRun, "h1", "m"));

  EXPECT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_TRUE(tried.status.ok()) << tried.status;
  EXPECT_EQ(StateOf("h1", "m"), ModelState::kReady);
}

TEST_F(FleetTest, ADryRunAsksTheSampleOfTheMetadataThreeTimes) {
  const CommandResult result = DryRunOf({});

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_GT(result.seconds, 0);
  EXPECT_EQ(result.note, "");
  EXPECT_EQ(host_.count("ModelInfer"), 3);
}

TEST_F(FleetTest, ADeclaredSampleAndContractGoBeforeThoseOfTheModel) {
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

TEST_F(FleetTest, AModelThatSaysReadyAndDoesNotAnswerIsNotThere) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"ModelInfer"}; });

  const CommandResult result = Run(Command(CommandKind::kDryRun, "h1", "m@1", {}, milliseconds(200)));

  EXPECT_EQ(result.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("no answer to ModelInfer of the sample request"));
  host_.Behave([](TestBehaviour& b) { b.hangs.clear(); });
}

TEST_F(FleetTest, AModelThatSaysReadyAndRefusesIsNotTakenForAHostThatWentAway) {
  TestModel model;
  model.infer = [](const auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not loaded after all"); };

  const CommandResult result = DryRunOf(model);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("ModelInfer of the sample request: not loaded after all"));
  EXPECT_THAT(std::string(result.status.message()), testing::Not(HasSubstr("went away")));
}

TEST_F(FleetTest, AModelThatAnswersWithAnotherShapeThanItPromisesIsNotThere) {
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

TEST_F(FleetTest, AModelThatAnswersNaNIsNotThere) {
  TestModel model;
  model.infer = [](const auto&, inference::ModelInferResponse& response) {
    Answer(response, {2}, {1, std::numeric_limits<float>::quiet_NaN()});
    return grpc::Status::OK;
  };

  EXPECT_THAT(std::string(DryRunOf(model).status.message()), HasSubstr("element 1 is NaN or infinite"));
}

TEST_F(FleetTest, AModelWithoutASampleCountsAsThereAndThatIsSaid) {
  const CommandResult result = DryRunOf({.sample_request = ""});

  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.note, HasSubstr("neither the fleet's declaration nor its metadata has a sample_request"));
  EXPECT_EQ(host_.count("ModelInfer"), 0);
}

TEST_F(FleetTest, ASampleThatIsNoRequestIsTheDeclarationsMistake) {
  v1::FleetModel declared;
  declared.set_sample_request("{\"inputs\": 5}");

  const CommandResult result = DryRunOf({}, declared);

  EXPECT_EQ(result.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("sample_request of the fleet's declaration: expected"));
}

TEST_F(FleetTest, AModelIsNotTriedBeforeWhatItDependsOnIsThere) {
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

TEST_F(FleetTest, AModelThatIsNotReadyIsNotTried) {
  const CommandResult result = DryRunOf({.state = "UNAVAILABLE", .reason = "corrupt"});

  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("its index says UNAVAILABLE (corrupt)"));
}

TEST_F(FleetTest, ASampleThatCrashesTheHostIsToldAsThat) {
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

TEST_F(FleetTest, ACommandToAnEarlierLifeIsVoid) {
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

TEST_F(FleetTest, CommandsToHostsThatAreNotKnownOrForgottenHaveResults) {
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

TEST_F(FleetTest, OneHostHasSoManyCommandsUnderWayAndNoMore) {
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

TEST_F(FleetTest, StoppingDoesNotWaitForHostsThatHang) {
  StartHost();
  host_.Behave([](TestBehaviour& b) { b.hangs = {"RepositoryModelLoad", "ServerReady"}; });
  fleet_->Execute({Command(CommandKind::kLoad, "h1", "m@2")});
  ASSERT_TRUE(host_.WaitForCall("RepositoryModelLoad"));
  const auto begin = std::chrono::steady_clock::now();

  fleet_->Stop();

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(JoinHosts, WhatIsDeclaredCountsBeforeWhatRegisters) {
  v1::Fleet fleet;
  auto* host = (*fleet.mutable_shards())["films"].add_hosts();
  host->set_address("10.0.0.1:8001");
  host = (*fleet.mutable_shards())["films"].add_hosts();
  host->set_address("10.0.0.2:8001");
  host->set_id("two");
  auto identity = [](const char* id, const char* address, const char* shard) {
    v1::HostIdentity registered;
    registered.set_id(id);
    registered.set_instance("life");
    registered.set_address(address);
    registered.set_shard(shard);
    return registered;
  };

  const KnownHosts joined =
      JoinHosts(fleet, {identity("10.0.0.1:8001", "10.0.0.1:8001", "films"), identity("two", "10.0.0.9:8001", "films"),
                        identity("three", "10.0.0.2:8001", "films"), identity("four", "10.0.0.4:8001", "films"),
                        identity("five", "10.0.0.5:8001", "flights")});

  std::vector<std::string> hosts;
  for (const KnownHost& known : joined.hosts)
    hosts.push_back(fmt::format("{} {} '{}'", known.id, known.address, known.instance));
  EXPECT_THAT(hosts,
              ElementsAre("10.0.0.1:8001 10.0.0.1:8001 'life'", "four 10.0.0.4:8001 'life'", "two 10.0.0.2:8001 ''"));
  EXPECT_THAT(joined.troubles,
              ElementsAre(HasSubstr("host five has registered for shard flights, which is not declared"),
                          HasSubstr("host three has registered with the address 10.0.0.2:8001 of host two"),
                          HasSubstr("host two has registered as 10.0.0.9:8001 of shard films, and is declared as")));
}

}  // namespace
}  // namespace signalbox::fleet
