#include "proxy/model_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include "base/status.h"
#include "proxy/host.h"
#include "proxy/host_choice.h"
#include "proxy/routes.h"
#include "proxy/worker.h"

namespace signalbox::proxy {
namespace {

using std::chrono::milliseconds;

// Where no policy says. Three hosts that cannot be reached are no accident any more, and the fallback waits.
constexpr uint32_t kTriesDefault = 3;
constexpr milliseconds kBackoffFirstDefault{5};
constexpr milliseconds kBackoffMaxDefault{250};
constexpr milliseconds kHedgeDelayMin{1};
constexpr int kUnavailable = static_cast<int>(absl::StatusCode::kUnavailable);

// `grpc-retry-pushback-ms` of gRPC's retry design (A6): how long to wait; negative, or no number: not again.
std::optional<milliseconds> Pushback(const HeaderList& headers) {
  const std::string_view text = headers.Find("grpc-retry-pushback-ms");
  if (text.empty()) return std::nullopt;
  int32_t wait = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), wait);
  const bool is_number = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return milliseconds(is_number ? wait : -1);
}

}  // namespace

// --- 1. A host is asked.

absl::Status ModelCall::Start(const CallSetting& setting, const decide::Answer& answer, bool has_others) {
  setting_ = &setting;
  answer_ = &answer;
  has_others_ = has_others;
  host_ = nullptr;
  tried_ = {};
  tries_ = unsent_ = 0;
  may_have_worked_ = false;
  sent_at_ = Time();
  last_failure_ = absl::OkStatus();
  clock_runs_ = false;
  absl::Status status = TryNextHost();
  if (status.ok() && setting.body->ended()) StartClock();
  return status;
}

Host* ModelCall::Choose() {
  return ChooseHost(*setting_->routes, *answer_, worker_.now(),
                    {.tried = {tried_.begin(), tried_.size()},
                     .affinity_key = setting_->affinity_key,
                     .load_bound_percent = setting_->affinity_key == 0 ? 0 : setting_->policy->load_bound_percent});
}

bool ModelCall::HasTryLeft() const {
  const size_t hosts = setting_->routes->TurnOf(*answer_).hosts.size();
  // The same host again is only better than none: its connection may be new by then.
  const bool has_others = hosts > 1 || has_others_;
  const auto hosts_max = has_others ? static_cast<uint32_t>(std::min<size_t>(kTriesDefault, hosts)) : kTriesDefault;
  const uint32_t declared = setting_->policy == nullptr ? 0 : setting_->policy->retries.tries;
  if (declared == 0 && !idempotent()) return tries_ + unsent_ < hosts_max;
  return tries_ < (declared == 0 ? kTriesDefault : declared) && unsent_ < hosts_max;
}

absl::Status ModelCall::TryNextHost() {
  const std::span<const uint32_t> hosts = setting_->routes->TurnOf(*answer_).hosts;
  if (hosts.empty()) {
    return absl::UnavailableError(answer_->ensemble == nullptr
                                      ? "the placement has no host for it that is ready (where the fleet is managed, "
                                        "`signalbox placement explain` says why)"
                                      : "this proxy cannot run it");
  }
  while (HasTryLeft()) {
    Host* host = Choose();
    if (host == nullptr) {
      if (last_failure_.ok()) {
        const Host& first = *setting_->routes->hosts[hosts.front()];
        last_failure_ = absl::UnavailableError(fmt::format("host {} cannot be reached", first.name()));
      }
      break;
    }
    if (Begin(*host) != nullptr) return absl::OkStatus();
    ++unsent_;
  }
  return last_failure_;
}

Attempt* ModelCall::Begin(Host& host) {
  host_ = &host;
  tried_.Add(&host);
  Attempt& attempt = worker_.NewAttempt();
  attempt.Begin(*this, *answer_, *setting_->body, setting_->lane);
  *std::find(attempts_.begin(), attempts_.end(), nullptr) = &attempt;
  if (absl::Status status = attempt.Submit(host); !status.ok()) {
    last_failure_ = std::move(status);
    Remove(attempt);
    return nullptr;
  }
  ++tries_;
  ++setting_->counts->attempts;
  if (clock_runs_) StartTimeout(attempt);
  return &attempt;
}

void ModelCall::OnBodyGrew() {
  for (Attempt* attempt : attempts_) {
    if (attempt != nullptr) attempt->OnBodyGrew();
  }
  if (active() && !clock_runs_ && setting_->body->ended()) StartClock();
}

uint64_t ModelCall::body_bytes_read() const {
  uint64_t most = 0;
  for (const Attempt* attempt : attempts_) {
    if (attempt != nullptr) most = std::max(most, attempt->body_bytes_read());
  }
  return most;
}

// As long as the client sends, its hosts cannot be blamed for taking long.
void ModelCall::StartClock() {
  clock_runs_ = true;
  if (answering_ != nullptr) return;
  for (Attempt* attempt : attempts_) {
    if (attempt == nullptr) continue;
    attempt->StartClock();
    StartTimeout(*attempt);
  }
  ScheduleHedge();
}

void ModelCall::StartTimeout(Attempt& attempt) const {
  const int64_t per_try_ms = setting_->policy == nullptr ? 0 : setting_->policy->per_try_ms;
  if (per_try_ms > 0) attempt.SetTimeout(milliseconds(per_try_ms));
}

// --- 2. It takes long: another one is asked as well.

void ModelCall::ScheduleHedge() {
  const bool asks_one = attempts_[0] != nullptr && attempts_[1] == nullptr;
  if (!asks_one || !idempotent() || setting_->policy->hedge_percentile_ppm == 0 || !setting_->body->MayBegin()) return;
  const LatencyEstimate* latency = setting_->routes->plan->handling.LatencyOf(*answer_);
  if (latency == nullptr) return;
  const std::optional<std::chrono::microseconds> usual = latency->Quantile(setting_->policy->hedge_percentile_ppm);
  if (!usual) return;  // nobody knows yet what long is
  const milliseconds at_least = std::max(kHedgeDelayMin, milliseconds(setting_->policy->hedge_min_delay_ms));
  deadline.at = worker_.now() + std::max<std::chrono::nanoseconds>(at_least, *usual);
  worker_.call_deadlines().Add(*this);
}

void ModelCall::OnDeadline() {
  const bool waits = std::any_of(attempts_.begin(), attempts_.end(), [](const Attempt* one) { return one != nullptr; });
  if (waits) return Hedge();
  if (absl::Status status = TryNextHost(); !status.ok()) owner_.OnCallFailed(*this, status);
}

void ModelCall::Hedge() {
  if (!HasTryLeft() || !setting_->body->MayBegin()) return;
  Host* host = Choose();
  if (host == nullptr || std::find(tried_.begin(), tried_.end(), host) != tried_.end()) return;
  if (!setting_->objective->retries.TryTake(worker_.now(), setting_->policy->retries.budget_ppm)) {
    ++setting_->counts->over_budget;
    return;
  }
  const Host* first = host_;
  hedge_ = Begin(*host);
  if (hedge_ == nullptr) {
    host_ = first;
    return;
  }
  ++setting_->counts->hedges;
}

// --- 3. One answers.

void ModelCall::OnResponseHeaders(Attempt& attempt, bool ended) {
  if (attempt.grpc_status() == kUnavailable) return Refused(attempt, ended);
  Accept(attempt);
  owner_.OnCallAnswered(*this, ended);
}

void ModelCall::Accept(Attempt& attempt) {
  StopTimer();
  attempt.StopTimeout();
  setting_->counts->hedge_wins += &attempt == hedge_ ? 1 : 0;
  const bool answered = attempt.grpc_status() != kUnavailable;
  LatencyEstimate* latency = answered ? setting_->routes->plan->handling.LatencyOf(*answer_) : nullptr;
  if (latency != nullptr) latency->Add(attempt.answered_at() - attempt.asked_at());
  answering_ = &attempt;
  host_ = attempt.host();
  for (Attempt* other : attempts_) {
    if (other == nullptr || other == &attempt) continue;
    // It would have taken longer than this: without it, the usual would look shorter with each hedge.
    if (latency != nullptr) latency->Add(attempt.answered_at() - other->asked_at());
    Remove(*other);
  }
}

// The host says that it is not available. That is an answer when nobody else can be asked.
void ModelCall::Refused(Attempt& attempt, bool ended) {
  const std::string text(attempt.response_headers().Find("grpc-message"));
  last_failure_ = absl::UnavailableError(
      fmt::format("host {} answered UNAVAILABLE{}{}", attempt.host()->name(), text.empty() ? "" : ": ", text));
  const bool read_nothing = !attempt.body_was_taken() && !attempt.body_exhausted();
  may_have_worked_ |= !read_nothing;
  const std::optional<milliseconds> pushback = Pushback(attempt.response_headers());
  const bool has_twin = attempts_[0] != nullptr && attempts_[1] != nullptr;
  if (has_twin) return Remove(attempt);
  StopTimer();
  if ((!pushback || pushback->count() >= 0) && MayTryAgain(true)) {
    Remove(attempt);
    return GoOn(true, pushback);
  }
  Accept(attempt);
  if (ended) return owner_.OnCallFailed(*this, last_failure_);
  owner_.OnCallAnswered(*this, false);
}

// --- 4. One fails: another one, if that is safe.

void ModelCall::OnAttemptFailed(Attempt& attempt, const absl::Status& why, Processed processed) {
  if (&attempt == answering_) return owner_.OnCallFailed(*this, why);
  last_failure_ = why;
  const bool was_sent = attempt.sent();
  if (!was_sent) {
    --tries_;
    ++unsent_;
    --setting_->counts->attempts;
  }
  setting_->counts->timeouts += attempt.timed_out() ? 1 : 0;
  may_have_worked_ |= was_sent && processed == Processed::kMaybe;
  Remove(attempt);
  const bool has_twin = attempts_[0] != nullptr || attempts_[1] != nullptr;
  if (has_twin) return;
  StopTimer();
  if (!MayTryAgain(was_sent)) return owner_.OnCallFailed(*this, absl::Status(last_failure_));
  GoOn(was_sent, std::nullopt);
}

bool ModelCall::MayTryAgain(bool was_sent) {
  // A host that has seen the request may have worked on it; what it refused it has not.
  if (may_have_worked_ && !idempotent()) return false;
  if (!setting_->body->whole() || !HasTryLeft()) return false;
  if (setting_->ends_at && worker_.ReadClock() >= *setting_->ends_at) return false;
  if (!was_sent) return true;
  const uint32_t budget_ppm = setting_->policy == nullptr ? 0 : setting_->policy->retries.budget_ppm;
  if (setting_->objective->retries.TryTake(worker_.now(), budget_ppm)) return true;
  ++setting_->counts->over_budget;
  return false;
}

void ModelCall::GoOn(bool was_sent, std::optional<milliseconds> pushback) {
  const auto pause = pushback   ? std::chrono::nanoseconds(*pushback)
                     : was_sent ? Backoff()
                                : std::chrono::nanoseconds(0);
  if (setting_->ends_at && worker_.now() + pause >= *setting_->ends_at) {
    return owner_.OnCallFailed(*this, absl::Status(last_failure_));
  }
  setting_->counts->retries += was_sent ? 1 : 0;
  if (pause.count() > 0) {
    deadline.at = worker_.now() + pause;
    return worker_.call_deadlines().Add(*this);
  }
  if (absl::Status status = TryNextHost(); !status.ok()) owner_.OnCallFailed(*this, status);
}

// Doubles with each try; and any part of that, so that those who failed together do not come back together.
std::chrono::nanoseconds ModelCall::Backoff() const {
  const decide::Policy* policy = setting_->policy;
  std::chrono::nanoseconds first = kBackoffFirstDefault;
  std::chrono::nanoseconds longest = kBackoffMaxDefault;
  if (policy != nullptr && policy->retries.backoff_ms > 0) first = milliseconds(policy->retries.backoff_ms);
  if (policy != nullptr && policy->retries.backoff_max_ms > 0) longest = milliseconds(policy->retries.backoff_max_ms);
  constexpr uint32_t kDoublingsMax = 20;
  const auto pause = std::min(longest, first * (1 << std::min(std::max(tries_, 1U) - 1, kDoublingsMax)));
  return std::chrono::nanoseconds(static_cast<int64_t>(worker_.Random() % static_cast<uint64_t>(pause.count() + 1)));
}

// --- 5. It ends.

void ModelCall::LetGo() {
  StopTimer();
  for (Attempt* attempt : attempts_) {
    if (attempt != nullptr) Remove(*attempt);
  }
  answer_ = nullptr;
}

void ModelCall::StopTimer() { worker_.call_deadlines().Remove(*this); }

void ModelCall::Remove(Attempt& attempt) {
  if (attempt.sent()) sent_at_ = attempt.sent_at();
  if (answering_ == &attempt) answering_ = nullptr;
  if (hedge_ == &attempt) hedge_ = nullptr;
  std::replace(attempts_.begin(), attempts_.end(), &attempt, static_cast<Attempt*>(nullptr));
  attempt.LetGo();
  owner_.OnBodyTaken();  // it may have been the one that the client's window waited for
}

}  // namespace signalbox::proxy
