#include "host/inference_service.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>

#include "api/headers.h"
#include "api/host_extensions.h"
#include "base/canonical_json.h"
#include "base/status.h"
#include "host/inference_stream.h"

#ifndef SIGNALBOX_VERSION
#error "the host tells its clients its version"
#endif

namespace signalbox::host {
namespace {

constexpr char kServerName[] = "signalbox host";
constexpr char kPlatform[] = "signalbox_xgboost";
// The number of rows is the request's own.
constexpr int64_t kAnyRows = -1;

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(Message(status)));
}

grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Ours, beside Triton's: names one version. Absent: all versions of the model.
absl::StatusOr<std::string> VersionParameter(
    const google::protobuf::Map<std::string, inference::ModelRepositoryParameter>& parameters) {
  auto found = parameters.find("version");
  if (found == parameters.end()) return std::string();
  switch (found->second.parameter_choice_case()) {
    case inference::ModelRepositoryParameter::kStringParam:
      return found->second.string_param();
    case inference::ModelRepositoryParameter::kInt64Param:
      return std::to_string(found->second.int64_param());
    default:
      return absl::InvalidArgumentError("parameter \"version\": expected text or a whole number, such as \"2\"");
  }
}

absl::Status CheckRepositoryName(const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  return absl::NotFoundError(fmt::format(
      "no repository \"{}\": this host has one, without a name; leave repository_name empty", name.substr(0, 100)));
}

void Describe(std::span<const TensorSpec> specs,
              google::protobuf::RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>& tensors) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = tensors.Add();
    tensor->set_name(spec.name.data(), spec.name.size());
    tensor->set_datatype(spec.datatype.data(), spec.datatype.size());
    tensor->add_shape(kAnyRows);
  }
}

// For as long as a request is being answered.
class Busy {
 public:
  Busy(std::atomic<int>& count, std::atomic<std::chrono::steady_clock::time_point>& last) : count_(count), last_(last) {
    ++count_;
  }
  ~Busy() {
    last_ = std::chrono::steady_clock::now();
    --count_;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<int>& count_;
  std::atomic<std::chrono::steady_clock::time_point>& last_;
};

}  // namespace

std::chrono::steady_clock::time_point InferenceService::last_busy() const {
  return in_flight_ > 0 ? std::chrono::steady_clock::now() : last_answered_.load();
}

void InferenceService::StateInstance(grpc::CallbackServerContext& context) const {
  context.AddInitialMetadata(std::string(headers::kHostInstance), instance_);
}

void InferenceService::ReportLoad(grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto format =
      metadata.find(grpc::string_ref(LoadReport::kFormatHeader.data(), LoadReport::kFormatHeader.size()));
  if (format == metadata.end()) return;
  const std::string report = load_.Now({format->second.data(), format->second.size()});
  if (!report.empty()) context.AddTrailingMetadata(std::string(LoadReport::kHeader), report);
}

void InferenceService::Stop() {
  ready_ = false;
  std::lock_guard lock(mutex_);
  stopping_ = true;
  for (InferenceStream* stream : streams_) stream->Stop();
}

bool InferenceService::Add(InferenceStream* stream) {
  std::lock_guard lock(mutex_);
  streams_.insert(stream);
  return !stopping_;
}

void InferenceService::Remove(InferenceStream* stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

absl::Status InferenceService::Infer(const inference::ModelInferRequest& request, const RequestMetadata& metadata,
                                     inference::ModelInferResponse& response) const {
  const Busy busy(in_flight_, last_answered_);
  ASSIGN_OR_RETURN(LoadedModel loaded, repository_.Find(request.model_name(), request.model_version()));
  response.set_model_name(loaded.name);
  response.set_model_version(std::to_string(loaded.version));
  response.set_id(request.id());
  return loaded.model->Infer(request, metadata, response);
}

absl::Status InferenceService::Metadata(const inference::ModelMetadataRequest& request,
                                        inference::ModelMetadataResponse& response) const {
  ASSIGN_OR_RETURN(LoadedModel loaded, repository_.Find(request.name(), request.version()));
  const v1::Workflow& workflow = loaded.model->workflow();
  response.set_name(loaded.name);
  if (request.version().empty()) {
    for (int64_t version : repository_.LoadedVersions(loaded.name)) response.add_versions(std::to_string(version));
  } else {
    response.add_versions(request.version());
  }
  response.set_platform(kPlatform);
  Describe(loaded.model->inputs(), *response.mutable_inputs());
  Describe(loaded.model->outputs(), *response.mutable_outputs());
  auto& properties = *response.mutable_properties();
  properties["description"] = workflow.description();
  properties["features"] = fmt::format("{}", fmt::join(workflow.features(), ","));
  for (const auto& [metric, value] : workflow.held_out_metrics()) {
    properties["held_out_" + metric] = fmt::format("{:.4f}", value);
  }
  properties["memory_bytes"] = fmt::format("{}", loaded.memory_bytes);
  ASSIGN_OR_RETURN(properties["sample_request"], CanonicalJson(workflow.sample_request()));
  return absl::OkStatus();
}

absl::Status InferenceService::Index(const inference::RepositoryIndexRequest& request,
                                     inference::RepositoryIndexResponse& response) const {
  RETURN_IF_ERROR(CheckRepositoryName(request.repository_name()));
  for (const ModelIndexEntry& entry : repository_.Index()) {
    if (request.ready() && entry.state != ModelState::kReady) continue;
    auto* model = response.add_models();
    model->set_name(entry.name);
    model->set_version(std::to_string(entry.version));
    model->set_state(std::string(Name(entry.state)));
    model->set_reason(entry.reason);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* InferenceService::ServerLive(grpc::CallbackServerContext* context,
                                                       const inference::ServerLiveRequest*,
                                                       inference::ServerLiveResponse* response) {
  StateInstance(*context);
  response->set_live(true);
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ServerReady(grpc::CallbackServerContext* context,
                                                        const inference::ServerReadyRequest*,
                                                        inference::ServerReadyResponse* response) {
  StateInstance(*context);
  ReportLoad(*context);
  response->set_ready(ready_);
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelReady(grpc::CallbackServerContext* context,
                                                       const inference::ModelReadyRequest* request,
                                                       inference::ModelReadyResponse* response) {
  StateInstance(*context);
  // "Not ready" is an answer, not an error, also for a model that is not there: this is what a prober asks.
  response->set_ready(repository_.Find(request->name(), request->version()).ok());
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ServerMetadata(grpc::CallbackServerContext* context,
                                                           const inference::ServerMetadataRequest*,
                                                           inference::ServerMetadataResponse* response) {
  StateInstance(*context);
  response->set_name(kServerName);
  response->set_version(SIGNALBOX_VERSION);
  response->add_extensions(std::string(extensions::kRepository));
  response->add_extensions(std::string(extensions::kSingleVersions));
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceService::ModelMetadata(grpc::CallbackServerContext* context,
                                                          const inference::ModelMetadataRequest* request,
                                                          inference::ModelMetadataResponse* response) {
  StateInstance(*context);
  return Finish(context, Metadata(*request, *response));
}

grpc::ServerUnaryReactor* InferenceService::ModelInfer(grpc::CallbackServerContext* context,
                                                       const inference::ModelInferRequest* request,
                                                       inference::ModelInferResponse* response) {
  ReportLoad(*context);
  return Finish(context, Infer(*request, ReadMetadata(*context), *response));
}

grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>*
InferenceService::ModelStreamInfer(grpc::CallbackServerContext* context) {
  return new InferenceStream(*this, *context);  // deletes itself when the call is done
}

grpc::ServerUnaryReactor* InferenceService::RepositoryIndex(grpc::CallbackServerContext* context,
                                                            const inference::RepositoryIndexRequest* request,
                                                            inference::RepositoryIndexResponse* response) {
  StateInstance(*context);
  return Finish(context, Index(*request, *response));
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelLoad(grpc::CallbackServerContext* context,
                                                                const inference::RepositoryModelLoadRequest* request,
                                                                inference::RepositoryModelLoadResponse*) {
  return RunOnLoader(context, [this, request]() -> absl::Status {
    RETURN_IF_ERROR(CheckRepositoryName(request->repository_name()));
    ASSIGN_OR_RETURN(std::string version, VersionParameter(request->parameters()));
    return repository_.Load(request->model_name(), version);
  });
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelUnload(
    grpc::CallbackServerContext* context, const inference::RepositoryModelUnloadRequest* request,
    inference::RepositoryModelUnloadResponse*) {
  return RunOnLoader(context, [this, request]() -> absl::Status {
    RETURN_IF_ERROR(CheckRepositoryName(request->repository_name()));
    ASSIGN_OR_RETURN(std::string version, VersionParameter(request->parameters()));
    return repository_.Unload(request->model_name(), version);
  });
}

grpc::ServerUnaryReactor* InferenceService::RunOnLoader(grpc::CallbackServerContext* context,
                                                        std::function<absl::Status()> work) {
  StateInstance(*context);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  // gRPC keeps the request until the reactor is finished.
  if (!loader_.Add([reactor, work = std::move(work)] { reactor->Finish(ToGrpc(work())); })) {
    reactor->Finish(ToGrpc(absl::ResourceExhaustedError(
        fmt::format("the host is stopping, or {} loads and unloads wait already: try again when they are done",
                    Loader::kWaitingMax))));
  }
  return reactor;
}

}  // namespace signalbox::host
