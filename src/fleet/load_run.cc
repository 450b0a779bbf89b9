// Loads and unloads.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "fleet/command_steps.h"

namespace signalbox::fleet {
namespace {

using std::chrono::milliseconds;
using Stub = inference::GRPCInferenceService::Stub;

constexpr milliseconds kLoadMax{60'000};
constexpr milliseconds kUnloadMax{30'000};
// Between two looks at the index: at first often, for models that are there at once.
constexpr milliseconds kLookAgainFirst{20};
constexpr milliseconds kLookAgainMax{500};
// A host that says UNAVAILABLE so often after it has answered the load will not change its mind.
constexpr int kUnavailableMax = 5;

class LoadRun : public CommandSteps {
 public:
  LoadRun(CommandHost& host, rollout::HostCommand command)
      : CommandSteps(host, std::move(command), kLoadMax), look_again_(host.loop()) {}

  void Start() override {
    AskForExtensions([this](bool single_versions) { Load(single_versions); });
  }

 private:
  void Load(bool single_versions) {
    if (!MayGoOn()) return;
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(name_);
    if (single_versions && !version_.empty()) (*request.mutable_parameters())["version"].set_string_param(version_);
    host_.connection().Call<inference::RepositoryModelLoadRequest, inference::RepositoryModelLoadResponse>(
        &Stub::PrepareAsyncRepositoryModelLoad, request, time_left(),
        [this](const HostAnswer<inference::RepositoryModelLoadResponse>& answer) {
          if (!answer.status.ok()) return FailOfCall("RepositoryModelLoad", answer.status);
          Look();
        });
  }

  // Hosts may answer before the model is there, and with success though this version is not among those they loaded.
  void Look() {
    AskForIndex([this](const HostIndex& index) {
      if (IsReady(index, command_.model)) return Done(absl::OkStatus());
      const auto found = index.find(command_.model);
      const bool unavailable = found != index.end() && found->second.state == rollout::ModelState::kUnavailable;
      unavailable_ = unavailable ? unavailable_ + 1 : 0;
      const std::string state = StateText(index, command_.model);
      if (unavailable_ >= kUnavailableMax) {
        return Fail(absl::StatusCode::kFailedPrecondition,
                    fmt::format("the load was answered, and its index says {}", state));
      }
      if (time_left() <= pause_) {
        return Fail(absl::StatusCode::kDeadlineExceeded,
                    fmt::format("the load was answered, and after {} ms its index still says {}; where a host loads "
                                "versions by a policy of its own, it must include this one",
                                timeout_.count(), state));
      }
      look_again_.Set(pause_, [this] { Look(); });
      pause_ = std::min(2 * pause_, kLookAgainMax);
    });
  }

  Timer look_again_;
  milliseconds pause_ = kLookAgainFirst;
  int unavailable_ = 0;
};

class UnloadRun : public CommandSteps {
 public:
  UnloadRun(CommandHost& host, rollout::HostCommand command)
      : CommandSteps(host, std::move(command), kUnloadMax), look_again_(host.loop()) {}

  void Start() override {
    AskForExtensions([this](bool single_versions) {
      if (single_versions || version_.empty()) return Unload(single_versions);
      // By name alone all versions would go, those that are in use too.
      AskForIndex([this](const HostIndex& index) {
        std::vector<std::string> others;
        for (const auto& [model, observed] : index) {
          const auto [name, version] = SplitModelId(model);
          const bool other_version = name == name_ && !version.empty() && version != version_;
          if (other_version && observed.state == rollout::ModelState::kReady) others.push_back(model);
        }
        if (others.empty()) return Unload(/*single_versions=*/false);
        Fail(absl::StatusCode::kUnimplemented,
             fmt::format("it can unload all versions of a model only, and {} would go with it",
                         fmt::join(others, ", ")));
      });
    });
  }

 private:
  void Unload(bool single_versions) {
    if (!MayGoOn()) return;
    inference::RepositoryModelUnloadRequest request;
    request.set_model_name(name_);
    if (single_versions && !version_.empty()) (*request.mutable_parameters())["version"].set_string_param(version_);
    host_.connection().Call<inference::RepositoryModelUnloadRequest, inference::RepositoryModelUnloadResponse>(
        &Stub::PrepareAsyncRepositoryModelUnload, request, time_left(),
        [this](const HostAnswer<inference::RepositoryModelUnloadResponse>& answer) {
          // What is not there needs no unloading.
          const bool is_gone = answer.status.error_code() == grpc::StatusCode::NOT_FOUND;
          if (!answer.status.ok() && !is_gone) return FailOfCall("RepositoryModelUnload", answer.status);
          Look();
        });
  }

  void Look() {
    AskForIndex([this](const HostIndex& index) {
      if (!IsReady(index, command_.model)) return Done(absl::OkStatus());
      if (time_left() <= pause_) {
        return Fail(
            absl::StatusCode::kDeadlineExceeded,
            fmt::format("the unload was answered, and after {} ms its index still says READY", timeout_.count()));
      }
      look_again_.Set(pause_, [this] { Look(); });
      pause_ = std::min(2 * pause_, kLookAgainMax);
    });
  }

  Timer look_again_;
  milliseconds pause_ = kLookAgainFirst;
};

}  // namespace

std::unique_ptr<CommandRun> MakeLoadRun(CommandHost& host, rollout::HostCommand command) {
  return std::make_unique<LoadRun>(host, std::move(command));
}

std::unique_ptr<CommandRun> MakeUnloadRun(CommandHost& host, rollout::HostCommand command) {
  return std::make_unique<UnloadRun>(host, std::move(command));
}

}  // namespace signalbox::fleet
