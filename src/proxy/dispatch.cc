// Which hosts a request is given to, one after the other, until one answers.
#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/status.h"
#include "proxy/host.h"
#include "proxy/host_choice.h"
#include "proxy/request.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

// Of one model. Three that cannot be reached are no accident any more, and the fallback waits.
constexpr size_t kHostsPerModelMax = 3;

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

}  // namespace

// --- It goes to the first host that can be reached: of the chosen model, else of its fallbacks. Where there is
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
  const std::span<const uint32_t> hosts = routes_->TurnOf(*answer_).hosts;
  if (hosts.empty()) {
    last_failure_ = absl::UnavailableError(
        answer_->ensemble == nullptr ? "the placement has no host for it that is ready (where the fleet is managed, "
                                       "`signalbox placement explain` says why)"
                                     : "this proxy cannot run it");
    return last_failure_;
  }
  // The same host again is only better than none: its connection may be new by then.
  const bool has_others = hosts.size() > 1 || fallbacks_tried_ < decision_.fallbacks.size() || answer_ != asked_;
  const size_t tries_max = has_others ? std::min(kHostsPerModelMax, hosts.size()) : kHostsPerModelMax;
  while (hosts_tried_ < tries_max) {
    Host* host = ChooseHost(*routes_, *answer_, worker_.now());
    if (host == nullptr) {
      if (last_failure_.ok()) {
        last_failure_ =
            absl::UnavailableError(fmt::format("host {} cannot be reached", routes_->hosts[hosts.front()]->name()));
      }
      break;
    }
    ++hosts_tried_;
    host_ = host;
    Attempt& attempt = worker_.NewAttempt();
    attempt.Begin(*this, *answer_, body_);
    attempt_ = &attempt;
    last_failure_ = attempt.Submit(*host);
    if (last_failure_.ok()) return absl::OkStatus();
    LetGoOfAttempt();
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

// --- The host could not be reached, or failed: another one, as long as nothing of the body or of the response has
// passed.

void Request::OnAttemptFailed(Attempt& attempt, const absl::Status& why, Processed processed) {
  last_failure_ = why;
  // A host that has seen the request may have worked on it. What it refused it has not; but then the body must still be
  // here.
  const bool try_again =
      !attempt.body_was_taken() && !response_begun_ && (!attempt.sent() || processed == Processed::kNo);
  if (!try_again) {
    const bool too_late = has_deadline_ && absl::IsCancelled(why) && worker_.ReadClock() >= deadline.at;
    if (too_late) return OnDeadline();
    // Another model must not do again what this one may have done. Nothing is done by the rules' own answer.
    if (absl::IsUnavailable(why) && GiveStaticAnswer()) return;
    return Fail(why);
  }
  LetGoOfAttempt();
  if (absl::Status status = Dispatch(); !status.ok()) Fail(status);
}

}  // namespace signalbox::proxy
