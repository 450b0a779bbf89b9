#include "allocate/circuit.h"

#include <algorithm>

namespace signalbox::allocate {

bool Circuit::Allows(Time now) {
  if (state_ == State::kClosed) return true;
  if (state_ == State::kProbing || now < retry_at_) return false;
  state_ = State::kProbing;
  return true;
}

bool Circuit::Succeeded() {
  if (state_ == State::kOpen) return false;
  const bool was_paused = paused();
  state_ = State::kClosed;
  failures_ = 0;
  pause_ = kPauseFirst;
  return was_paused;
}

bool Circuit::Failed(Time now) {
  if (state_ == State::kOpen) return false;
  if (state_ == State::kClosed && ++failures_ < kFailuresInARowMax) return false;
  return Pause(now, std::nullopt);
}

bool Circuit::Pause(Time now, std::optional<std::chrono::milliseconds> wished) {
  if (state_ == State::kOpen && !wished) return false;
  const bool was_paused = paused();
  state_ = State::kOpen;
  retry_at_ = now + std::min(wished.value_or(pause_), kRetryAfterMax);
  if (!wished) pause_ = std::min(2 * pause_, kPauseMax);
  return !was_paused;
}

}  // namespace signalbox::allocate
