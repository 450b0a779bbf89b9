// Whether a platform that fails is asked.
#pragma once

#include <chrono>
#include <optional>

#include "allocate/question.h"

namespace signalbox::allocate {

// One more failure is an accident, five in a row are a state.
inline constexpr int kFailuresInARowMax = 5;
// After that it is asked one question, and again after twice the time when that fails.
inline constexpr std::chrono::milliseconds kPauseFirst{1'000};
inline constexpr std::chrono::milliseconds kPauseMax{30'000};
// What a platform may ask for with Retry-After: a mistake in its clock shall not silence it for a day.
inline constexpr std::chrono::milliseconds kRetryAfterMax{300'000};

// For one thread. Asks freely until too many failures came in a row, then one question at a time, ever more rarely,
// until one is answered.
class Circuit {
 public:
  // Whether a question may be asked now. Whoever asks reports how it went.
  bool Allows(Time now);
  // True when it was paused until now.
  bool Succeeded();
  // True when it has been paused with this.
  bool Failed(Time now);
  // The platform said when it wants to be asked again.
  bool Pause(Time now, std::optional<std::chrono::milliseconds> wished);

  bool paused() const { return state_ != State::kClosed; }
  Time retry_at() const { return retry_at_; }

 private:
  // kProbing: one question is under way to see whether it works again.
  enum class State { kClosed, kOpen, kProbing };

  State state_ = State::kClosed;
  int failures_ = 0;
  std::chrono::milliseconds pause_ = kPauseFirst;
  Time retry_at_;
};

}  // namespace signalbox::allocate
