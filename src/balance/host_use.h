// One try at a host, counted from its beginning to its end: once, whatever way it ends.
#pragma once

#include <utility>

#include "balance/host_state.h"

namespace signalbox::balance {

// For one thread. The host outlives it, or the End.
class HostUse {
 public:
  HostUse() = default;
  HostUse(const HostUse&) = delete;
  HostUse& operator=(const HostUse&) = delete;

  void Begin(HostState& host, Time now) {
    host_ = &host;
    began_ = answered_ = now;
    has_answer_ = false;
    host.OnBegin();
  }
  // It had to wait for a connection, which says nothing of the host.
  void OnSent(Time now) {
    if (now > began_) began_ = now;
  }
  // The first byte of its answer is there: so long it took, whatever comes behind it.
  void OnAnswer(Time now) {
    answered_ = now;
    has_answer_ = true;
  }
  // Where it has ended already, nothing happens.
  void End(Outcome outcome, Time now, const Settings& settings) {
    if (host_ == nullptr) return;
    std::exchange(host_, nullptr)->OnEnd(outcome, (has_answer_ ? answered_ : now) - began_, now, settings);
  }
  // It said how busy it is.
  void OnReport(double utilisation, Time now) {
    if (host_ != nullptr) host_->OnReport(utilisation, now);
  }

 private:
  HostState* host_ = nullptr;
  Time began_;
  Time answered_;
  bool has_answer_ = false;
};

}  // namespace signalbox::balance
