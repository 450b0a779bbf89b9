#include "limit/overload.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace signalbox::limit {
namespace {

// For each interval: how much of what is let in is taken away, by how far the wait is above its target ...
constexpr double kCutMin = 0.05;
constexpr double kCutMax = 0.5;
// ... and added while it is below half of it. Between the two nothing changes: that is what keeps it from swinging.
constexpr double kRaise = 0.02;
constexpr double kQuiet = 0.5;
constexpr int kIntervalsToBegin = 2;
// The overload is over when more would be let in than comes, by this factor.
constexpr double kRoomToEnd = 1.5;
// Of the highest class so much is let in always: else nothing would show that the overload is over.
constexpr double kHighestShareMin = 0.05;
constexpr double kSmoothing = 0.3;

}  // namespace

bool Overload::OnRound(Duration busy, Time now) {
  if (interval_began_ == Time()) interval_began_ = now;
  const auto ns = static_cast<double>(busy.count());
  squares_ns2_ += ns * ns;
  busy_ns_ += ns;
  return now - interval_began_ >= kAdjustInterval;
}

bool Overload::Admit(PriorityClass priority, uint64_t random) {
  const auto index = static_cast<size_t>(priority);
  ++offered_now_[index];
  constexpr double kWhole = 18446744073709551616.0;  // 2^64
  const bool admitted = shares_[index] >= 1 || static_cast<double>(random) < shares_[index] * kWhole;
  admitted_now_ += admitted ? 1 : 0;
  return admitted;
}

void Overload::EndInterval(Duration starved, Time now) {
  const auto interval = static_cast<double>(Duration(now - interval_began_).count());
  interval_began_ = now;
  const double own = busy_ns_ > 0 ? std::clamp(1 - static_cast<double>(starved.count()) / busy_ns_, 0.0, 1.0) : 0;
  delay_ = Duration(static_cast<int64_t>(squares_ns2_ * own * own / interval));
  squares_ns2_ = busy_ns_ = 0;
  // A round can take longer than an interval; counts are of an interval's length.
  const double scale = static_cast<double>(kAdjustInterval.count()) / interval;
  for (size_t i = 0; i < kPriorityClasses; ++i) {
    const double offered = static_cast<double>(std::exchange(offered_now_[i], 0)) * scale;
    offered_[i] = knows_classes_ ? offered_[i] + (offered - offered_[i]) * kSmoothing : offered;
  }
  knows_classes_ = sheds_;
  const double admitted = static_cast<double>(std::exchange(admitted_now_, 0)) * scale;
  const double all = std::accumulate(offered_.begin(), offered_.end(), 0.0);
  const double above = static_cast<double>((delay_ - kDelayTarget).count()) / static_cast<double>(kDelayTarget.count());
  intervals_above_ = above > 0 ? intervals_above_ + 1 : 0;
  if (above > 0) {
    // A single one is a burst.
    if (!sheds_ && intervals_above_ < kIntervalsToBegin) return;
    if (!sheds_) budget_ = admitted;
    sheds_ = true;
    budget_ = std::min(budget_, std::max(admitted, 1.0)) * (1 - std::clamp(kCutMin * above, kCutMin, kCutMax));
  } else if (sheds_ && above < kQuiet - 1) {
    budget_ = budget_ * (1 + kRaise) + 1;
    if (budget_ > kRoomToEnd * all) sheds_ = false;
  }
  Distribute();
}

void Overload::Distribute() {
  if (!sheds_) return shares_.fill(1);
  double left = budget_;
  for (size_t i = 0; i < kPriorityClasses; ++i) {
    const double taken = std::min(left, offered_[i]);
    // A class of which nothing came of late is let in while there is something left.
    shares_[i] = offered_[i] > 0 ? taken / offered_[i] : (left > 0 ? 1 : 0);
    left -= taken;
  }
  shares_[0] = std::max(shares_[0], kHighestShareMin);
}

}  // namespace signalbox::limit
