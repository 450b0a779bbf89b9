#include "allocate/circuit.h"

#include <algorithm>

namespace signalbox::allocate {

bool Circuit::Allows(Time now) {
  if (state_ == State::kClosed) return true;
  if (state_ == State::kProbing || now < retry_at_) return false;
  state_ = State::kProbing;
  ++round_;
  return true;
}

bool Circuit::Succeeded(Round asked_in) {
  if (state_ == State::kOpen || asked_in != round_) return false;
  const bool was_paused = paused();
  state_ = State::kClosed;
  failures_ = 0;
  pause_ = kPauseFirst;
  return was_paused;
}

bool Circuit::Failed(Time now, Round asked_in) {
  if (state_ == State::kOpen || asked_in != round_) return false;
  if (state_ == State::kClosed && ++failures_ < kFailuresInARowMax) return false;
  return Pause(now, std::nullopt, asked_in);
}

bool Circuit::Pause(Time now, std::optional<std::chrono::milliseconds> wished, Round asked_in) {
  if (wished) wished = std::clamp(*wished, kPauseFirst, kRetryAfterMax);
  if (state_ == State::kOpen) {
    if (wished) retry_at_ = std::max(retry_at_, now + *wished);
    return false;
  }
  if (asked_in != round_) return false;
  if (wished) return Open(now + *wished);
  const Time until = now + pause_;
  pause_ = std::min(2 * pause_, kPauseMax);
  return Open(until);
}

bool Circuit::Open(Time until) {
  const bool was_paused = paused();
  state_ = State::kOpen;
  retry_at_ = until;
  return !was_paused;
}

}  // namespace signalbox::allocate
