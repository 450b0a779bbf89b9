// What happened in a run, line by line: printed for people, hashed to show that a seed replays.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "tests/simulation/schedule.h"

namespace signalbox::simulation {

class Trace {
 public:
  Trace(const Schedule& schedule, bool print) : schedule_(schedule), print_(print) {}

  template <typename... Args>
  void Say(std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
    line_.clear();
    fmt::format_to(std::back_inserter(line_), "{:>9.3f} {:<12} ", static_cast<double>(schedule_.now_ms()) / 1000, part);
    fmt::format_to(std::back_inserter(line_), format, std::forward<Args>(args)...);
    hash_ = StableHash64(line_, hash_);
    if (print_) std::printf("%s\n", line_.c_str());
  }

  uint64_t hash() const { return hash_; }

 private:
  const Schedule& schedule_;
  const bool print_;
  uint64_t hash_ = 0;
  std::string line_;
};

}  // namespace signalbox::simulation
