#include "proxy/attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "balance/load_report.h"
#include "proxy/grpc_protocol.h"
#include "proxy/host.h"
#include "proxy/host_connection.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// What a stream that ended before its answer did says of the host.
balance::Outcome OutcomeOfLoss(const absl::Status& why, Processed processed, bool had_stream) {
  if (had_stream && processed == Processed::kNo) return balance::Outcome::kRefused;
  if (absl::IsResourceExhausted(why)) return balance::Outcome::kRefused;  // ENHANCE_YOUR_CALM
  // What it does when the request's deadline has passed there.
  if (absl::IsCancelled(why)) return balance::Outcome::kErred;
  return balance::Outcome::kFailed;
}

}  // namespace

Attempt::Attempt(Worker& worker)
    : worker_(worker),
      enriched_body_(worker.memory()),
      response_headers_(worker.memory()),
      response_body_(worker.memory()) {}

// --- 1. A host is asked.

void Attempt::Begin(AttemptOwner& owner, const decide::Answer& answer, RequestBody& body, const Lane& lane) {
  owner_ = &owner;
  lane_ = lane;
  answer_ = &answer;
  body_.Begin(body);
}

absl::Status Attempt::Submit(Host& host) {
  host_ = &host;
  asked_at_ = worker_.now();
  waits_ = true;
  use_.Begin(host.state(), worker_.ReadClock());
  absl::Status status = host.Submit(*this);
  if (!status.ok()) {
    waits_ = false;
    EndUse(balance::Outcome::kFailed);
  }
  return status;
}

// --- 2. Its stream is open: headers with the decision, then the body, enriched while it passes.

void Attempt::OnStream(HostConnection& connection, int32_t stream_id) {
  waits_ = false;
  use_.OnSent(worker_.now());
  connection_ = &connection;
  stream_ = stream_id;
  enricher_ = MessageEnricher(owner_->SuffixFor(*this, suffix_buffer_));
}

void Attempt::AddHostHeaders(HeaderFields& fields) {
  owner_->AddHostHeaders(*this, fields);
  asked_for_load_ = worker_.asks_for_load();
  for (size_t i = 0; asked_for_load_ && i < fields.size(); ++i) {
    const nghttp2_nv& field = fields.data()[i];
    asked_for_load_ =
        std::string_view(reinterpret_cast<const char*>(field.name), field.namelen) != balance::kLoadFormatHeader;
  }
  if (asked_for_load_) fields.Add(balance::kLoadFormatHeader, "text");
}

void Attempt::OnHeadersSent() { sent_at_ = worker_.ReadClock(); }

void Attempt::OnBodyGrew() {
  if (stream_ != 0) connection_->Resume(stream_);
}

Available Attempt::RequestAvailable(size_t bytes_max) {
  bool overflow = false;
  enricher_.Move(body_, enriched_body_, bytes_max, overflow);
  owner_->OnBodyTaken();
  if (overflow) {
    const absl::Status why = absl::ResourceExhaustedError(
        "a message of the request is too long for the ObjectiveConfig to be appended: 4 GiB are the limit of gRPC");
    owner_->OnAttemptFailed(*this, why, Processed::kMaybe);
    return {};
  }
  const size_t bytes = std::min(bytes_max, enriched_body_.bytes());
  return {.bytes = bytes, .ended = body_.exhausted() && bytes == enriched_body_.bytes(), .trailers = false};
}

// --- 3. The host answers.

void Attempt::OnResponseHeader(std::string_view name, std::string_view value) {
  if (balance::IsLoadReport(name)) {
    if (const auto utilisation = balance::ReadLoadReport(name, value)) use_.OnReport(*utilisation, worker_.now());
    // Clients hear what they asked for themselves.
    if (asked_for_load_ && name == balance::kLoadHeader) return;
  }
  if (!response_headers_.Add(name, value)) response_too_large_ = true;
}

void Attempt::OnResponseHeadersEnd(bool end_stream) {
  if (response_too_large_) {
    EndUse(balance::Outcome::kFailed);
    // What it does to the host's memory, and to that of the connection, shall not be others' trouble.
    if (lane_.objective != nullptr) host_->Isolate(*lane_.objective);
    const absl::Status why =
        absl::InternalError(fmt::format("host {}: headers of the response are more than {} bytes or {} in number",
                                        host_->name(), kHeaderBytesMax, kHeadersMax));
    return owner_->OnAttemptFailed(*this, why, Processed::kMaybe);
  }
  if (response_begun_) {
    trailers_ = true;
    return OnResponseEnd();
  }
  const std::string_view http_status = response_headers_.Find(":status");
  if (http_status.starts_with('1')) return response_headers_.Clear();
  answered_at_ = worker_.ReadClock();
  use_.OnAnswer(answered_at_);
  const std::string_view grpc_status = response_headers_.Find("grpc-status");
  if (end_stream && http_status == "200" && grpc_status.empty()) {
    const absl::Status why =
        absl::UnknownError(fmt::format("host {} ended its answer without a gRPC status", host_->name()));
    return owner_->OnAttemptFailed(*this, why, Processed::kMaybe);
  }
  if (!grpc_status.empty()) {
    grpc_status_ = ParseGrpcStatus(grpc_status);
  } else {
    grpc_status_ =
        end_stream || http_status != "200" ? GrpcStatusOfHttp(std::atoi(std::string(http_status).c_str())) : 2;
  }
  response_begun_ = true;
  response_ended_ = end_stream;
  if (end_stream) EndUse(balance::OutcomeOfStatus(grpc_status_));
  owner_->OnResponseHeaders(*this, end_stream);
}

void Attempt::OnResponseData(std::string_view data, const BlockRef& block) {
  // DATA without HEADERS is what nghttp2 refuses.
  if (!response_begun_ || response_ended_) return connection_->Release(stream_, data.size());
  response_body_.Append(data, block);
  owner_->OnResponseData(*this);
}

void Attempt::OnResponseEnd() {
  response_ended_ = true;
  if (trailers_) grpc_status_ = ParseGrpcStatus(response_headers_.Find("grpc-status"));
  EndUse(balance::OutcomeOfStatus(grpc_status_));
  owner_->OnResponseEnd(*this);
}

void Attempt::StopSending() {
  const bool all_sent = body_.exhausted() && enriched_body_.empty();
  if (all_sent) return;
  if (stream_ != 0) connection_->Cancel(std::exchange(stream_, 0));
  enriched_body_.Clear();
}

// --- 4. It ends.

void Attempt::OnHostGone(const absl::Status& why, Processed processed) {
  waits_ = false;
  const bool had_stream = std::exchange(stream_, 0) != 0;
  EndUse(OutcomeOfLoss(why, processed, had_stream));
  if (connection_ != nullptr && connection_->closed()) {
    connection_->Forget(*this);
    connection_ = nullptr;
  }
  if (!response_ended_) owner_->OnAttemptFailed(*this, why, processed);
}

void Attempt::SetTimeout(std::chrono::milliseconds timeout) {
  timeout_ = timeout;
  deadline.at = worker_.now() + timeout;
  worker_.attempt_deadlines().Add(*this);
}

void Attempt::StartClock() { asked_at_ = worker_.now(); }

void Attempt::StopTimeout() { worker_.attempt_deadlines().Remove(*this); }

void Attempt::OnDeadline() {
  timed_out_ = true;
  const absl::Status why = absl::DeadlineExceededError(
      fmt::format("host {} did not begin to answer within {} ms", host_->name(), timeout_.count()));
  owner_->OnAttemptFailed(*this, why, sent() ? Processed::kMaybe : Processed::kNo);
}

void Attempt::Release(size_t bytes) {
  if (connection_ != nullptr) connection_->Release(stream_, bytes);
}

void Attempt::LetGo() {
  EndUse(balance::Outcome::kAbandoned);
  if (waits_) host_->Forget(*this);
  Release(response_body_.bytes());
  if (connection_ != nullptr) {
    if (stream_ != 0) connection_->Cancel(stream_);
    connection_->Forget(*this);
  }
  Reset();
  worker_.Free(*this);
}

void Attempt::EndUse(balance::Outcome outcome) { use_.End(outcome, worker_.now(), worker_.balance_settings()); }

void Attempt::Reset() {
  owner_ = nullptr;
  answer_ = nullptr;
  lane_ = {};
  host_ = nullptr;
  waits_ = false;
  connection_ = nullptr;
  stream_ = 0;
  body_.End();
  enricher_ = MessageEnricher();
  enriched_body_.Clear();
  worker_.attempt_deadlines().Remove(*this);
  timed_out_ = false;
  asked_at_ = sent_at_ = answered_at_ = Time();
  asked_for_load_ = false;
  response_headers_.Clear();
  response_body_.Clear();
  response_begun_ = response_ended_ = trailers_ = response_too_large_ = false;
  grpc_status_ = -1;
}

}  // namespace signalbox::proxy
