#include "telemetry/utf8.h"

#include <cstdint>

namespace signalbox::telemetry {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr size_t kCharacterBytesMax = 4;

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

}  // namespace

size_t Utf8CharacterBytes(std::string_view text) {
  auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return 1;
  // Below C2 are continuation bytes and overlong forms, above F4 is beyond U+10FFFF.
  if (lead < 0xC2 || lead > 0xF4) return 0;
  size_t bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  auto second = static_cast<uint8_t>(text[1]);
  bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  bool surrogate = lead == 0xED && second >= 0xA0;
  bool too_large = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : bytes;
}

void AppendValidUtf8(std::string_view text, std::string& out) {
  while (!text.empty()) {
    size_t bytes = Utf8CharacterBytes(text);
    out += bytes > 0 ? text.substr(0, bytes) : kReplacement;
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
}

std::string_view Utf8Prefix(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  // No character is longer than four bytes: garbage made of continuation bytes alone is cut where it is.
  for (size_t back = 0; back < kCharacterBytesMax && end > 0; ++back, --end) {
    if (!IsContinuation(text[end])) return text.substr(0, end);
  }
  return text.substr(0, bytes_max);
}

}  // namespace signalbox::telemetry
