#include "proxy/request.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "api/headers.h"
#include "base/hash.h"
#include "base/nearest_name.h"
#include "base/status.h"
#include "decide/enrichment.h"
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
// Of `sb-experiments`; clients in several languages take 8 KiB of headers in all. What does not fit is in the log.
constexpr size_t kExperimentsBytesMax = 1024;
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
  for (const std::string_view text : {answer.model->name, answer.model->version}) {
    constexpr size_t kOneByteLengthMax = 127;
    end += 1 + (text.size() > kOneByteLengthMax ? 2 : 1) + text.size();
  }
  return suffix.substr(0, end);
}

// Whether the ensemble's members are tried one after the other, as if each further one were the fallback of the one
// before. That is what this proxy makes of `first`; it runs no other mode.
bool GoesToMembers(const decide::Answer& answer) {
  return answer.ensemble != nullptr && answer.ensemble->mode() == v1::Ensemble::FIRST && !answer.members.empty();
}

std::string ModeName(v1::Ensemble::Mode mode) {
  std::string name = v1::Ensemble::Mode_Name(mode);
  for (char& c : name) c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return name;
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
    if (request_ended_) AnswerForServer();
    return;
  }
  if (answer_ != nullptr) return WakeHost();
  if (waits_for_cells()) return;  // what comes of the body stays here until then, as far as flow control lets it come
  absl::Status status = [&] {
    RETURN_IF_ERROR(FindObjective());
    if (context_.context.objective.empty()) return absl::OkStatus();  // more of the body must come
    ready_ = worker_.ReadClock();
    RETURN_IF_ERROR(TakeSnapshot());
    if (AskPlatforms()) return absl::OkStatus();
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
  TakeUp(*decision_.answer);
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

// --- 4. It goes to the first host that can be reached: of the chosen model, else of its fallbacks. Where there is
// none, the client gets the answer that the rules declare, or is told.

absl::Status Request::Dispatch() {
  for (;;) {
    absl::Status status = TryNextHost();
    if (!absl::IsUnavailable(status)) return status;
    if (TakeUpNext()) continue;
    if (GiveStaticAnswer()) return absl::OkStatus();
    asked_ = answer_ = decision_.answer;
    return NothingReachable();
  }
}

void Request::TakeUp(const decide::Answer& answer) {
  asked_ = answer_ = &answer;
  members_tried_ = hosts_tried_ = 0;
  if (GoesToMembers(answer)) answer_ = answer.members.front().answer;
}

bool Request::TakeUpNext() {
  const bool has_member = GoesToMembers(*asked_) && members_tried_ + 1 < asked_->members.size();
  if (!has_member && fallbacks_tried_ == decision_.fallbacks.size()) return false;
  ++tried_in_vain_;
  if (has_member) {
    answer_ = asked_->members[++members_tried_].answer;
    hosts_tried_ = 0;
  } else {
    TakeUp(*decision_.fallbacks[fallbacks_tried_++]);
  }
  return true;
}

absl::Status Request::TryNextHost() {
  Routes::Turn turn = routes_->TurnOf(*answer_);
  if (turn.hosts.empty()) {
    last_failure_ = absl::UnavailableError(
        answer_->ensemble == nullptr ? "the placement has no host for it that is ready (where the fleet is managed, "
                                       "`signalbox placement explain` says why)"
                                     : "this proxy cannot run it");
    return last_failure_;
  }
  // The same host again is only better than none: its connection may be new by then.
  const bool has_others = turn.hosts.size() > 1 || fallbacks_tried_ < decision_.fallbacks.size() || answer_ != asked_;
  const size_t tries_max = has_others ? std::min(kHostsPerModelMax, turn.hosts.size()) : kHostsPerModelMax;
  for (size_t passed = 0; passed < turn.hosts.size() && hosts_tried_ < tries_max; ++passed) {
    Host& host = *routes_->hosts[turn.hosts[turn.next++ % turn.hosts.size()]];
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
  const decide::Answer& answer = *decision_.answer;
  const std::string_view nor_fallbacks = decision_.fallbacks.empty() ? "" : ", nor its fallbacks";
  if (answer.ensemble != nullptr && !GoesToMembers(answer)) {
    return absl::UnimplementedError(fmt::format(
        "ensemble {} of Objective {} has the mode `{}`, which this proxy cannot run: it runs `first` alone{}",
        answer.ensemble->name(), answer.objective, ModeName(answer.ensemble->mode()),
        decision_.fallbacks.empty() ? "" : "; and no fallback can be reached"));
  }
  if (answer.ensemble != nullptr) {
    return absl::UnavailableError(fmt::format("no member of ensemble {} of Objective {} can be reached{}: {}",
                                              answer.ensemble->name(), answer.objective, nor_fallbacks,
                                              Message(last_failure_)));
  }
  return absl::UnavailableError(fmt::format("model {} of Objective {} cannot be reached{}: {}", answer.model->id,
                                            answer.objective, nor_fallbacks, Message(last_failure_)));
}

// --- 5. The host's stream is open: headers with the decision, then the body, enriched while it passes.

void Request::OnHostStream(HostConnection& connection, int32_t stream_id) {
  waiting_for_ = nullptr;
  host_connection_ = &connection;
  host_stream_ = stream_id;
  // What an earlier host was to get has been dropped, so the buffer is free.
  std::string_view suffix;
  if (body_kind_ == BodyKind::kInfer) suffix = decide::OpenInferenceSuffix(decision_, *answer_, suffix_buffer_);
  if (body_kind_ == BodyKind::kModel) suffix = ModelAndVersionFields(*answer_);
  if (body_kind_ == BodyKind::kServe) suffix = decide::ServeSuffix(decision_, *answer_, suffix_buffer_);
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
    // The header is copied when it is submitted, before another request can want the buffer.
    add(headers::kObjectiveConfig, decide::ObjectiveConfigBase64(decision_, *answer_, worker_.text_buffer()));
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
    if (too_late) return OnDeadline();
    // Another model must not do again what this one may have done. Nothing is done by the rules' own answer.
    if (absl::IsUnavailable(why) && GiveStaticAnswer()) return;
    return Fail(why);
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
  if (routes_ != nullptr) fields.Add(headers::kSnapshot, routes_->plan->hash_text);
  if (answer_ == nullptr) return;
  if (!experiments_text_.empty()) fields.Add(headers::kExperiments, experiments_text_);
  fields.Add(headers::kReason, decide::Name(reason()));
  if (static_answer_) return;
  fields.Add(headers::kModel, answer_->model->id);
  if (!answer_->model->routing_key.empty()) fields.Add(headers::kRoutingKey, answer_->model->routing_key);
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

// --- 8. The client's stream is closed. (How a request ends without a host's answer: own_answer.cc.)

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

void Request::Reset() {
  worker_.deadlines().Remove(*this);
  if (remote_cells_ != nullptr) remote_cells_->Clear();
  if (routes_ != nullptr) worker_.ReleaseRoutes(*std::exchange(routes_, nullptr));
  request_headers_.Clear();
  response_headers_.Clear();
  context_.context = {};
  walk_.Start(0);
  enricher_ = MessageEnricher();
  body_kind_ = BodyKind::kOpaque;
  headers_too_large_ = request_ended_ = body_was_taken_ = host_has_headers_ = has_deadline_ = false;
  decision_ = {};
  asked_ = answer_ = nullptr;
  fallbacks_tried_ = members_tried_ = hosts_tried_ = tried_in_vain_ = 0;
  static_answer_ = false;
  experiments_text_.clear();
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
