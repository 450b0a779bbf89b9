#include "proxy/shadow_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/headers.h"
#include "base/status.h"
#include "proxy/grpc_protocol.h"
#include "proxy/host.h"
#include "proxy/routes.h"
#include "proxy/shadow_traffic.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using telemetry::ShadowOutcome;

// Of what a host says, in a reason.
constexpr size_t kMessageBytesMax = 200;
// A host that ends a copy in the last of so many parts of its time means the deadline.
constexpr int kDeadlineParts = 5;
// Memory of an answer that is kept for the next copy.
constexpr size_t kKeptAnswerBytes = 4 << 10;

void Empty(std::string& text) {
  if (text.capacity() > kKeptAnswerBytes) text = std::string();
  text.clear();
}

}  // namespace

// --- What is held for shadows.

void ShadowCharge::Begin(ShadowTraffic& traffic, std::string_view objective) {
  traffic_ = &traffic;
  objective_ = &traffic.Of(objective);
  ++objective_->charges;
}

bool ShadowCharge::Add(size_t bytes) {
  if (!traffic_->Hold(*objective_, bytes)) return false;
  bytes_ += bytes;
  return true;
}

void ShadowCharge::End() {
  if (objective_ == nullptr) return;
  traffic_->Release(*objective_, std::exchange(bytes_, 0));
  --objective_->charges;
  traffic_->LetGo(*std::exchange(objective_, nullptr));
}

// --- 1. It is made, and gets what the live request gets.

ShadowCopy::ShadowCopy(Worker& worker, ShadowTraffic& traffic)
    : worker_(worker), traffic_(traffic), headers_(worker.memory()), body_(worker.memory()) {}

void ShadowCopy::Begin(RequestShadows& of, Routes& routes, uint64_t decision_id, int64_t start_unix_us) {
  of_ = &of;
  of.Add(*this);
  routes_ = &routes;
  ++routes.users;
  decision_id_ = decision_id;
  start_unix_us_ = start_unix_us;
  state_ = State::kCollects;
  SetDeadline(traffic_.limits().timeout);
}

void ShadowCopy::SetDeadline(std::chrono::milliseconds from_now) {
  traffic_.deadlines().Remove(*this);
  deadline.at = worker_.now() + from_now;
  traffic_.deadlines().Add(*this);
}

bool ShadowCopy::AppendAll(const RequestBody& body) {
  if (!charge_.Add(body.bytes())) {
    Finish(ShadowOutcome::kDroppedMemory, "");
    return false;
  }
  body.AppendAllTo(body_);
  return true;
}

void ShadowCopy::Append(std::string_view data, const BlockRef& block) {
  if (!charge_.Add(data.size())) return Finish(ShadowOutcome::kDroppedMemory, "");
  body_.Append(data, block);
}

// --- 2. It is complete, and goes to a host.

void ShadowCopy::OnBodyComplete() {
  body_.End();
  // Later in this round: what live requests have to do comes first.
  state_ = State::kComplete;
  SetDeadline(std::chrono::milliseconds(0));
}

void ShadowCopy::Send() {
  state_ = State::kWaitsForShadow;
  SetDeadline(traffic_.limits().timeout);
  Host* host = traffic_.ChooseHost(*routes_, *shadow_->answer);
  if (host == nullptr) {
    return Finish(ShadowOutcome::kFailed,
                  fmt::format("no host of model {} can be reached", shadow_->answer->model->id));
  }
  attempt_ = &worker_.NewAttempt();
  attempt_->Begin(*this, *shadow_->answer, body_);
  if (absl::Status status = attempt_->Submit(*host); !status.ok()) {
    Finish(ShadowOutcome::kFailed, std::string(Message(status)));
  }
}

void ShadowCopy::AddHostHeaders(const Attempt&, HeaderFields& fields) {
  for (const Header& header : headers_.headers()) {
    const bool is_unique = header.name == headers::kDecision || header.name == headers::kUser;
    is_unique ? fields.AddUnique(header.name, header.value) : fields.Add(header.name, header.value);
  }
  fields.AddUnique("grpc-timeout", FormatGrpcTimeout(deadline.at - worker_.now(), timeout_text_.data()));
}

// --- 3. The shadow answers.

void ShadowCopy::OnResponseHeaders(Attempt& attempt, bool ended) {
  if (ended) return OnResponseEnd(attempt);
  attempt.response_headers().Clear();
}

void ShadowCopy::OnResponseData(Attempt& attempt) {
  BodyQueue& body = attempt.response_body();
  const size_t bytes = body.bytes();
  answer_too_long_ |= answer_.size() + bytes > traffic_.limits().answer_bytes_max;
  const bool is_kept = shadow_->comparison != nullptr && !answer_too_long_;
  if (is_kept && !charge_.Add(bytes)) return Finish(ShadowOutcome::kDroppedMemory, "");
  while (!body.empty()) {
    const std::string_view front = body.Front();
    if (is_kept) answer_.append(front);
    body.Drop(front.size());
  }
  attempt.Release(bytes);
}

void ShadowCopy::OnResponseEnd(Attempt& attempt) {
  duration_us_ = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(worker_.ReadClock() - attempt.sent_at()).count());
  if (attempt.grpc_status() != 0) {
    const std::string_view text = attempt.response_headers().Find("grpc-message");
    failure_ = absl::Status(
        static_cast<absl::StatusCode>(attempt.grpc_status()),
        fmt::format("host {} answered {}{}{}", attempt.host()->name(), telemetry::GrpcCodeName(attempt.grpc_status()),
                    text.empty() ? "" : ": ", text.substr(0, kMessageBytesMax)));
  }
  // What is left is done later in this round, when its stream is closed: else it would be reset, for nothing.
  state_ = State::kAnswered;
  SetDeadline(std::chrono::milliseconds(0));
}

void ShadowCopy::OnAttemptFailed(Attempt&, const absl::Status& why, Processed) {
  // The host has the deadline too, and may be a little the first to end it.
  const bool is_late =
      absl::IsCancelled(why) && worker_.ReadClock() + traffic_.limits().timeout / kDeadlineParts >= deadline.at;
  Finish(is_late ? ShadowOutcome::kDroppedSlow : ShadowOutcome::kFailed, std::string(Message(why)));
}

void ShadowCopy::OnAnswered() {
  std::exchange(attempt_, nullptr)->LetGo();
  if (!failure_.ok()) {
    const bool is_late = absl::IsDeadlineExceeded(failure_);
    return Finish(is_late ? ShadowOutcome::kDroppedSlow : ShadowOutcome::kFailed, std::string(Message(failure_)));
  }
  series_->AddDuration(duration_us_);
  if (shadow_->comparison == nullptr) return Finish(ShadowOutcome::kNotCompared, "");
  if (live_ != nullptr) return Compare();
  state_ = State::kWaitsForLive;
  SetDeadline(traffic_.limits().timeout);
}

// --- 4. The live request ends; before or after.

void ShadowCopy::OnLiveEnd(std::shared_ptr<const LiveAnswer> live) {
  of_ = nullptr;
  live_ = std::move(live);
  if (state_ == State::kCollects) return Finish(ShadowOutcome::kDroppedIncomplete, "");
  if (state_ == State::kWaitsForLive) Compare();
}

void ShadowCopy::Compare() {
  if (live_->body == nullptr) return Finish(live_->outcome, live_->why_not);
  if (answer_too_long_) {
    return Finish(ShadowOutcome::kNotComparable,
                  fmt::format("the shadow's answer is longer than {} bytes", traffic_.limits().answer_bytes_max));
  }
  ShadowResult result{.series = series_,
                      .report = Report(ShadowOutcome::kNotComparable, ""),
                      .comparison = *shadow_->comparison,
                      .live = live_->body,
                      .shadow = std::move(answer_)};
  if (!traffic_.Finish(std::move(result))) return Finish(ShadowOutcome::kDroppedQueue, "");
  End();
}

// --- 5. It ends.

void ShadowCopy::OnDeadline() {
  const auto timeout = traffic_.limits().timeout.count();
  switch (state_) {
    case State::kCollects:
      return Finish(ShadowOutcome::kDroppedIncomplete, "");
    case State::kComplete:
      return Send();
    case State::kWaitsForShadow:
      return Finish(ShadowOutcome::kDroppedSlow,
                    fmt::format("host {} had not answered after {} ms", attempt_->host()->name(), timeout));
    case State::kAnswered:
      return OnAnswered();
    case State::kWaitsForLive:
      return Finish(ShadowOutcome::kNotCompared, "");
  }
}

void ShadowCopy::Finish(ShadowOutcome outcome, std::string reason) {
  series_->Count(outcome);
  const bool is_for_people = outcome == ShadowOutcome::kFailed || outcome == ShadowOutcome::kNotComparable ||
                             outcome == ShadowOutcome::kDroppedSlow;
  // It is counted; where too much waits already, there are examples enough.
  if (is_for_people) {
    (void)traffic_.Finish({.series = series_,
                           .report = Report(outcome, std::move(reason)),
                           .comparison = std::nullopt,
                           .live = nullptr,
                           .shadow = {}});
  }
  End();
}

telemetry::ShadowReport ShadowCopy::Report(ShadowOutcome outcome, std::string reason) const {
  return {.series = series_,
          .outcome = outcome,
          .decision_id = decision_id_,
          .start_unix_us = start_unix_us_,
          .live_model = live_ == nullptr ? std::string() : live_->model,
          .reason = std::move(reason),
          .live_answer = {},
          .shadow_answer = {}};
}

void ShadowCopy::End() {
  traffic_.deadlines().Remove(*this);
  if (of_ != nullptr) std::exchange(of_, nullptr)->Remove(*this);
  if (attempt_ != nullptr) std::exchange(attempt_, nullptr)->LetGo();
  if (routes_ != nullptr) worker_.ReleaseRoutes(*std::exchange(routes_, nullptr));
  headers_.Clear();
  suffix_.clear();
  body_.Reset();
  failure_ = absl::OkStatus();
  Empty(answer_);
  answer_too_long_ = false;
  live_.reset();
  traffic_.Free(*this);
}

// --- All copies of one request.

void RequestShadows::Append(std::string_view data, const BlockRef& block) {
  for (ShadowCopy *copy = copies_.first(), *next = nullptr; copy != nullptr; copy = next) {
    next = decltype(copies_)::Next(*copy);
    copy->Append(data, block);
  }
}

void RequestShadows::OnBodyComplete() {
  for (ShadowCopy *copy = copies_.first(), *next = nullptr; copy != nullptr; copy = next) {
    next = decltype(copies_)::Next(*copy);
    copy->OnBodyComplete();
  }
}

void RequestShadows::Capture(ShadowTraffic& traffic, std::string_view objective) {
  traffic_ = &traffic;
  live_ = std::make_shared<LiveAnswer>();
  live_->charge.Begin(traffic, objective);
}

void RequestShadows::OnAnswer(const BodyQueue& body, size_t bytes) {
  if (traffic_ == nullptr || copies_.empty()) return;
  const size_t bytes_max = traffic_->limits().answer_bytes_max;
  if (answer_.size() + bytes > bytes_max) {
    live_->why_not = fmt::format("the live answer is longer than {} bytes", bytes_max);
    live_->outcome = ShadowOutcome::kNotComparable;
  } else if (!live_->charge.Add(bytes)) {
    live_->why_not = "shadows hold as much memory as they may";
    live_->outcome = ShadowOutcome::kDroppedMemory;
  }
  if (!live_->why_not.empty()) {
    traffic_ = nullptr;
    return Empty(answer_);
  }
  BodyQueue::Place place;
  while (bytes > 0) {
    const std::string_view part = body.At(place).substr(0, bytes);
    answer_.append(part);
    body.Skip(place, part.size());
    bytes -= part.size();
  }
}

void RequestShadows::End(std::string_view live_model, std::string why_not, ShadowOutcome outcome) {
  std::shared_ptr<LiveAnswer> live = std::move(live_);
  if (!copies_.empty()) {
    if (live == nullptr) live = std::make_shared<LiveAnswer>();
    live->model = live_model;
    if (!why_not.empty()) {
      live->why_not = std::move(why_not);
      live->outcome = outcome;
    }
    if (traffic_ != nullptr && live->why_not.empty()) {
      live->body = std::make_shared<const std::string>(std::move(answer_));
    }
    while (ShadowCopy* copy = copies_.PopFront()) copy->OnLiveEnd(live);
  }
  traffic_ = nullptr;
  Empty(answer_);
}

}  // namespace signalbox::proxy
