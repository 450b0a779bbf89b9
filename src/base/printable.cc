#include "base/printable.h"

#include <fmt/format.h>

#include <cstddef>

namespace signalbox {
namespace {

// The bytes of the control character that `text` begins with: U+0000 to U+001F, U+007F to U+009F, the line and
// paragraph separators U+2028 and U+2029, and what turns the direction of text round: U+202A to U+202E, U+2066 to
// U+2069. 0 when it is none.
size_t ControlBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(0) < 0x20 || byte(0) == 0x7f) return 1;
  if (byte(0) == 0xc2 && byte(1) >= 0x80 && byte(1) <= 0x9f) return 2;
  if (byte(0) == 0xe2 && byte(1) == 0x80 && byte(2) >= 0xa8 && byte(2) <= 0xae) return 3;
  if (byte(0) == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return 3;
  return 0;
}

}  // namespace

bool HoldsControlCharacters(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (ControlBytes(text.substr(i)) > 0) return true;
  }
  return false;
}

std::string EscapeControlCharacters(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const size_t control_bytes = ControlBytes(text);
    if (control_bytes == 0) {
      escaped += text[0];
    } else if (text[0] == '\n') {
      escaped += "\\n";
    } else if (text[0] == '\t') {
      escaped += "\\t";
    } else {
      for (const char c : text.substr(0, control_bytes)) {
        escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
    }
    text.remove_prefix(control_bytes == 0 ? 1 : control_bytes);
  }
  return escaped;
}

}  // namespace signalbox
