#include "cli/demo/progress.h"

#include <fmt/format.h>

#include <utility>

namespace signalbox::cli {

void Progress::Begin(std::string step) {
  step_ = std::move(step);
  begun_ = std::chrono::steady_clock::now();
  if (live_.is_terminal()) live_.Replace(fmt::format("  … {}\n", step_));
}

void Progress::Done(const std::string& result) { Show("✓", result); }

void Progress::Failed(const std::string& how) { Show("✗", how); }

void Progress::Show(const char* mark, const std::string& result) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
  live_.Replace(fmt::format("  {} {:<14} {:5.1f} s  {}\n", mark, step_, took.count(), result));
  live_.Keep();
}

}  // namespace signalbox::cli
