#include "rules/source_text.h"

#include <fmt/format.h>

#include <string_view>

namespace signalbox::rules {
namespace {

bool IsContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

// Length of the well-formed sequence at the start of `text` (Unicode 15, table 3-7), or 0.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (length == 0 || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (!IsContinuation(static_cast<unsigned char>(byte(i)))) return 0;
  }
  return length;
}

}  // namespace

std::optional<Diagnostic> CheckText(const SourceFile& file) {
  const std::string_view text = file.text;
  uint32_t line = 1;
  uint32_t column = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t length = SequenceLength(text.substr(at));
    if (length == 0) {
      return Diagnostic{
          file.path, line, column,
          fmt::format("byte {:#04x} is no UTF-8; save the file as UTF-8", static_cast<unsigned char>(text[at]))};
    }
    if (text[at] == '\0') return Diagnostic{file.path, line, column, "a NUL byte: this is no text file"};
    column += length == 4 ? 2 : 1;
    if (text[at] == '\n') {
      ++line;
      column = 1;
    }
    at += length;
  }
  return std::nullopt;
}

}  // namespace signalbox::rules
