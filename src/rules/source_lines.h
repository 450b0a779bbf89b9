// A source text by lines, to say where things stand in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rules/rule_value.h"

namespace signalbox::rules {

class SourceLines {
 public:
  // `text` is UTF-8 and outlives this.
  explicit SourceLines(std::string_view text);

  std::string_view text() const { return text_; }

  // The engine counts lines from 1 and columns in code points, editors count columns in UTF-16 units. No place for line
  // 0.
  Place AtCodePoint(uint32_t line, uint32_t code_points_before) const;
  Place AtByte(size_t offset) const;

 private:
  std::string_view text_;
  std::vector<size_t> starts_;  // of each line
};

}  // namespace signalbox::rules
