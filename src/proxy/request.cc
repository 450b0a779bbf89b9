#include "proxy/request.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/headers.h"
#include "base/hash.h"
#include "base/nearest_name.h"
#include "base/status.h"
#include "proxy/client_connection.h"
#include "proxy/host.h"
#include "proxy/host_connection.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// Where the Objective is read from the body, so much of the body may come before it. Below the stream's window, so that
// a body that never names one is refused rather than waited for.
constexpr size_t kObjectiveSearchBytesMax = 128 << 10;
// Of one model. Three that cannot be reached are no accident any more, and the fallback waits.
constexpr size_t kHostsPerModelMax = 3;

absl::Status CheckGrpc(const HeaderList& headers) {
  const std::string_view content_type = headers.Find("content-type");
  constexpr std::string_view kGrpc = "application/grpc";
  // `application/grpc+proto` is gRPC; `application/grpc-web` is not.
  const bool is_grpc =
      content_type.starts_with(kGrpc) &&
      (content_type.size() == kGrpc.size() || content_type[kGrpc.size()] == '+' || content_type[kGrpc.size()] == ';');
  if (is_grpc && headers.Find(":method") == "POST") return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{} with content-type \"{}\": expected POST with content-type application/grpc",
                  headers.Find(":method"), content_type));
}

// The part of the suffix that ModelReadyRequest and ModelMetadataRequest share with ModelInferRequest: fields 1 and 2.
std::string_view ModelAndVersionFields(const decide::Answer& answer) {
  const std::string_view suffix = answer.open_inference_suffix;
  size_t end = 0;
  for (const std::string& text : {answer.model->name, answer.model->version}) {
    constexpr size_t kOneByteLengthMax = 127;
    end += 1 + (text.size() > kOneByteLengthMax ? 2 : 1) + text.size();
  }
  return suffix.substr(0, end);
}

bool MayBeCompressed(const HeaderList& headers) {
  const std::string_view encoding = headers.Find("grpc-encoding");
  return !encoding.empty() && encoding != "identity";
}

}  // namespace

Request::Request(Worker& worker)
    : worker_(worker),
      request_headers_(worker.memory()),
      request_body_(worker.memory()),
      enriched_body_(worker.memory()),
      response_headers_(worker.memory()),
      response_body_(worker.memory()) {}

// --- 1. The client opens a stream.

void Request::Begin(ClientConnection& client, int32_t stream_id) {
  client_ = &client;
  client_stream_ = stream_id;
  start_ = worker_.ReadClock();
  start_unix_us_ = worker_.UnixMicroseconds(start_);
  decision_id_ = worker_.NextDecisionId();
  WriteHex64(decision_id_, decision_text_.data());
}

void Request::OnRequestHeader(std::string_view name, std::string_view value) {
  headers_too_large_ |= !request_headers_.Add(name, value);
}

// --- 2. Its headers are complete. Each stage returns the status to answer with, or OK to go on.

void Request::OnRequestHeadersEnd() {
  if (absl::Status status = CheckProtocol(); !status.ok()) return RefuseProtocol("415", status);
  absl::Status status = [&] {
    if (headers_too_large_) {
      return absl::ResourceExhaustedError(
          fmt::format("the request's headers are more than {} bytes or {} in number", kHeaderBytesMax, kHeadersMax));
    }
    RETURN_IF_ERROR(ReadContext(request_headers_, context_));
    return ReadDeadline();
  }();
  if (!status.ok()) return Fail(status);
  Advance();
}

absl::Status Request::CheckProtocol() {
  body_kind_ = BodyKindOfMethod(request_headers_.Find(":path"));
  return headers_too_large_ ? absl::OkStatus() : CheckGrpc(request_headers_);
}

absl::Status Request::ReadDeadline() {
  const std::string_view text = request_headers_.Find("grpc-timeout");
  if (text.empty()) return absl::OkStatus();
  const std::optional<std::chrono::nanoseconds> timeout = ParseGrpcTimeout(text);
  if (!timeout) {
    return absl::InvalidArgumentError(
        fmt::format("header grpc-timeout is \"{}\", expected up to 8 digits and one of n u m S M H", text));
  }
  has_deadline_ = true;
  deadline.at = start_ + *timeout;
  worker_.deadlines().Add(*this);
  return absl::OkStatus();
}

// --- 3. As soon as the Objective is known, from the headers or from the body, the request is decided and dispatched.

void Request::Advance() {
  if (body_kind_ >= BodyKind::kServerLive) {
    if (request_ended_) AnswerForServer();
    return;
  }
  if (answer_ != nullptr) return WakeHost();
  absl::Status status = [&] {
    RETURN_IF_ERROR(FindObjective());
    if (context_.context.objective.empty()) return absl::OkStatus();  // more of the body must come
    ready_ = worker_.ReadClock();
    RETURN_IF_ERROR(Choose());
    return Dispatch();
  }();
  if (!status.ok()) Fail(status);
}

absl::Status Request::FindObjective() {
  if (!context_.context.objective.empty()) return absl::OkStatus();
  const uint32_t field = ObjectiveField(body_kind_);
  if (field == 0) {
    return absl::InvalidArgumentError(
        "the request names no Objective: set the header sb-objective, as in `sb-objective: TitleRanking`");
  }
  context_.context.objective = walk_.name();
  if (!walk_.name().empty()) return absl::OkStatus();
  if (walk_.met_compressed()) {
    return absl::InvalidArgumentError(
        "the message is compressed, so its Objective cannot be read: set the header sb-objective");
  }
  if (request_ended_ || walk_.messages() > 0) {
    return absl::InvalidArgumentError(fmt::format(
        "the request names no Objective: put it into field {} of the message ({}), or set the header sb-objective",
        field, body_kind_ == BodyKind::kServe ? "objective" : "model_name"));
  }
  if (request_body_.bytes() > kObjectiveSearchBytesMax) {
    return absl::InvalidArgumentError(fmt::format(
        "the message names no Objective in its first {} bytes: put it first, or set the header sb-objective",
        kObjectiveSearchBytesMax));
  }
  return absl::OkStatus();
}

absl::Status Request::Choose() {
  routes_ = worker_.UseRoutes();
  if (routes_ == nullptr) return absl::UnavailableError("this proxy has no snapshot yet: no rules have reached it");
  decision_ = decide::Decide(*routes_->snapshot, context_.context);
  if (decision_.answer == nullptr) return UnknownObjective();
  answer_ = decision_.answer;
  return absl::OkStatus();
}

absl::Status Request::UnknownObjective() const {
  const std::string_view name = context_.context.objective;
  const decide::Snapshot& snapshot = *routes_->snapshot;
  if (snapshot.NamesModel(name)) {
    return absl::NotFoundError(
        fmt::format("\"{}\" is a model: requests name an Objective, and rules choose its model", name));
  }
  const std::string_view nearest = NearestName(name, snapshot.ObjectiveNames());
  return absl::NotFoundError(
      fmt::format("no rules declare an Objective \"{}\"{}", name,
                  nearest.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", nearest)));
}

// --- 4. It goes to the first host that can be reached: of the chosen model, else of its fallbacks.

absl::Status Request::Dispatch() {
  for (;;) {
    absl::Status status = TryNextHost();
    if (!absl::IsUnavailable(status)) return status;
    if (fallbacks_tried_ == decision_.fallbacks.size()) {
      answer_ = decision_.answer;
      return NothingReachable();
    }
    answer_ = decision_.fallbacks[fallbacks_tried_++];
    hosts_tried_ = 0;
  }
}

absl::Status Request::TryNextHost() {
  ModelHosts& model = *routes_->by_answer[answer_->index];
  if (model.hosts.empty()) {
    last_failure_ = absl::UnavailableError("it has no shard in the placement");
    return last_failure_;
  }
  // The same host again is only better than none: its connection may be new by then.
  const bool has_others = model.hosts.size() > 1 || fallbacks_tried_ < decision_.fallbacks.size();
  const size_t tries_max = has_others ? std::min(kHostsPerModelMax, model.hosts.size()) : kHostsPerModelMax;
  for (size_t passed = 0; passed < model.hosts.size() && hosts_tried_ < tries_max; ++passed) {
    Host& host = *model.hosts[model.next++ % model.hosts.size()];
    if (!host.Available(worker_.now())) {
      if (last_failure_.ok())
        last_failure_ = absl::UnavailableError(fmt::format("host {} cannot be reached", host.name()));
      continue;
    }
    ++hosts_tried_;
    host_ = waiting_for_ = &host;
    last_failure_ = host.Submit(*this);
    if (last_failure_.ok()) return absl::OkStatus();
    waiting_for_ = nullptr;
  }
  return last_failure_;
}

absl::Status Request::NothingReachable() const {
  const decide::Model& model = *decision_.answer->model;
  return absl::UnavailableError(
      fmt::format("model {} of Objective {} cannot be reached{}: {}", model.id, decision_.answer->objective,
                  decision_.fallbacks.empty() ? "" : ", nor its fallbacks", Message(last_failure_)));
}

// --- 5. The host's stream is open: headers with the decision, then the body, enriched while it passes.

void Request::OnHostStream(HostConnection& connection, int32_t stream_id) {
  waiting_for_ = nullptr;
  host_connection_ = &connection;
  host_stream_ = stream_id;
  std::string_view suffix;
  if (body_kind_ == BodyKind::kInfer) suffix = answer_->open_inference_suffix;
  if (body_kind_ == BodyKind::kModel) suffix = ModelAndVersionFields(*answer_);
  if (body_kind_ == BodyKind::kServe) suffix = answer_->serve_suffix;
  enricher_ = MessageEnricher(suffix);
}

void Request::OnHeadersSentToHost() {
  host_has_headers_ = true;
  dispatched_ = worker_.ReadClock();
}

void Request::AddHostHeaders(HeaderFields& fields) {
  for (const Header& header : request_headers_.headers()) {
    // What clients may not set ends here. The body's length changes; the deadline comes anew.
    const bool dropped =
        header.name.starts_with(headers::kPrefix) || header.name == "content-length" || header.name == "grpc-timeout";
    if (!dropped) fields.Add(header.name, header.value);
  }
  const decide::RequestContext& context = context_.context;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) fields.Add(name, value);
  };
  if (has_deadline_) {
    fields.AddUnique("grpc-timeout", FormatGrpcTimeout(deadline.at - worker_.now(), timeout_text_.data()));
  }
  add(headers::kObjective, answer_->objective);
  if (!context.user.empty()) fields.AddUnique(headers::kUser, context.user);
  add(headers::kContext, request_headers_.Find(headers::kContext));
  add(headers::kTenant, context.tenant);
  add(headers::kTraffic, decide::Name(context.traffic_type));
  add(headers::kRoutingKey, answer_->model->routing_key);
  add(headers::kModel, answer_->model->id);
  fields.AddUnique(headers::kDecision, {decision_text_.data(), decision_text_.size()});
  if (body_kind_ == BodyKind::kOpaque || MayBeCompressed(request_headers_)) {
    add(headers::kObjectiveConfig, answer_->objective_config_base64);
  }
}

void Request::OnRequestData(std::string_view data, const BlockRef& block) {
  request_bytes_ += data.size();
  request_body_.Append(data, block);
  if (response_ended_ || body_kind_ >= BodyKind::kServerLive) return DropRequestBody();
  if (absl::Status status = WalkBody(data); !status.ok()) return Fail(status);
  Advance();
}

absl::Status Request::WalkBody(std::string_view data) {
  if (body_kind_ == BodyKind::kOpaque) return absl::OkStatus();
  // Which field to look for is known once it is known that the headers do not say it.
  if (request_bytes_ == data.size()) walk_.Start(context_.context.objective.empty() ? ObjectiveField(body_kind_) : 0);
  return walk_.Read(data);
}

void Request::OnRequestEnd() {
  request_ended_ = true;
  if (response_ended_) return;
  if (body_kind_ != BodyKind::kOpaque && body_kind_ < BodyKind::kServerLive) {
    if (absl::Status status = walk_.End(); !status.ok()) return Fail(status);
  }
  Advance();
}

Request::Available Request::RequestAvailable(size_t bytes_max) {
  bool overflow = false;
  const size_t taken = enricher_.Move(request_body_, enriched_body_, bytes_max, overflow);
  body_was_taken_ |= taken > 0;
  ReleaseRequestBytes(taken);
  if (overflow) {
    Fail(absl::ResourceExhaustedError(
        "a message of the request is too long for the ObjectiveConfig to be appended: 4 GiB are the limit of gRPC"));
    return {};
  }
  const size_t bytes = std::min(bytes_max, enriched_body_.bytes());
  return {.bytes = bytes,
          .ended = request_ended_ && request_body_.empty() && bytes == enriched_body_.bytes(),
          .trailers = false};
}

// --- 6. The host could not be reached, or failed: another one, as long as nothing of the body or of the response has
// passed.

void Request::OnHostGone(const absl::Status& why, Processed processed) {
  waiting_for_ = nullptr;
  host_stream_ = 0;
  if (host_connection_ != nullptr && host_connection_->closed()) {
    host_connection_->Forget(*this);
    host_connection_ = nullptr;
  }
  if (response_ended_ || client_ == nullptr) return;
  last_failure_ = why;
  // A host that has seen the request may have worked on it. What it refused it has not; but then the body must still be
  // here.
  const bool try_again = !body_was_taken_ && !response_begun_ && (!host_has_headers_ || processed == Processed::kNo);
  if (!try_again) {
    const bool too_late = has_deadline_ && absl::IsCancelled(why) && worker_.ReadClock() >= deadline.at;
    return too_late ? OnDeadline() : Fail(why);
  }
  host_has_headers_ = false;
  LetGoOfHost();
  response_headers_.Clear();
  response_too_large_ = false;
  if (absl::Status status = Dispatch(); !status.ok()) Fail(status);
}

// --- 7. The host answers.

void Request::OnResponseHeader(std::string_view name, std::string_view value) {
  if (!response_headers_.Add(name, value)) response_too_large_ = true;
}

void Request::OnResponseHeadersEnd(bool end_stream) {
  if (response_too_large_) {
    return Fail(
        absl::InternalError(fmt::format("host {}: headers of the response are more than {} bytes or {} in number",
                                        host_->name(), kHeaderBytesMax, kHeadersMax)));
  }
  if (response_begun_) {
    response_trailers_ = true;
    return OnResponseEnd();
  }
  const std::string_view http_status = response_headers_.Find(":status");
  if (http_status.starts_with('1')) return response_headers_.Clear();
  answered_ = worker_.ReadClock();
  if (response_headers_.Find("grpc-status").empty()) {
    grpc_status_ =
        end_stream || http_status != "200" ? GrpcStatusOfHttp(std::atoi(std::string(http_status).c_str())) : 2;
  } else {
    grpc_status_ = ParseGrpcStatus(response_headers_.Find("grpc-status"));
  }
  HeaderFields fields;
  for (const Header& header : response_headers_.headers()) {
    if (!header.name.starts_with(headers::kPrefix)) fields.Add(header.name, header.value);
  }
  AddDecisionHeaders(fields);
  response_begun_ = true;
  if (end_stream) {
    client_->SubmitHeadersOnly(client_stream_, fields);
    return OnResponseEnd();
  }
  client_->SubmitHeaders(client_stream_, fields);
  response_headers_.Clear();
}

void Request::AddDecisionHeaders(HeaderFields& fields) const {
  fields.AddUnique(headers::kDecision, {decision_text_.data(), decision_text_.size()});
  if (routes_ != nullptr) fields.Add(headers::kSnapshot, routes_->hash_text);
  if (answer_ == nullptr) return;
  fields.Add(headers::kModel, answer_->model->id);
  fields.Add(headers::kRoutingKey, answer_->model->routing_key);
  fields.Add(headers::kReason, decide::Name(answer_->reason));
}

void Request::OnResponseData(std::string_view data, const BlockRef& block) {
  response_body_.Append(data, block);
  if (!response_begun_ || response_ended_) return DropResponseBody();  // DATA without HEADERS is what nghttp2 refuses
  WakeClient();
}

void Request::OnResponseEnd() {
  response_ended_ = true;
  if (response_trailers_) grpc_status_ = ParseGrpcStatus(response_headers_.Find("grpc-status"));
  // The host has said all it will: what the client still sends is for nobody.
  if (!request_ended_ || !request_body_.empty() || !enriched_body_.empty()) {
    if (host_stream_ != 0) host_connection_->Cancel(std::exchange(host_stream_, 0));
    DropRequestBody();
  }
  WakeClient();
}

Request::Available Request::ResponseAvailable(size_t bytes_max) {
  const size_t bytes = std::min(bytes_max, response_body_.bytes());
  response_announced_ = bytes;
  return {.bytes = bytes,
          .ended = response_ended_ && bytes == response_body_.bytes(),
          .trailers = own_trailers_ || response_trailers_};
}

void Request::OnResponseSent(size_t bytes) {
  response_bytes_ += bytes;
  response_announced_ = 0;
  if (host_connection_ != nullptr) host_connection_->Release(host_stream_, bytes);
}

void Request::AddTrailers(HeaderFields& fields) const {
  if (own_trailers_) {
    fields.Add("grpc-status", status_text_);
    if (!message_text_.empty()) fields.Add("grpc-message", message_text_);
    return;
  }
  for (const Header& header : response_headers_.headers()) {
    if (!header.name.starts_with(headers::kPrefix)) fields.Add(header.name, header.value);
  }
}

// --- 8. It ends otherwise.

void Request::OnDeadline() {
  Fail(absl::DeadlineExceededError(host_ == nullptr
                                       ? std::string("the deadline passed before the request named its Objective")
                                       : fmt::format("the deadline passed before host {} answered", host_->name())));
}

void Request::Fail(const absl::Status& status) {
  if (response_ended_) return;
  EndWith(status);
  LetGoOfHost();
  DropRequestBody();
  DropResponseBody();
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
  response_body_.AppendCopy(worker_.ServerAnswer(body_kind_));
  response_begun_ = true;
  HeaderFields fields;
  fields.Add(":status", "200");
  fields.Add("content-type", "application/grpc");
  AddDecisionHeaders(fields);
  client_->SubmitHeaders(client_stream_, fields);
}

void Request::EndWith(const absl::Status& status) {
  own_trailers_ = response_ended_ = true;
  grpc_status_ = static_cast<int>(status.code());
  status_text_ = std::to_string(grpc_status_);
  message_text_ = EncodeGrpcMessage(Message(status));
  if (!response_begun_) answered_ = worker_.ReadClock();
}

void Request::SendTrailersOnly(std::string_view http_status) {
  HeaderFields fields;
  fields.Add(":status", http_status);
  fields.Add("content-type", "application/grpc");
  AddDecisionHeaders(fields);
  AddTrailers(fields);
  response_begun_ = true;
  client_->SubmitHeadersOnly(client_stream_, fields);
}

void Request::OnClientGone() {
  client_->Forget(*this);
  if (!response_ended_) grpc_status_ = static_cast<int>(absl::StatusCode::kCancelled);
  Record();
  response_announced_ = 0;  // the stream that it was announced to is closed
  LetGoOfHost();
  DropRequestBody();
  DropResponseBody();
  client_ = nullptr;
  Reset();
  worker_.Free(*this);
}

// --- What the stages use.

void Request::LetGoOfHost() {
  if (waiting_for_ != nullptr) std::exchange(waiting_for_, nullptr)->Forget(*this);
  enriched_body_.Clear();
  if (host_connection_ == nullptr) return;
  DropResponseBody();
  // What stays to be sent is not waited for by the host.
  host_connection_->Release(host_stream_, response_body_.bytes());
  if (host_stream_ != 0) host_connection_->Cancel(std::exchange(host_stream_, 0));
  host_connection_->Forget(*this);
  host_connection_ = nullptr;
}

void Request::DropRequestBody() {
  enriched_body_.Clear();
  const size_t bytes = request_body_.bytes();
  request_body_.Clear();
  ReleaseRequestBytes(bytes);
}

void Request::DropResponseBody() {
  // A frame that was announced to nghttp2, and found the socket full, is still going to be sent.
  const size_t dropped = response_body_.bytes() - response_announced_;
  response_body_.KeepFront(response_announced_);
  if (host_connection_ != nullptr) host_connection_->Release(host_stream_, dropped);
}

void Request::ReleaseRequestBytes(size_t bytes) {
  if (client_ != nullptr) client_->Release(client_stream_, bytes);
}

void Request::WakeClient() {
  if (client_ != nullptr) client_->Resume(client_stream_);
}

void Request::WakeHost() {
  if (host_stream_ != 0) host_connection_->Resume(host_stream_);
}

Time Request::ReadClockOnce(Time time) const { return time == Time() ? worker_.ReadClock() : time; }

void Request::Record() {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  const Time end = worker_.ReadClock();
  const decide::RequestContext& context = context_.context;
  // What lies between the Objective being known and the host having the request, and between the host's answer and the
  // client having its headers. Bodies go at the pace of the slower side.
  const Time none{};
  Time::duration own{};
  if (ready_ != none && dispatched_ != none) own += dispatched_ - ready_;
  if (answered_ != none && headers_sent_ != none) own += headers_sent_ - answered_;
  telemetry::RequestRecord record;
  record.decision_id = decision_id_;
  record.start_unix_us = start_unix_us_;
  if (routes_ != nullptr) record.snapshot_hash = routes_->snapshot->hash();
  if (answer_ != nullptr) {
    record.objective = answer_->objective;
    record.model = answer_->model->id;
    // Of the decision, also when a fallback answers: who is in a cell does not depend on what can be reached.
    record.experiment = decision_.answer->experiment;
    record.cell = decision_.answer->cell;
    record.reason = decide::Name(answer_->reason);
  }
  record.user = context.user;
  record.tenant = context.tenant;
  record.traffic_type = decide::Name(context.traffic_type);
  if (host_ != nullptr) record.host = host_->name();
  record.grpc_status = grpc_status_;
  record.latency_us = static_cast<uint64_t>(duration_cast<microseconds>(end - start_).count());
  record.own_us = static_cast<uint64_t>(std::max<int64_t>(0, duration_cast<microseconds>(own).count()));
  record.request_bytes = request_bytes_;
  record.response_bytes = response_bytes_;
  record.fallbacks = static_cast<uint32_t>(fallbacks_tried_);
  worker_.Record(record);
}

void Request::Reset() {
  worker_.deadlines().Remove(*this);
  if (routes_ != nullptr) worker_.ReleaseRoutes(*std::exchange(routes_, nullptr));
  request_headers_.Clear();
  response_headers_.Clear();
  context_.context = {};
  walk_.Start(0);
  enricher_ = MessageEnricher();
  body_kind_ = BodyKind::kOpaque;
  headers_too_large_ = request_ended_ = body_was_taken_ = host_has_headers_ = has_deadline_ = false;
  decision_ = {};
  answer_ = nullptr;
  fallbacks_tried_ = hosts_tried_ = 0;
  host_ = nullptr;
  last_failure_ = absl::OkStatus();
  response_begun_ = response_ended_ = response_trailers_ = own_trailers_ = response_too_large_ = false;
  grpc_status_ = -1;
  response_announced_ = 0;
  ready_ = dispatched_ = answered_ = headers_sent_ = Time();
  request_bytes_ = response_bytes_ = 0;
  status_text_.clear();
  message_text_.clear();
}

}  // namespace signalbox::proxy
