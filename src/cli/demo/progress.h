// The steps of a start, one line each: what, with which result, in what time.
#pragma once

#include <chrono>
#include <string>

#include "cli/send/live_text.h"

namespace signalbox::cli {

class Progress {
 public:
  explicit Progress(std::FILE* out) : live_(out) {}

  // Shown while it lasts, on a terminal alone.
  void Begin(std::string step);
  // Ends the step. `result` is what a user wants to know of it: an address, a count.
  void Done(const std::string& result);
  void Failed(const std::string& how);

 private:
  void Show(const char* mark, const std::string& result);

  LiveText live_;
  std::string step_;
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace signalbox::cli
