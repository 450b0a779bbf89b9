// A host of the Open Inference Protocol that does what a test tells it: the truth, or not. For tests only.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "inference/open_inference.grpc.pb.h"

namespace signalbox::fleet {

struct TestModel {
  std::string state = "READY";
  std::string reason = {};
  std::string sample_request =
      R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"contents":{"fp32_contents":[1]}}]})";
  std::string datatype = "FP32";  // of the output "y", as the metadata has it
  std::vector<int64_t> shape = {-1};
  // What is answered. Left out: one number.
  std::function<grpc::Status(const inference::ModelInferRequest&, inference::ModelInferResponse&)> infer = nullptr;
};

// How the host behaves; what is not set is truthful.
struct TestBehaviour {
  bool ready = true;
  bool has_index = true;
  std::set<std::string> hangs;       // calls that are not answered until the host is told otherwise: "ServerReady"
  std::map<std::string, int> fails;  // so many of the next calls fail
  std::string instance;              // stated in headers; empty: none
  bool single_versions = true;       // takes the parameter `version`, and says so
  std::string load_report;           // value of endpoint-load-metrics
  // After a load was asked for (name, version). Left out: the model is READY.
  std::function<grpc::Status(const std::string&, const std::string&)> load;
  std::function<grpc::Status(const std::string&, const std::string&)> unload;
};

class TestHost : public inference::GRPCInferenceService::Service {
 public:
  // Port 0: a free one.
  explicit TestHost(int port = 0) { Start(port); }
  ~TestHost() override { Stop(); }

  void Start(int port) {
    {
      std::lock_guard lock(mutex_);
      stopping_ = false;
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort(fmt::format("127.0.0.1:{}", port), grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  // As a process that ends: connections are closed, its port refuses. Start(port()) is its next life.
  void Stop() {
    if (server_ == nullptr) return;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  int port() const { return port_; }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  void Behave(const std::function<void(TestBehaviour&)>& change) {
    std::lock_guard lock(mutex_);
    change(behaviour_);
    changed_.notify_all();
  }
  // What is in the repository: by model id.
  void Have(const std::string& id, TestModel model = {}) {
    std::lock_guard lock(mutex_);
    models_[id] = std::move(model);
  }
  void Lose(const std::string& id) {
    std::lock_guard lock(mutex_);
    models_.erase(id);
  }
  void SetState(const std::string& id, const std::string& state, const std::string& reason = "") {
    std::lock_guard lock(mutex_);
    models_[id].state = state;
    models_[id].reason = reason;
  }

  // "RepositoryModelLoad m version=3", in order; calls of probes are not among them.
  std::vector<std::string> calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }
  // Of a call by its name.
  int count(const std::string& call) const {
    std::lock_guard lock(mutex_);
    const auto found = counts_.find(call);
    return found == counts_.end() ? 0 : found->second;
  }
  // Blocks until the call has come so often, 30 s at most.
  bool WaitForCall(const std::string& call, int times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return counts_[call] >= times; });
  }

 private:
  using Context = grpc::ServerContext;
  using Parameters = google::protobuf::Map<std::string, inference::ModelRepositoryParameter>;

  // What each call begins with.
  std::optional<grpc::Status> Begin(Context* context, const std::string& call) {
    std::unique_lock lock(mutex_);
    ++counts_[call];
    changed_.notify_all();
    if (!behaviour_.instance.empty()) context->AddInitialMetadata("sb-host-instance", behaviour_.instance);
    const auto wants = context->client_metadata().find("endpoint-load-metrics-format");
    if (!behaviour_.load_report.empty() && wants != context->client_metadata().end()) {
      context->AddTrailingMetadata("endpoint-load-metrics", behaviour_.load_report);
    }
    changed_.wait(lock, [&] { return stopping_ || !behaviour_.hangs.contains(call); });
    if (stopping_) return grpc::Status(grpc::StatusCode::CANCELLED, "");
    if (behaviour_.fails[call]-- > 0) return grpc::Status(grpc::StatusCode::INTERNAL, "as the test wants it");
    behaviour_.fails[call] = 0;
    return std::nullopt;
  }

  static std::string IdOf(const std::string& name, const std::string& version) {
    return version.empty() ? name : fmt::format("{}@{}", name, version);
  }

  TestModel* Find(const std::string& name, const std::string& version) {
    auto found = models_.find(IdOf(name, version));
    if (found == models_.end() && version.empty()) {
      found = models_.lower_bound(name + "@");
      if (found != models_.end() && !found->first.starts_with(name + "@")) found = models_.end();
    }
    return found == models_.end() ? nullptr : &found->second;
  }

  grpc::Status ServerLive(Context* context, const inference::ServerLiveRequest*,
                          inference::ServerLiveResponse* response) override {
    if (auto status = Begin(context, "ServerLive")) return *status;
    response->set_live(true);
    return grpc::Status::OK;
  }

  grpc::Status ServerReady(Context* context, const inference::ServerReadyRequest*,
                           inference::ServerReadyResponse* response) override {
    if (auto status = Begin(context, "ServerReady")) return *status;
    std::lock_guard lock(mutex_);
    response->set_ready(behaviour_.ready);
    return grpc::Status::OK;
  }

  grpc::Status ServerMetadata(Context* context, const inference::ServerMetadataRequest*,
                              inference::ServerMetadataResponse* response) override {
    if (auto status = Begin(context, "ServerMetadata")) return *status;
    std::lock_guard lock(mutex_);
    response->add_extensions("model_repository");
    if (behaviour_.single_versions) response->add_extensions("model_repository(version)");
    return grpc::Status::OK;
  }

  grpc::Status RepositoryIndex(Context* context, const inference::RepositoryIndexRequest*,
                               inference::RepositoryIndexResponse* response) override {
    if (auto status = Begin(context, "RepositoryIndex")) return *status;
    std::lock_guard lock(mutex_);
    if (!behaviour_.has_index) return {grpc::StatusCode::UNIMPLEMENTED, ""};
    for (const auto& [id, model] : models_) {
      auto* entry = response->add_models();
      const size_t at = id.find('@');
      entry->set_name(id.substr(0, at));
      if (at != std::string::npos) entry->set_version(id.substr(at + 1));
      entry->set_state(model.state);
      entry->set_reason(model.reason);
    }
    return grpc::Status::OK;
  }

  static std::string VersionOf(const Parameters& parameters) {
    const auto found = parameters.find("version");
    return found == parameters.end() ? "" : found->second.string_param();
  }

  // Of the models that a load or unload is about: one version, or all.
  void SetStates(const std::string& name, const std::string& version, const std::string& state) {
    bool found = false;
    for (auto& [id, model] : models_) {
      if (id != IdOf(name, version) && !(version.empty() && id.starts_with(name + "@"))) continue;
      model.state = state;
      found = true;
    }
    if (!found && state == "READY") models_[IdOf(name, version)] = TestModel{};
  }

  grpc::Status Change(
      const char* call, const std::string& name, const Parameters& parameters, const std::string& state,
      const std::function<grpc::Status(const std::string&, const std::string&)> TestBehaviour::*script) {
    const std::string version = VersionOf(parameters);
    std::function<grpc::Status(const std::string&, const std::string&)> scripted;
    {
      std::lock_guard lock(mutex_);
      calls_.push_back(fmt::format("{} {}{}", call, name, version.empty() ? "" : " version=" + version));
      if (!version.empty() && !behaviour_.single_versions) {
        return {grpc::StatusCode::INVALID_ARGUMENT, "unrecognized load parameter 'version'"};
      }
      scripted = behaviour_.*script;
      if (!scripted) SetStates(name, version, state);
    }
    return scripted ? scripted(name, version) : grpc::Status::OK;
  }

  grpc::Status RepositoryModelLoad(Context* context, const inference::RepositoryModelLoadRequest* request,
                                   inference::RepositoryModelLoadResponse*) override {
    if (auto status = Begin(context, "RepositoryModelLoad")) return *status;
    return Change("RepositoryModelLoad", request->model_name(), request->parameters(), "READY", &TestBehaviour::load);
  }

  grpc::Status RepositoryModelUnload(Context* context, const inference::RepositoryModelUnloadRequest* request,
                                     inference::RepositoryModelUnloadResponse*) override {
    if (auto status = Begin(context, "RepositoryModelUnload")) return *status;
    return Change("RepositoryModelUnload", request->model_name(), request->parameters(), "UNAVAILABLE",
                  &TestBehaviour::unload);
  }

  grpc::Status ModelMetadata(Context* context, const inference::ModelMetadataRequest* request,
                             inference::ModelMetadataResponse* response) override {
    if (auto status = Begin(context, "ModelMetadata")) return *status;
    std::lock_guard lock(mutex_);
    const TestModel* model = Find(request->name(), request->version());
    if (model == nullptr) return {grpc::StatusCode::NOT_FOUND, "no such model"};
    auto* output = response->add_outputs();
    output->set_name("y");
    output->set_datatype(model->datatype);
    for (int64_t dimension : model->shape) output->add_shape(dimension);
    if (!model->sample_request.empty()) (*response->mutable_properties())["sample_request"] = model->sample_request;
    return grpc::Status::OK;
  }

  grpc::Status ModelInfer(Context* context, const inference::ModelInferRequest* request,
                          inference::ModelInferResponse* response) override {
    if (auto status = Begin(context, "ModelInfer")) return *status;
    TestModel model;
    {
      std::lock_guard lock(mutex_);
      const TestModel* found = Find(request->model_name(), request->model_version());
      if (found == nullptr) return {grpc::StatusCode::NOT_FOUND, "no such model"};
      model = *found;
    }
    response->set_model_name(request->model_name());
    response->set_model_version(request->model_version());
    if (model.infer) return model.infer(*request, *response);
    auto* output = response->add_outputs();
    output->set_name("y");
    output->set_datatype("FP32");
    output->add_shape(1);
    output->mutable_contents()->add_fp32_contents(0.5F);
    return grpc::Status::OK;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_, as all that follows up to the server
  TestBehaviour behaviour_;
  std::map<std::string, TestModel> models_;
  std::vector<std::string> calls_;
  std::map<std::string, int> counts_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace signalbox::fleet
