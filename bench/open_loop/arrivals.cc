#include "bench/open_loop/arrivals.h"

#include <cmath>

namespace signalbox::bench {

Arrivals::Arrivals(const Object& settings) : random_(static_cast<uint64_t>(Number(settings, "seed", 1))) {
  for (const Value& phase : List(settings, "phases").values())
    phases_.push_back({Number(phase.struct_value(), "rate", 0), Number(phase.struct_value(), "seconds", 0)});
  for (const Value& one : List(settings, "classes").values()) shares_.push_back(Number(one.struct_value(), "share", 1));
  if (shares_.empty()) shares_.push_back(1);
  const Object& work = Child(settings, "work");
  distribution_ = Text(work, "distribution", "constant");
  mean_us_ = Number(work, "meanUs", 0);
  sigma_ = Number(work, "sigma", 1);
}

std::optional<Arrival> Arrivals::Next() {
  while (phase_ < phases_.size()) {
    const Phase& phase = phases_[phase_];
    const double end_s = phase_began_s_ + phase.seconds;
    // Without memory: what is left of the gap at the end of a phase is drawn anew at the next one's rate.
    if (phase.rate > 0) at_s_ += std::exponential_distribution<>(phase.rate)(random_);
    if (phase.rate <= 0 || at_s_ >= end_s) {
      at_s_ = phase_began_s_ = end_s;
      ++phase_;
      continue;
    }
    Arrival arrival{.at_s = at_s_, .phase = phase_};
    arrival.request_class = std::discrete_distribution<size_t>(shares_.begin(), shares_.end())(random_);
    arrival.work_us = Work();
    arrival.user = random_();
    return arrival;
  }
  return std::nullopt;
}

double Arrivals::Work() {
  if (mean_us_ <= 0) return 0;
  if (distribution_ == "exponential") return std::exponential_distribution<>(1 / mean_us_)(random_);
  if (distribution_ == "lognormal")
    return std::lognormal_distribution<>(std::log(mean_us_) - sigma_ * sigma_ / 2, sigma_)(random_);
  return mean_us_;
}

}  // namespace signalbox::bench
