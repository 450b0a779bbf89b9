#include "proxy/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "api/headers.h"
#include "base/hash.h"
#include "base/nearest_name.h"
#include "base/status.h"
#include "decide/enrichment.h"
#include "proxy/client_connection.h"
#include "proxy/host.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// Where the Objective is read from the body, so much of the body may come before it. Below the stream's window, so that
// a body that never names one is refused rather than waited for.
constexpr size_t kObjectiveSearchBytesMax = 128 << 10;
// Of `sb-experiments`; clients in several languages take 8 KiB of headers in all. What does not fit is in the log.
constexpr size_t kExperimentsBytesMax = 1024;

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
  for (const std::string_view text : {answer.model->name, answer.model->version}) {
    constexpr size_t kOneByteLengthMax = 127;
    end += 1 + (text.size() > kOneByteLengthMax ? 2 : 1) + text.size();
  }
  return suffix.substr(0, end);
}

// What clients get of a host's headers or trailers: all but what only signalbox says.
void AddPassedOn(const HeaderList& headers, HeaderFields& fields) {
  for (const Header& header : headers.headers()) {
    if (!header.name.starts_with(headers::kPrefix)) fields.Add(header.name, header.value);
  }
}

// Of what the prefix of the first message announces, prefix included; 0 where that did not come in one piece.
uint64_t FirstMessageBytes(std::string_view data) {
  constexpr size_t kPrefixBytes = 5;
  if (data.size() < kPrefixBytes) return 0;
  uint64_t bytes = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) bytes = bytes << 8 | static_cast<unsigned char>(data[i]);
  return kPrefixBytes + bytes;
}

bool MayBeCompressed(const HeaderList& headers) {
  const std::string_view encoding = headers.Find("grpc-encoding");
  return !encoding.empty() && encoding != "identity";
}

}  // namespace

Request::Request(Worker& worker)
    : worker_(worker),
      request_headers_(worker.memory()),
      body_(worker.memory()),
      call_(worker, *this),
      own_body_(worker.memory()) {}

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
    // Both are in the decision log, so that the decision can be made again.
    context_.context.now_unix_ms = start_unix_us_ / 1000;
    context_.context.random = decision_id_;
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
    if (body_.ended()) AnswerForServer();
    return;
  }
  if (answer_ != nullptr) {
    call_.OnBodyGrew();
    if (ensemble_ != nullptr) ensemble_->OnBodyGrew();
    return;
  }
  if (waits_for_cells()) return;  // what comes of the body stays here until then, as far as flow control lets it come
  absl::Status status = [&] {
    RETURN_IF_ERROR(FindObjective());
    if (context_.context.objective.empty()) return absl::OkStatus();  // more of the body must come
    ready_ = worker_.ReadClock();
    RETURN_IF_ERROR(TakeSnapshot());
    RETURN_IF_ERROR(AdmitToWorker());
    if (AskPlatforms()) return absl::OkStatus();
    return Handle();
  }();
  if (!status.ok()) Fail(status);
}

absl::Status Request::Handle() {
  RETURN_IF_ERROR(Choose());
  RETURN_IF_ERROR(Admit());
  Prepare();
  StartShadows();
  return Dispatch();
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
  if (body_.ended() || walk_.messages() > 0) {
    return absl::InvalidArgumentError(fmt::format(
        "the request names no Objective: put it into field {} of the message ({}), or set the header sb-objective",
        field, body_kind_ == BodyKind::kServe ? "objective" : "model_name"));
  }
  if (body_.bytes() > kObjectiveSearchBytesMax) {
    return absl::InvalidArgumentError(fmt::format(
        "the message names no Objective in its first {} bytes: put it first, or set the header sb-objective",
        kObjectiveSearchBytesMax));
  }
  return absl::OkStatus();
}

absl::Status Request::TakeSnapshot() {
  routes_ = worker_.UseRoutes();
  if (routes_ == nullptr) return absl::UnavailableError("this proxy has no snapshot yet: no rules have reached it");
  return absl::OkStatus();
}

// By the snapshot that said what to ask platforms.
absl::Status Request::Choose() {
  decision_ = decide::Decide(routes_->snapshot(), context_.context);
  if (decision_.answer == nullptr) return UnknownObjective();
  WriteExperiments();
  asked_ = answer_ = decision_.answer;
  return absl::OkStatus();
}

// `12345=2;777=1`, as `sb-override` takes it.
void Request::WriteExperiments() {
  for (const decide::Enrolment& enrolment : decision_.enrolments) {
    const size_t bytes = enrolment.experiment.size() + enrolment.cell.size() + 2;
    if (experiments_text_.size() + bytes > kExperimentsBytesMax) return;
    if (!experiments_text_.empty()) experiments_text_ += ';';
    experiments_text_.append(enrolment.experiment).append(1, '=').append(enrolment.cell);
  }
}

absl::Status Request::UnknownObjective() const {
  const std::string_view name = context_.context.objective;
  const decide::Snapshot& snapshot = routes_->snapshot();
  if (snapshot.NamesModel(name)) {
    return absl::NotFoundError(
        fmt::format("\"{}\" is a model: requests name an Objective, and rules choose its model", name));
  }
  const std::string_view nearest = NearestName(name, snapshot.ObjectiveNames());
  return absl::NotFoundError(
      fmt::format("no rules declare an Objective \"{}\"{}", name,
                  nearest.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", nearest)));
}

// --- 5. The host gets headers with the decision, then the body, enriched while it passes.

std::string_view Request::SuffixFor(const Attempt& attempt, std::string& buffer) {
  return SuffixOf(attempt.answer(), buffer);
}

std::string_view Request::SuffixOf(const decide::Answer& answer, std::string& buffer) {
  if (body_kind_ == BodyKind::kInfer) return decide::OpenInferenceSuffix(decision_, answer, buffer);
  if (body_kind_ == BodyKind::kModel) return ModelAndVersionFields(answer);
  if (body_kind_ == BodyKind::kServe) return decide::ServeSuffix(decision_, answer, buffer);
  return {};
}

void Request::AddHostHeaders(const Attempt& attempt, HeaderFields& fields) { AddHeadersFor(attempt.answer(), fields); }

void Request::AddHeadersFor(const decide::Answer& answer, HeaderFields& fields) {
  const bool collects = asked_->ensemble != nullptr && asked_->ensemble->mode() != v1::Ensemble::FIRST;
  for (const Header& header : request_headers_.headers()) {
    // What clients may not set ends here. The body's length changes; the deadline comes anew.
    const bool dropped =
        header.name.starts_with(headers::kPrefix) || header.name == "content-length" || header.name == "grpc-timeout";
    // What is combined has to be read.
    const bool unwanted = collects && header.name == "grpc-accept-encoding";
    if (!dropped && !unwanted) fields.Add(header.name, header.value);
  }
  const decide::RequestContext& context = context_.context;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) fields.Add(name, value);
  };
  if (has_deadline_) {
    fields.AddUnique("grpc-timeout", FormatGrpcTimeout(deadline.at - worker_.now(), timeout_text_.data()));
  }
  add(headers::kObjective, answer.objective);
  if (!context.user.empty()) fields.AddUnique(headers::kUser, context.user);
  add(headers::kContext, request_headers_.Find(headers::kContext));
  add(headers::kTenant, context.tenant);
  add(headers::kTraffic, decide::Name(context.traffic_type));
  add(headers::kRoutingKey, answer.model->routing_key);
  add(headers::kModel, answer.model->id);
  fields.AddUnique(headers::kDecision, {decision_text_.data(), decision_text_.size()});
  if (body_kind_ == BodyKind::kOpaque || MayBeCompressed(request_headers_)) {
    // The header is copied when it is submitted, before another request can want the buffer.
    add(headers::kObjectiveConfig, decide::ObjectiveConfigBase64(decision_, answer, worker_.text_buffer()));
  }
}

void Request::OnRequestData(std::string_view data, const BlockRef& block) {
  if (request_bytes_ == 0) first_message_bytes_ = FirstMessageBytes(data);
  request_bytes_ += data.size();
  body_.Append(data, block);
  if (response_ended_ || body_kind_ >= BodyKind::kServerLive) return DropRequestBody();
  absl::Status status = [&] {
    RETURN_IF_ERROR(CheckPayload());
    RETURN_IF_ERROR(AccountBytes());
    return WalkBody(data);
  }();
  if (!status.ok()) return Fail(status);
  shadows_.Append(data, block);
  Advance();
}

absl::Status Request::WalkBody(std::string_view data) {
  if (body_kind_ == BodyKind::kOpaque) return absl::OkStatus();
  // Which field to look for is known once it is known that the headers do not say it.
  if (request_bytes_ == data.size()) walk_.Start(context_.context.objective.empty() ? ObjectiveField(body_kind_) : 0);
  return walk_.Read(data);
}

void Request::OnRequestEnd() {
  body_.End();
  if (response_ended_) return;
  if (body_kind_ != BodyKind::kOpaque && body_kind_ < BodyKind::kServerLive) {
    if (absl::Status status = walk_.End(); !status.ok()) return Fail(status);
  }
  shadows_.OnBodyComplete();
  Advance();
}

// --- 6. A host answers. (When none does: dispatch.cc.)

void Request::OnCallAnswered(ModelCall& call, bool ended) {
  // A host that knows the policy's deadline may be the first to say that it has passed.
  const bool is_late =
      ended && call.answer_attempt()->grpc_status() == static_cast<int>(absl::StatusCode::kDeadlineExceeded);
  if (is_late && deadline_is_policys_ && GiveStaticAnswer()) return;
  attempt_ = call.answer_attempt();
  answer_ = &call.answer();
  host_ = call.host();
  dispatched_ = attempt_->sent_at();
  answered_ = attempt_->answered_at();
  grpc_status_ = attempt_->grpc_status();
  // Nobody is going to read it again from the beginning.
  body_.StopKeeping();
  OnBodyTaken();
  HeaderFields fields;
  AddPassedOn(attempt_->response_headers(), fields);
  AddDecisionHeaders(fields);
  response_begun_ = true;
  if (ended) {
    client_->SubmitHeadersOnly(client_stream_, fields);
    return OnCallEnd(call);
  }
  client_->SubmitHeaders(client_stream_, fields);
  attempt_->response_headers().Clear();
}

void Request::AddDecisionHeaders(HeaderFields& fields) {
  fields.AddUnique(headers::kDecision, {decision_text_.data(), decision_text_.size()});
  if (routes_ != nullptr) fields.Add(headers::kSnapshot, routes_->plan->hash_text);
  if (answer_ == nullptr) return;
  if (!experiments_text_.empty()) fields.Add(headers::kExperiments, experiments_text_);
  fields.Add(headers::kReason, decide::Name(reason()));
  if (tries_.attempts > 1) fields.Add(headers::kAttempts, AttemptsText());
  if (!members_text_.empty()) fields.Add(headers::kMembers, members_text_);
  if (static_answer_) return;
  fields.Add(headers::kModel, answer_->model->id);
  if (!answer_->model->routing_key.empty()) fields.Add(headers::kRoutingKey, answer_->model->routing_key);
}

std::string_view Request::AttemptsText() {
  const auto end = std::to_chars(attempts_text_.begin(), attempts_text_.end(), tries_.attempts);
  return {attempts_text_.data(), static_cast<size_t>(end.ptr - attempts_text_.data())};
}

void Request::OnCallData(ModelCall&) {
  if (absl::Status status = AccountBytes(); !status.ok()) return Fail(status);
  WakeClient();
}

void Request::OnCallEnd(ModelCall&) {
  response_ended_ = true;
  grpc_status_ = attempt_->grpc_status();
  // The host has said all it will: what the client still sends is for nobody.
  attempt_->StopSending();
  DropRequestBody();
  WakeClient();
}

Available Request::ResponseAvailable(size_t bytes_max) {
  const BodyQueue& body = response_body();
  const size_t bytes = std::min(bytes_max, body.bytes());
  shadows_.OnAnswer(body, bytes);
  response_announced_ = bytes;
  return {.bytes = bytes,
          .ended = response_ended_ && bytes == body.bytes(),
          .trailers = own_trailers_ || (attempt_ != nullptr && attempt_->trailers())};
}

void Request::OnResponseSent(size_t bytes) {
  response_bytes_ += bytes;
  response_announced_ = 0;
  if (attempt_ != nullptr) attempt_->Release(bytes);
  admitted_.berth.SetBytes(body_.bytes() + response_body().bytes());
}

void Request::AddTrailers(HeaderFields& fields) const {
  if (!own_trailers_) return AddPassedOn(attempt_->response_headers(), fields);
  fields.Add("grpc-status", status_text_);
  if (!message_text_.empty()) fields.Add("grpc-message", message_text_);
}

// --- 7. The client's stream is closed. (How a request ends without a host's answer: own_answer.cc.)

void Request::OnClientGone() {
  client_->Forget(*this);
  if (!response_ended_) grpc_status_ = static_cast<int>(absl::StatusCode::kCancelled);
  response_announced_ = 0;  // the stream that it was announced to is closed
  EndShadows();
  LetGo();
  ReturnLease();
  Record();
  DropRequestBody();
  client_ = nullptr;
  Reset();
  worker_.Free(*this);
}

// --- What the stages use.

void Request::LetGo() {
  if (asked_ == nullptr) return;
  if (attempt_ != nullptr) {
    // A frame that was announced to nghttp2, and found the socket full, is still going to be sent. It is not waited for
    // by the host.
    attempt_->Release(response_announced_);
    attempt_->response_body().MoveTo(own_body_, response_announced_);
    attempt_ = nullptr;
  } else if (call_.active()) {
    host_ = call_.host();
    dispatched_ = call_.sent_at();
  }
  call_.LetGo();
  if (ensemble_ != nullptr) ensemble_->LetGo();
}

void Request::DropRequestBody() {
  body_.Clear();
  OnBodyTaken();
}

void Request::ReleaseRequestBytes(size_t bytes) {
  admitted_.berth.SetBytes(body_.bytes() + response_body().bytes());
  if (client_ != nullptr) client_->Release(client_stream_, bytes);
}

void Request::WakeClient() {
  if (client_ != nullptr) client_->Resume(client_stream_);
}

Time Request::ReadClockOnce(Time time) const { return time == Time() ? worker_.ReadClock() : time; }

void Request::Reset() {
  worker_.deadlines().Remove(*this);
  if (remote_cells_ != nullptr) remote_cells_->Clear();
  if (routes_ != nullptr) worker_.ReleaseRoutes(*std::exchange(routes_, nullptr));
  request_headers_.Clear();
  body_.Reset();
  own_body_.Clear();
  context_.context = {};
  walk_.Start(0);
  body_kind_ = BodyKind::kOpaque;
  headers_too_large_ = has_deadline_ = deadline_is_policys_ = false;
  decision_ = {};
  asked_ = answer_ = nullptr;
  fallbacks_tried_ = tried_in_vain_ = 0;
  tries_ = {};
  shadows_not_sent_ = 0;
  members_text_.clear();
  static_answer_ = false;
  experiments_text_.clear();
  host_ = nullptr;
  admitted_ = {};
  refusal_ = {};
  last_failure_ = absl::OkStatus();
  response_begun_ = response_ended_ = own_trailers_ = false;
  grpc_status_ = -1;
  response_announced_ = 0;
  ready_ = dispatched_ = answered_ = headers_sent_ = Time();
  request_bytes_ = first_message_bytes_ = response_bytes_ = 0;
  status_text_.clear();
  message_text_.clear();
}

}  // namespace signalbox::proxy
