// One model asked: at one host after the other, or at two when the first takes long, until one answers.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/fixed_list.h"
#include "decide/decide.h"
#include "proxy/attempt.h"
#include "proxy/deadline_queue.h"
#include "proxy/handling.h"
#include "proxy/request_body.h"

namespace signalbox::proxy {

class Host;
class ModelCall;
class Worker;
struct Routes;

// What was done for one request beyond asking one host. For the log, metrics and `sb-attempts`.
struct TryCounts {
  uint32_t attempts = 0;         // hosts that were given the request
  uint32_t retries = 0;          // of these: because another had failed
  uint32_t hedges = 0;           // because another took long
  uint32_t hedge_wins = 0;       // hedges that answered first
  uint32_t over_budget = 0;      // tries that the budget did not allow
  uint32_t timeouts = 0;         // hosts that did not answer in their time
  uint32_t bodies_too_long = 0;  // that had to be kept, and could not be
};

// What the calls of one request have in common. Belongs to their owner.
struct CallSetting {
  Routes* routes = nullptr;
  RequestBody* body = nullptr;
  const decide::Policy* policy = nullptr;  // nullptr: none says anything
  uint64_t affinity_key = 0;               // 0: none
  Lane lane;
  ObjectiveHandling* objective = nullptr;
  std::optional<Time> ends_at;  // no try begins after it
  TryCounts* counts = nullptr;
};

// Whoever wants what a model answers. It may end the call in any of these, but for the first three.
class CallOwner {
 public:
  // As AttemptOwner has them.
  virtual void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) = 0;
  virtual std::string_view SuffixFor(const Attempt& attempt, std::string& buffer) = 0;
  virtual void OnBodyTaken() = 0;

  // `call.answer_attempt()` has the headers of the answer, and all that comes after them.
  virtual void OnCallAnswered(ModelCall& call, bool ended) = 0;
  virtual void OnCallData(ModelCall& call) = 0;
  virtual void OnCallEnd(ModelCall& call) = 0;
  // No host answered, and none is asked any more; or the one that answered broke off. Where one said itself that it is
  // not available, and that was all, `call.answer_attempt()` has what it said.
  virtual void OnCallFailed(ModelCall& call, const absl::Status& why) = 0;

 protected:
  ~CallOwner() = default;
};

// For its worker's thread. Is reused by its owner.
class ModelCall final : private AttemptOwner {
 public:
  ModelCall(Worker& worker, CallOwner& owner) : worker_(worker), owner_(owner) {}
  ~ModelCall() = default;
  ModelCall(const ModelCall&) = delete;
  ModelCall& operator=(const ModelCall&) = delete;

  // Asks. `has_others`: whether other models can be asked when this one fails. UNAVAILABLE: there is no host that can
  // be asked, and the owner hears nothing more.
  absl::Status Start(const CallSetting& setting, const decide::Answer& answer, bool has_others);
  // There is more in the body, or its end.
  void OnBodyGrew();
  // Ends it, wherever it is.
  void LetGo();
  // Between Start and LetGo, also when it has failed.
  bool active() const { return answer_ != nullptr; }

  const decide::Answer& answer() const { return *answer_; }
  // nullptr before there is one.
  Attempt* answer_attempt() const { return answering_; }
  // The one that answered, or was asked last; nullptr when none was.
  const Host* host() const { return host_; }
  // When a host last was given the request, and when one answered.
  Time sent_at() const { return answering_ != nullptr ? answering_->sent_at() : sent_at_; }
  // Of the request's body, by the host that has most of it.
  uint64_t body_bytes_read() const;
  // A host may have worked on the request, without an answer.
  bool may_have_worked() const { return may_have_worked_; }

  // --- What time reports: it is time for the next try.
  void OnDeadline();
  Deadline deadline;

 private:
  // What attempts ask and report (attempt.h).
  void AddHostHeaders(const Attempt& attempt, HeaderFields& fields) override { owner_.AddHostHeaders(attempt, fields); }
  std::string_view SuffixFor(const Attempt& attempt, std::string& buffer) override {
    return owner_.SuffixFor(attempt, buffer);
  }
  void OnBodyTaken() override { owner_.OnBodyTaken(); }
  void OnResponseHeaders(Attempt& attempt, bool ended) override;
  void OnResponseData(Attempt&) override { owner_.OnCallData(*this); }
  void OnResponseEnd(Attempt&) override { owner_.OnCallEnd(*this); }
  void OnAttemptFailed(Attempt& attempt, const absl::Status& why, Processed processed) override;

  absl::Status TryNextHost();
  bool HasTryLeft() const;
  Host* Choose();
  // Gives the host the request. nullptr when it cannot be: last_failure_ says why.
  Attempt* Begin(Host& host);
  void Refused(Attempt& attempt, bool ended);
  // After an attempt failed: the next one, now or later, or the end.
  void GoOn(bool was_sent, std::optional<std::chrono::milliseconds> pushback);
  bool MayTryAgain(bool was_sent);
  std::chrono::nanoseconds Backoff() const;
  // The whole request is here: from now on it is the hosts' time.
  void StartClock();
  void StartTimeout(Attempt& attempt) const;
  void ScheduleHedge();
  void Hedge();
  void Accept(Attempt& attempt);
  void Remove(Attempt& attempt);
  void StopTimer();
  bool idempotent() const { return setting_->policy != nullptr && setting_->policy->retries.idempotent; }

  Worker& worker_;
  CallOwner& owner_;
  const CallSetting* setting_ = nullptr;
  const decide::Answer* answer_ = nullptr;
  bool has_others_ = false;
  // A first one, and its hedge.
  std::array<Attempt*, 2> attempts_ = {};
  Attempt* hedge_ = nullptr;
  Attempt* answering_ = nullptr;
  const Host* host_ = nullptr;
  static constexpr size_t kTriedMax = 16;
  FixedList<const Host*, kTriedMax> tried_;  // what is beyond may be tried again
  bool clock_runs_ = false;
  uint32_t tries_ = 0;   // hosts that were given the request, or wait for it
  uint32_t unsent_ = 0;  // hosts that could not be given it
  bool may_have_worked_ = false;
  Time sent_at_;
  absl::Status last_failure_;
};

}  // namespace signalbox::proxy
