#include "rollout/reason.h"

namespace signalbox::rollout {
namespace {

// Bytes of the character that `text` begins with; 0: it begins with none. Also not overlong, no surrogate, not above
// U+10FFFF.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t bytes = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) ||
      (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return bytes;
}

}  // namespace

std::string Reason(std::string_view text, size_t bytes_max) {
  constexpr std::string_view kMore = "...";
  std::string out;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const std::string_view next = bytes == 0 ? std::string_view("?") : text.substr(0, bytes);
    if (out.size() + next.size() + kMore.size() > bytes_max) return out + std::string(kMore);
    out += next;
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

}  // namespace signalbox::rollout
