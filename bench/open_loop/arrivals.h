// When requests come, of which class, and how much work each is: from a seed, so that what one run met another can
// meet.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bench/open_loop/json_settings.h"

namespace signalbox::bench {

struct Arrival {
  double at_s = 0;  // since the start
  size_t phase = 0;
  size_t request_class = 0;
  double work_us = 0;  // what a host of usual speed needs for it; 0: the host decides
  uint64_t user = 0;
};

// A Poisson process in phases of constant rates. Settings (all of the generator's are in open_loop.cc):
//   "seed": 1,
//   "phases": [{"rate": 100, "seconds": 5}, ...]
//   "work": {"distribution": "constant" | "exponential" | "lognormal", "meanUs": 5000, "sigma": 1}
//   "classes": [{"name": "high", "share": 0.2, ...}]   shares are relative to each other; left out: one
class Arrivals {
 public:
  explicit Arrivals(const Object& settings);

  struct Phase {
    double rate = 0;
    double seconds = 0;
  };
  const std::vector<Phase>& phases() const { return phases_; }
  // nullopt after the last.
  std::optional<Arrival> Next();

 private:
  double Work();

  std::mt19937_64 random_;
  std::vector<Phase> phases_;
  std::vector<double> shares_;
  std::string distribution_;
  double mean_us_ = 0;
  double sigma_ = 1;
  size_t phase_ = 0;
  double phase_began_s_ = 0;
  double at_s_ = 0;
};

}  // namespace signalbox::bench
