#include "proxy/ensemble_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/status.h"
#include "inference/combine.h"
#include "proxy/host.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

constexpr size_t kPrefixBytes = 5;
// Half of what is kept of a request at most (dispatch.cc).
constexpr uint64_t kRaceLagBytesMax = 512 << 10;

std::string BytesOf(const BodyQueue& queue) {
  std::string bytes;
  bytes.reserve(queue.bytes());
  BodyQueue::Place place;
  while (bytes.size() < queue.bytes()) {
    const std::string_view part = queue.At(place);
    bytes.append(part);
    queue.Skip(place, part.size());
  }
  return bytes;
}

// The one message of a body.
absl::StatusOr<std::string_view> MessageOf(std::string_view model, std::string_view body) {
  size_t size = 0;
  for (size_t i = 1; i < kPrefixBytes && i < body.size(); ++i) size = size << 8 | static_cast<uint8_t>(body[i]);
  if (body.size() < kPrefixBytes || body.size() - kPrefixBytes != size) {
    return absl::InternalError(
        fmt::format("model {} answered {} bytes, which are not one message", model, body.size()));
  }
  if (body[0] != 0) return absl::InternalError(fmt::format("model {} answered a compressed message", model));
  return body.substr(kPrefixBytes);
}

}  // namespace

EnsembleCall::Member::Member(Worker& worker, CallOwner& owner) : call(worker, owner), body(worker.memory()) {}

bool EnsembleCall::is_race() const { return answer_->ensemble->mode() == v1::Ensemble::FIRST; }

size_t EnsembleCall::needed() const {
  if (is_race()) return 1;
  return answer_->ensemble->min_members() == 0 ? count_ : answer_->ensemble->min_members();
}

// --- 1. All are asked.

absl::Status EnsembleCall::Start(const CallSetting& setting, const decide::Answer& answer) {
  answer_ = &answer;
  body_ = setting.body;
  count_ = answer.members.size();
  answered_ = failed_ = 0;
  winner_ = nullptr;
  CallOwner& self = *this;
  while (members_.size() < count_) members_.push_back(std::make_unique<Member>(worker_, self));
  for (size_t i = 0; i < count_; ++i) {
    Member& member = *members_[i];
    member.weight = answer.members[i].weight;
    member.state = Member::State::kAsked;
    absl::Status status = member.call.Start(setting, *answer.members[i].answer, true);
    if (status.ok()) continue;
    member.state = Member::State::kFailed;
    ++failed_;
    last_failure_ = std::move(status);
  }
  if (count_ - failed_ >= needed()) return absl::OkStatus();
  LetGo();
  return absl::UnavailableError(std::string(Message(last_failure_)));
}

void EnsembleCall::OnBodyGrew() {
  for (size_t i = 0; i < count_; ++i) members_[i]->call.OnBodyGrew();
  if (count_ > 0 && is_race() && winner_ == nullptr && body_->was_too_long()) DropLaggards();
}

// Of what is too long to be kept the fastest can only be ahead by so much, and one that reads nothing would hold up the
// others for ever. (Where all of them have to answer, it would anyhow.)
void EnsembleCall::DropLaggards() {
  uint64_t most = 0;
  for (size_t i = 0; i < count_; ++i) most = std::max(most, members_[i]->call.body_bytes_read());
  for (size_t i = 0; i < count_; ++i) {
    Member& member = *members_[i];
    const bool is_late = most - std::min(most, member.call.body_bytes_read()) > kRaceLagBytesMax;
    if (!is_late || member.state != Member::State::kAsked) continue;
    member.state = Member::State::kFailed;
    ++failed_;
    member.call.LetGo();
  }
}

EnsembleCall::Member& EnsembleCall::MemberOf(const ModelCall& call) {
  return **std::find_if(members_.begin(), members_.end(), [&](const auto& member) { return &member->call == &call; });
}

// --- 2. They answer.

void EnsembleCall::OnCallAnswered(ModelCall& call, bool ended) {
  const Attempt& attempt = *call.answer_attempt();
  if (ended && attempt.grpc_status() != 0) {
    return Fail(MemberOf(call), absl::UnavailableError(fmt::format("model {} answered with gRPC status {}",
                                                                   call.answer().model->id, attempt.grpc_status())));
  }
  if (!is_race()) {
    if (ended) OnCallEnd(call);
    return;
  }
  winner_ = &call;
  answered_ = 1;
  for (size_t i = 0; i < count_; ++i) {
    if (&members_[i]->call != &call) members_[i]->call.LetGo();
  }
  owner_.OnCallAnswered(call, ended);
}

void EnsembleCall::OnCallData(ModelCall& call) {
  if (is_race()) return owner_.OnCallData(call);
  Member& member = MemberOf(call);
  Attempt& attempt = *call.answer_attempt();
  const size_t bytes = attempt.response_body().bytes();
  attempt.response_body().MoveTo(member.body, bytes);
  attempt.Release(bytes);
  if (member.body.bytes() <= kMemberAnswerBytesMax + kPrefixBytes) return;
  Fail(member, absl::ResourceExhaustedError(fmt::format("model {} answered more than {} bytes", call.answer().model->id,
                                                        kMemberAnswerBytesMax)));
}

void EnsembleCall::OnCallEnd(ModelCall& call) {
  if (is_race()) return owner_.OnCallEnd(call);
  Member& member = MemberOf(call);
  const int grpc_status = call.answer_attempt()->grpc_status();
  if (grpc_status != 0) {
    return Fail(member, absl::UnavailableError(fmt::format("model {} answered with gRPC status {}",
                                                           call.answer().model->id, grpc_status)));
  }
  member.state = Member::State::kAnswered;
  ++answered_;
  member.call.LetGo();
  Reconsider();
}

void EnsembleCall::OnCallFailed(ModelCall& call, const absl::Status& why) {
  if (&call == winner_) return owner_.OnCallFailed(call, why);
  Fail(MemberOf(call), why);
}

void EnsembleCall::Fail(Member& member, const absl::Status& why) {
  member.state = Member::State::kFailed;
  ++failed_;
  last_failure_ = why;
  member.call.LetGo();
  member.body.Clear();
  Reconsider();
}

// --- 3. They are enough, or too few.

void EnsembleCall::Reconsider() {
  if (count_ - failed_ < needed()) {
    const absl::Status why =
        absl::UnavailableError(fmt::format("{} of {} members of ensemble {} failed, and {} have to answer: {}", failed_,
                                           count_, answer_->ensemble->name(), needed(), Message(last_failure_)));
    LetGo();
    return owner_.OnEnsembleFailed(why);
  }
  // Those that are still asked may make the answer better.
  if (answered_ + failed_ == count_) CombineNow();
}

bool EnsembleCall::CombineNow() {
  if (is_race() || answered_ < needed()) return false;
  absl::StatusOr<std::string> combined = Combine();
  LetGo();
  combined.ok() ? owner_.OnCombined(*std::move(combined)) : owner_.OnEnsembleFailed(combined.status());
  return true;
}

absl::StatusOr<std::string> EnsembleCall::Combine() const {
  std::vector<std::string> bodies;
  bodies.reserve(answered_);
  std::vector<combine::MemberAnswer> answers;
  for (size_t i = 0; i < count_; ++i) {
    const Member& member = *members_[i];
    if (member.state != Member::State::kAnswered) continue;
    const std::string& model = answer_->members[i].answer->model->id;
    bodies.push_back(BytesOf(member.body));
    ASSIGN_OR_RETURN(const std::string_view message, MessageOf(model, bodies.back()));
    const bool is_weighted = answer_->ensemble->mode() == v1::Ensemble::WEIGHTED;
    answers.push_back({.model = model, .response = message, .weight = is_weighted ? member.weight : 1});
  }
  const std::string& name = answer_->model->id;
  return answer_->ensemble->mode() == v1::Ensemble::ALL ? combine::Labelled(name, answers)
                                                        : combine::Mean(name, answers);
}

void EnsembleCall::LetGo() {
  for (size_t i = 0; i < count_; ++i) {
    members_[i]->call.LetGo();
    members_[i]->body.Clear();
  }
  count_ = 0;
  answer_ = nullptr;
}

}  // namespace signalbox::proxy
