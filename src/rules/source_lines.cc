#include "rules/source_lines.h"

#include <algorithm>

namespace signalbox::rules {
namespace {

struct CodePoint {
  size_t bytes;
  uint32_t utf16_units;
};

CodePoint CodePointAt(std::string_view text, size_t offset) {
  const auto lead = static_cast<unsigned char>(text[offset]);
  if (lead < 0x80) return {1, 1};
  if (lead < 0xE0) return {2, 1};
  if (lead < 0xF0) return {3, 1};
  return {4, 2};
}

}  // namespace

SourceLines::SourceLines(std::string_view text) : text_(text), starts_{0} {
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    starts_.push_back(at + 1);
  }
}

Place SourceLines::AtCodePoint(uint32_t line, uint32_t code_points_before) const {
  if (line == 0) return {};
  if (line > starts_.size()) return {line, code_points_before + 1};
  size_t at = starts_[line - 1];
  uint32_t column = 1;
  for (uint32_t i = 0; i < code_points_before && at < text_.size() && text_[at] != '\n'; ++i) {
    const CodePoint code_point = CodePointAt(text_, at);
    column += code_point.utf16_units;
    at += code_point.bytes;
  }
  return {line, column};
}

Place SourceLines::AtByte(size_t offset) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
  const size_t start = *(after - 1);
  uint32_t column = 1;
  for (size_t at = start; at < offset;) {
    const CodePoint code_point = CodePointAt(text_, at);
    column += code_point.utf16_units;
    at += code_point.bytes;
  }
  return {static_cast<uint32_t>(after - starts_.begin()), column};
}

}  // namespace signalbox::rules
