#include "host/inference_stream.h"

#include "api/headers.h"
#include "base/status.h"

namespace signalbox::host {
namespace {

grpc::Status Stopping() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the host is stopping; open the stream at another");
}

}  // namespace

RequestMetadata ReadMetadata(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  auto found = metadata.find(grpc::string_ref(headers::kContext.data(), headers::kContext.size()));
  if (found == metadata.end()) return {};
  return {.context = std::string_view(found->second.data(), found->second.size())};
}

InferenceStream::InferenceStream(InferenceService& service, grpc::CallbackServerContext& context)
    : service_(service), metadata_(ReadMetadata(context)) {
  const bool serving = service_.Add(this);
  StartRead(&request_);
  if (!serving) Stop();
}

void InferenceStream::Stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  if (!answering_) FinishOnce(Stopping());
}

void InferenceStream::OnReadDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    // Stopped while this message came in: it was not answered, and the client learns so from the status.
    if (finished_) return;
    if (!ok) return FinishOnce(grpc::Status::OK);
    answering_ = true;
  }
  response_.Clear();
  absl::Status status = service_.Infer(request_, metadata_, *response_.mutable_infer_response());
  if (!status.ok()) {
    response_.set_error_message(std::string(Message(status)));
    response_.mutable_infer_response()->Clear();
    response_.mutable_infer_response()->set_id(request_.id());
  }
  StartWrite(&response_);
}

void InferenceStream::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  answering_ = false;
  if (!ok) return FinishOnce(grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone"));
  if (stopping_) return FinishOnce(Stopping());
  StartRead(&request_);
}

void InferenceStream::FinishOnce(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  Finish(status);
}

void InferenceStream::OnDone() {
  service_.Remove(this);
  delete this;
}

}  // namespace signalbox::host
