// What is asked for a request: the chosen model or ensemble, else its fallbacks; and what the client is told when none
// of them answers.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "base/status.h"
#include "proxy/client_connection.h"
#include "proxy/host.h"
#include "proxy/host_choice.h"
#include "proxy/request.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// Of a request that may have to be sent again; longer ones are sent once.
constexpr size_t kKeptBodyBytesMax = 1 << 20;
// Of all such requests of one Objective at a time, where its policy does not say.
constexpr uint64_t kKeptBytesDefault = 64 << 20;

std::string ModeName(v1::Ensemble::Mode mode) {
  std::string name = v1::Ensemble::Mode_Name(mode);
  for (char& c : name) c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return name;
}

}  // namespace

// --- What the policy says.

void Request::Prepare() {
  const decide::Policy* policy = decision_.policy;
  if (policy != nullptr && policy->total_ms > 0) {
    const Time ends_at = start_ + std::chrono::milliseconds(policy->total_ms);
    if (!has_deadline_ || ends_at < deadline.at) {
      worker_.deadlines().Remove(*this);
      deadline.at = ends_at;
      has_deadline_ = deadline_is_policys_ = true;
      worker_.deadlines().Add(*this);
    }
  }
  ObjectiveHandling& objective = routes_->plan->handling.Of(*decision_.answer);
  objective.retries.CountRequest(worker_.now());
  setting_ = {.routes = routes_,
              .body = &body_,
              .policy = policy,
              .affinity_key = AffinityKey(policy, context_.context),
              .lane = lane(),
              .objective = &objective,
              .ends_at = has_deadline_ ? std::optional<Time>(deadline.at) : std::nullopt,
              .counts = &tries_};
  const bool runs_ensemble = decision_.answer->ensemble != nullptr && CanRun(*decision_.answer);
  if (!idempotent() && !runs_ensemble) return;
  const uint64_t declared = policy == nullptr ? 0 : policy->bulkhead.buffered_bytes;
  body_.Keep(kKeptBodyBytesMax, objective.kept, declared == 0 ? kKeptBytesDefault : declared);
}

// --- 4. The chosen model is asked, else its fallbacks, until one can be. Where there is none, the client gets the
// answer that the rules declare, or is told.

absl::Status Request::Dispatch() {
  for (;;) {
    absl::Status status = Ask();
    if (!absl::IsUnavailable(status)) return status;
    last_failure_ = std::move(status);
    if (TakeUpNext()) continue;
    if (GiveStaticAnswer()) return absl::OkStatus();
    return NothingReachable();
  }
}

absl::Status Request::Ask() {
  if (asked_->ensemble == nullptr) {
    return call_.Start(setting_, *asked_, fallbacks_tried_ < decision_.fallbacks.size());
  }
  if (!CanRun(*asked_)) return absl::UnavailableError("this proxy cannot run it");
  // Its members read the body side by side.
  if (!body_.kept()) return absl::UnavailableError("the request is too long to be sent to several models");
  EnsembleOwner& self = *this;
  if (ensemble_ == nullptr) ensemble_ = std::make_unique<EnsembleCall>(worker_, self);
  return ensemble_->Start(setting_, *asked_);
}

// Any method has a first answer; what is combined must be one message of a schema that is known.
bool Request::CanRun(const decide::Answer& ensemble) const {
  if (ensemble.ensemble->mode() == v1::Ensemble::FIRST) return true;
  return body_kind_ == BodyKind::kInfer && !IsInferenceStream(request_headers_.Find(":path"));
}

bool Request::TakeUpNext() {
  if (fallbacks_tried_ == decision_.fallbacks.size()) return false;
  ++tried_in_vain_;
  asked_ = answer_ = decision_.fallbacks[fallbacks_tried_++];
  return true;
}

absl::Status Request::NothingReachable() {
  asked_ = answer_ = decision_.answer;
  const decide::Answer& answer = *decision_.answer;
  const std::string_view nor_fallbacks = decision_.fallbacks.empty() ? "" : ", nor its fallbacks";
  if (answer.ensemble != nullptr && !CanRun(answer)) {
    return absl::UnimplementedError(
        fmt::format("ensemble {} of Objective {} has the mode `{}`, which combines answers of "
                    "inference.GRPCInferenceService/ModelInfer alone{}",
                    answer.ensemble->name(), answer.objective, ModeName(answer.ensemble->mode()),
                    decision_.fallbacks.empty() ? "" : "; and no fallback can be reached"));
  }
  if (answer.ensemble != nullptr) {
    return absl::UnavailableError(fmt::format("ensemble {} of Objective {} does not answer{}: {}",
                                              answer.ensemble->name(), answer.objective, nor_fallbacks,
                                              Message(last_failure_)));
  }
  return absl::UnavailableError(fmt::format("model {} of Objective {} cannot be reached{}: {}", answer.model->id,
                                            answer.objective, nor_fallbacks, Message(last_failure_)));
}

// --- What was asked has failed: what comes next, as long as nothing of an answer has passed.

void Request::OnCallFailed(ModelCall& call, const absl::Status& why) {
  if (response_begun_) return FailOrTooLate(why);
  // Another model must not do again what this one may have done.
  GoOn(why, !call.may_have_worked() || idempotent());
}

// Whoever has several models do the same has nothing against one more.
void Request::OnEnsembleFailed(const absl::Status& why) { GoOn(why, true); }

void Request::GoOn(const absl::Status& why, bool safe) {
  last_failure_ = why;
  const bool may_ask = safe && body_.whole() && fallbacks_tried_ < decision_.fallbacks.size();
  if (may_ask && !TooLate()) {
    LetGo();
    TakeUpNext();
    if (absl::Status status = Dispatch(); !status.ok()) Fail(status);
    return;
  }
  // Nothing is done by the rules' own answer.
  const bool has_failed = asked_->ensemble != nullptr || absl::IsUnavailable(why) || absl::IsDeadlineExceeded(why);
  if (has_failed && GiveStaticAnswer()) return;
  // It said itself that it is not available.
  const bool has_hosts_answer = asked_->ensemble == nullptr && call_.answer_attempt() != nullptr;
  if (has_hosts_answer) return OnCallAnswered(call_, true);
  if (safe && absl::IsUnavailable(why) && !TooLate()) return Fail(NothingReachable());
  FailOrTooLate(why);
}

bool Request::TooLate() const { return has_deadline_ && worker_.ReadClock() >= deadline.at; }

void Request::FailOrTooLate(const absl::Status& why) {
  // The host knows the deadline too, and may be the first to say so.
  if (absl::IsCancelled(why) && TooLate()) return OnDeadline();
  Fail(why);
}

}  // namespace signalbox::proxy
