// One ModelStreamInfer call: requests in, an answer each, in order. Inner part of inference_service.h.
#pragma once

#include <mutex>

#include <grpcpp/grpcpp.h>

#include "host/inference_service.h"

namespace signalbox::host {

// The request context in the metadata of a call. Views into `context`.
RequestMetadata ReadMetadata(const grpc::CallbackServerContext& context);

// One message is in work at a time; the next is read when the answer is written, so that a client that does not read
// its answers is not read either. A request that fails is answered with its error_message and does not end the stream,
// as Triton does it.
class InferenceStream
    : public grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse> {
 public:
  InferenceStream(InferenceService& service, grpc::CallbackServerContext& context);

  // Ends the stream with UNAVAILABLE, after the answer in work if there is one. From any thread.
  void Stop();

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;
  void FinishOnce(const grpc::Status& status);

  InferenceService& service_;
  const RequestMetadata metadata_;
  inference::ModelInferRequest request_;
  inference::ModelStreamInferResponse response_;

  std::mutex mutex_;
  bool answering_ = false;  // between a message read and its answer written
  bool stopping_ = false;
  bool finished_ = false;
};

}  // namespace signalbox::host
