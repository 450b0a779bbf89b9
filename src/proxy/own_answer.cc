// The ends of a request at which no host answers: the proxy does.
#include <fmt/format.h>

#include <array>

#include "base/status.h"
#include "proxy/client_connection.h"
#include "proxy/grpc_protocol.h"
#include "proxy/host.h"
#include "proxy/request.h"
#include "proxy/worker.h"

namespace signalbox::proxy {

void Request::OnDeadline() {
  // What has come of an ensemble by now may be enough.
  if (ensemble_ != nullptr && ensemble_->active() && ensemble_->CombineNow()) return;
  // The client still waits when it is the policy's time that is over.
  if (deadline_is_policys_ && GiveStaticAnswer()) return;
  const Host* host = call_.active() ? call_.host() : host_;
  if (host != nullptr) {
    return Fail(absl::DeadlineExceededError(fmt::format("the deadline passed before host {} answered", host->name())));
  }
  if (asked_ != nullptr) {
    return Fail(absl::DeadlineExceededError(fmt::format("the deadline passed before {} answered", asked_->model->id)));
  }
  Fail(absl::DeadlineExceededError(waits_for_cells() ? "the deadline passed before an experimentation platform answered"
                                                     : "the deadline passed before the request named its Objective"));
}

void Request::Fail(const absl::Status& status) {
  if (response_ended_) return;
  EndWith(status);
  LetGo();
  DropRequestBody();
  if (response_begun_) return WakeClient();
  SendTrailersOnly("200");
}

void Request::RefuseProtocol(std::string_view http_status, const absl::Status& status) {
  EndWith(status);
  SendTrailersOnly(http_status);
}

void Request::AnswerForServer() {
  if (body_kind_ == BodyKind::kRefused) {
    return Fail(absl::UnimplementedError("model repositories are managed on the hosts, not through the proxy"));
  }
  EndWith(absl::OkStatus());
  own_body_.AppendCopy(worker_.ServerAnswer(body_kind_));
  SubmitOwnHeaders();
}

bool Request::GiveStaticAnswer() {
  // A model's readiness is not answered by an inference, and a stream would need as many answers as it has requests.
  const bool has_place = body_kind_ != BodyKind::kModel && !IsInferenceStream(request_headers_.Find(":path"));
  if (response_begun_ || !has_place || decision_.static_answer == nullptr) return false;
  ++tried_in_vain_;
  static_answer_ = true;
  LetGo();
  host_ = nullptr;
  EndWith(absl::OkStatus());
  DropRequestBody();
  const std::string_view message = decision_.static_answer->message;
  const std::array<char, 5> prefix = MessagePrefix(static_cast<uint32_t>(message.size()));
  own_body_.AppendCopy({prefix.data(), prefix.size()});
  own_body_.AppendStatic(message);  // this request keeps its snapshot
  SubmitOwnHeaders();
  return true;
}

void Request::OnCombined(std::string message) {
  answer_ = asked_;
  members_text_ = fmt::format("{}/{}", ensemble_->answered(), asked_->members.size());
  EndWith(absl::OkStatus());
  LetGo();
  host_ = nullptr;
  DropRequestBody();
  const std::array<char, 5> prefix = MessagePrefix(static_cast<uint32_t>(message.size()));
  own_body_.AppendCopy({prefix.data(), prefix.size()});
  own_body_.AppendCopy(message);
  SubmitOwnHeaders();
}

void Request::EndWith(const absl::Status& status) {
  // It is not going to be decided any more.
  if (waits_for_cells()) remote_cells_->Clear();
  own_trailers_ = response_ended_ = true;
  grpc_status_ = static_cast<int>(status.code());
  status_text_ = std::to_string(grpc_status_);
  message_text_ = EncodeGrpcMessage(Message(status));
  if (!response_begun_) answered_ = worker_.ReadClock();
  ReturnLease();
}

void Request::SendTrailersOnly(std::string_view http_status) {
  HeaderFields fields;
  fields.Add(":status", http_status);
  fields.Add("content-type", "application/grpc");
  AddDecisionHeaders(fields);
  AddTrailers(fields);
  AddRefusalHeaders(fields);
  response_begun_ = true;
  client_->SubmitHeadersOnly(client_stream_, fields);
}

void Request::SubmitOwnHeaders() {
  HeaderFields fields;
  fields.Add(":status", "200");
  fields.Add("content-type", "application/grpc");
  AddDecisionHeaders(fields);
  response_begun_ = true;
  client_->SubmitHeaders(client_stream_, fields);
}

}  // namespace signalbox::proxy
