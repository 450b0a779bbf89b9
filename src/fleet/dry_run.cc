// Dry runs: the sample request, answered three times, and the answers held to what is declared.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/canonical_json.h"
#include "base/status.h"
#include "fleet/answer_check.h"
#include "fleet/command_steps.h"

namespace signalbox::fleet {
namespace {

using std::chrono::milliseconds;
using Stub = inference::GRPCInferenceService::Stub;

constexpr milliseconds kDryRunMax{10'000};
// The first pays for what later ones find warm; the median of three is of a warm one, and no outlier.
constexpr size_t kAnswers = 3;
// For a host that may have been taken down to say that it was not.
constexpr milliseconds kAliveMax{1'000};
constexpr char kSampleProperty[] = "sample_request";

class DryRun : public CommandSteps {
 public:
  DryRun(CommandHost& host, rollout::HostCommand command) : CommandSteps(host, std::move(command), kDryRunMax) {}

  void Start() override {
    AskForIndex([this](const HostIndex& index) {
      std::vector<std::string> missing;
      for (const std::string& model : command_.declared.depends_on()) {
        if (!IsReady(index, model)) missing.push_back(fmt::format("{} is {}", model, StateText(index, model)));
      }
      if (!missing.empty()) {
        return Fail(absl::StatusCode::kFailedPrecondition,
                    fmt::format("it depends on models that are not READY there: {}", fmt::join(missing, ", ")));
      }
      if (!IsReady(index, command_.model)) {
        return Fail(absl::StatusCode::kFailedPrecondition,
                    fmt::format("its index says {}", StateText(index, command_.model)));
      }
      FindSample();
    });
  }

 private:
  void FindSample() {
    const v1::FleetModel& declared = command_.declared;
    contract_ = declared.outputs();
    if (!declared.sample_request().empty()) {
      if (!TakeSample(declared.sample_request(), "sample_request of the fleet's declaration")) return;
      if (!contract_.empty()) return Infer();
    }
    AskForMetadata();
  }

  bool TakeSample(const std::string& json, std::string_view where) {
    if (absl::Status status = ParseJson(json, sample_); !status.ok()) {
      Fail(absl::StatusCode::kInvalidArgument,
           fmt::format("{}: expected a ModelInferRequest in JSON: {}", where, HostText(Message(status))));
      return false;
    }
    sample_.set_model_name(name_);
    sample_.set_model_version(version_);
    has_sample_ = true;
    return true;
  }

  void AskForMetadata() {
    if (!MayGoOn()) return;
    inference::ModelMetadataRequest request;
    request.set_name(name_);
    request.set_version(version_);
    host_.connection().Call<inference::ModelMetadataRequest, inference::ModelMetadataResponse>(
        &Stub::PrepareAsyncModelMetadata, request, short_timeout(),
        [this](const HostAnswer<inference::ModelMetadataResponse>& answer) {
          // A model without metadata is one without a sample and without promises of its own.
          const bool none = answer.status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
          if (!answer.status.ok() && !none) return FailWhileTrying("ModelMetadata", answer.status);
          TakeMetadata(answer.response);
        });
  }

  void TakeMetadata(const inference::ModelMetadataResponse& metadata) {
    if (contract_.empty()) contract_ = ContractOf(metadata);
    if (!has_sample_) {
      const auto found = metadata.properties().find(kSampleProperty);
      if (found == metadata.properties().end() || found->second.empty()) {
        return Done(absl::OkStatus(), 0,
                    fmt::format("{}: neither the fleet's declaration nor its metadata has a sample_request: it counts "
                                "as there because its index says READY",
                                CommandText(command_)));
      }
      if (!TakeSample(found->second, "sample_request in the properties of its metadata")) return;
    }
    Infer();
  }

  void Infer() {
    if (!MayGoOn()) return;
    host_.connection().Call<inference::ModelInferRequest, inference::ModelInferResponse>(
        &Stub::PrepareAsyncModelInfer, sample_, time_left(),
        [this](const HostAnswer<inference::ModelInferResponse>& answer) {
          host_.NoteSaturation(answer.saturation);
          if (!answer.status.ok()) return FailWhileTrying("ModelInfer of the sample request", answer.status);
          if (absl::Status status = CheckAnswer(name_, version_, contract_, answer.response); !status.ok()) {
            return Fail(status.code(),
                        fmt::format("the answer to the sample request breaks its contract: {}", Message(status)));
          }
          seconds_.push_back(answer.seconds);
          InferAgainOrEnd();
        });
  }

  void InferAgainOrEnd() {
    // A model that takes half of the time for one answer has shown that it answers.
    const bool time_for_another = std::chrono::duration<double>(time_left()).count() > 2 * seconds_.back();
    if (seconds_.size() < kAnswers && time_for_another) return Infer();
    if (LostHost()) return Fail(absl::StatusCode::kUnavailable, "the host went away during the dry run");
    std::sort(seconds_.begin(), seconds_.end());
    Done(absl::OkStatus(), seconds_[seconds_.size() / 2],
         contract_.empty() ? fmt::format("{}: neither the fleet's declaration nor its metadata says which outputs it "
                                         "has: only that its answer is whole was checked",
                                         CommandText(command_))
                           : "");
  }

  // A model that takes its host with it is to be told apart from one that refuses: both may be UNAVAILABLE.
  void FailWhileTrying(std::string call, const grpc::Status& status) {
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return FailOfCall(call, status);
    host_.connection().Call<inference::ServerLiveRequest, inference::ServerLiveResponse>(
        &Stub::PrepareAsyncServerLive, {}, kAliveMax,
        [this, call = std::move(call), status](const HostAnswer<inference::ServerLiveResponse>& answer) {
          if (answer.status.ok() && !LostHost()) return FailOfCall(call, status);
          Fail(absl::StatusCode::kUnavailable, fmt::format("the host went away during the dry run of {}, at {}: {}",
                                                           command_.model, call, HostText(status.error_message())));
        });
  }

  OutputContracts contract_;
  inference::ModelInferRequest sample_;
  bool has_sample_ = false;
  std::vector<double> seconds_;
};

}  // namespace

std::unique_ptr<CommandRun> MakeDryRun(CommandHost& host, rollout::HostCommand command) {
  return std::make_unique<DryRun>(host, std::move(command));
}

}  // namespace signalbox::fleet
