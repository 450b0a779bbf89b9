// Everything that is wrong with a snapshot, told at once. Private to src/decide.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace signalbox::decide {

class Problems {
 public:
  void Add(std::string text) {
    ++count_;
    if (shown_.size() < kShownMax) shown_.push_back(std::move(text));
  }

  absl::Status Status() const {
    if (count_ == 0) return absl::OkStatus();
    std::string text = fmt::format("{}", fmt::join(shown_, "\n"));
    if (count_ > shown_.size()) text += fmt::format("\n... and {} more", count_ - shown_.size());
    return absl::InvalidArgumentError(text);
  }

 private:
  // A message with more lines than this helps nobody.
  static constexpr size_t kShownMax = 100;

  size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace signalbox::decide
