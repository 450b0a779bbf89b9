// Whether a platform that fails is asked.
#pragma once

#include <chrono>
#include <cstdint>
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
  // Grows when the platform is asked anew after a pause. What was asked in an earlier round says how the platform was,
  // not how it is: it neither ends a pause nor fails the question that finds out.
  using Round = uint64_t;

  // Whether a question may be asked now, in round(). Whoever asks reports how it went, with the round it asked in.
  bool Allows(Time now);
  // True when it was paused until now.
  bool Succeeded(Round asked_in);
  // True when it has been paused with this.
  bool Failed(Time now, Round asked_in);
  // The platform is full, and may have said when it wants to be asked again. Not before kPauseFirst, and never earlier
  // than it has said before.
  bool Pause(Time now, std::optional<std::chrono::milliseconds> wished, Round asked_in);

  Round round() const { return round_; }
  bool paused() const { return state_ != State::kClosed; }
  Time retry_at() const { return retry_at_; }

 private:
  // kProbing: one question is under way to see whether it works again.
  enum class State { kClosed, kOpen, kProbing };

  bool Open(Time until);

  State state_ = State::kClosed;
  Round round_ = 0;
  int failures_ = 0;
  std::chrono::milliseconds pause_ = kPauseFirst;
  Time retry_at_;
};

}  // namespace signalbox::allocate
