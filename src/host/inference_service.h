// The calls of the Open Inference Protocol, on a repository. Inner part of host.h.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>

#include "absl/status/status.h"
#include "host/load_report.h"
#include "host/loader.h"
#include "host/repository.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox::host {

class InferenceStream;

// Thread-safe. Outlives the server it is registered with.
class InferenceService : public inference::GRPCInferenceService::CallbackService {
 public:
  // `instance` is stated in the answers to all calls but inference.
  InferenceService(Repository& repository, Loader& loader, std::string instance)
      : repository_(repository), loader_(loader), instance_(std::move(instance)), load_(repository) {}

  void SetReady(bool ready) { ready_ = ready; }
  // Not ready from now on; streams end at the next moment at which no message is being answered.
  void Stop();

  // Now while a request is being answered, else when the last one was. From any thread.
  std::chrono::steady_clock::time_point last_busy() const;

  // One request to one answer; what unary calls and streams share.
  absl::Status Infer(const inference::ModelInferRequest& request, const RequestMetadata& metadata,
                     inference::ModelInferResponse& response) const;

 private:
  friend class InferenceStream;
  // False when the service is stopping: the stream is to end at once.
  bool Add(InferenceStream* stream);
  void Remove(InferenceStream* stream);

  grpc::ServerUnaryReactor* RunOnLoader(grpc::CallbackServerContext* context, std::function<absl::Status()> work);
  // What the answers to all calls but inference begin with.
  void StateInstance(grpc::CallbackServerContext& context) const;
  // A load report, where it was asked for.
  void ReportLoad(grpc::CallbackServerContext& context);
  absl::Status Metadata(const inference::ModelMetadataRequest& request,
                        inference::ModelMetadataResponse& response) const;
  absl::Status Index(const inference::RepositoryIndexRequest& request,
                     inference::RepositoryIndexResponse& response) const;

  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext*, const inference::ServerLiveRequest*,
                                       inference::ServerLiveResponse*) override;
  grpc::ServerUnaryReactor* ServerReady(grpc::CallbackServerContext*, const inference::ServerReadyRequest*,
                                        inference::ServerReadyResponse*) override;
  grpc::ServerUnaryReactor* ModelReady(grpc::CallbackServerContext*, const inference::ModelReadyRequest*,
                                       inference::ModelReadyResponse*) override;
  grpc::ServerUnaryReactor* ServerMetadata(grpc::CallbackServerContext*, const inference::ServerMetadataRequest*,
                                           inference::ServerMetadataResponse*) override;
  grpc::ServerUnaryReactor* ModelMetadata(grpc::CallbackServerContext*, const inference::ModelMetadataRequest*,
                                          inference::ModelMetadataResponse*) override;
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext*, const inference::ModelInferRequest*,
                                       inference::ModelInferResponse*) override;
  grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>* ModelStreamInfer(
      grpc::CallbackServerContext*) override;
  grpc::ServerUnaryReactor* RepositoryIndex(grpc::CallbackServerContext*, const inference::RepositoryIndexRequest*,
                                            inference::RepositoryIndexResponse*) override;
  grpc::ServerUnaryReactor* RepositoryModelLoad(grpc::CallbackServerContext*,
                                                const inference::RepositoryModelLoadRequest*,
                                                inference::RepositoryModelLoadResponse*) override;
  grpc::ServerUnaryReactor* RepositoryModelUnload(grpc::CallbackServerContext*,
                                                  const inference::RepositoryModelUnloadRequest*,
                                                  inference::RepositoryModelUnloadResponse*) override;

  Repository& repository_;
  Loader& loader_;
  const std::string instance_;
  LoadReport load_;
  std::atomic<bool> ready_ = false;
  mutable std::atomic<int> in_flight_ = 0;
  mutable std::atomic<std::chrono::steady_clock::time_point> last_answered_{};

  std::mutex mutex_;
  bool stopping_ = false;
  std::unordered_set<InferenceStream*> streams_;
};

}  // namespace signalbox::host
