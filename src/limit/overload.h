// When a worker has more to do than it can, it refuses the lowest classes first.
#pragma once

#include <array>
#include <cstdint>

#include "limit/limits.h"
#include "limit/rate.h"

namespace signalbox::limit {

// What a loop's events may wait for it in the mean before that is an overload. A worker that keeps up comes round in
// less than a millisecond; a publish of a large rule set, or a burst, is no overload, as the mean is over 100 ms.
inline constexpr Duration kDelayTarget = std::chrono::milliseconds(5);
// How often the share of each class is adjusted.
inline constexpr Duration kAdjustInterval = std::chrono::milliseconds(100);

// Finds out that a worker is overloaded by how long its events wait, and keeps the requests that it lets in to what it
// can do: as DAGOR does (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018), the number of
// requests let in is cut while the wait is above the target, and raised slowly while it is well below; that number is
// given to the classes from the highest to the lowest, so that one class at most is let in in part, by chance.
//
// For one thread. Time and chance come from the caller.
class Overload {
 public:
  // The loop came round once, and was `busy` with events for so long. An event that comes at any time meets this round
  // with a probability that grows with `busy`, and waits for half of it, then for half of the next: the mean wait is
  // the sum of squares over the time, and an idle loop thins out what a burst did. True when an interval is over: then
  // EndInterval is due.
  bool OnRound(Duration busy, Time now);
  // `starved` is how long the thread had no core in the interval, though it could have run. That is no work of its own,
  // and taking in less would not make it less.
  void EndInterval(Duration starved, Time now);

  // Whether any request may be refused now. Where not, Count stands for Admit, which has to know the class.
  bool sheds() const { return sheds_; }
  // A request was let in without being asked about.
  void Count() { ++admitted_now_; }
  // `random` is drawn anew for each request.
  bool Admit(PriorityClass priority, uint64_t random);

  // Of the last interval.
  Duration delay() const { return delay_; }
  // Of the requests of a class, in parts of one.
  double share(PriorityClass priority) const { return shares_[static_cast<size_t>(priority)]; }

 private:
  void Distribute();

  Time interval_began_{};
  double squares_ns2_ = 0;
  double busy_ns_ = 0;
  int intervals_above_ = 0;  // in a row
  Duration delay_{0};
  bool sheds_ = false;
  bool knows_classes_ = false;  // what was offered of each
  // Requests of an interval.
  std::array<uint64_t, kPriorityClasses> offered_now_{};
  uint64_t admitted_now_ = 0;
  // Averages of a few.
  std::array<double, kPriorityClasses> offered_{};
  double budget_ = 0;  // while it sheds: how many are let in
  std::array<double, kPriorityClasses> shares_ = {1, 1, 1, 1};
};

}  // namespace signalbox::limit
