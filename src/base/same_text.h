// Equality of short texts without a call: of names of fields, Objectives and models, which are mostly equal where their
// sizes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace signalbox {

// The same as a == b.
inline bool SameText(std::string_view a, std::string_view b) {
  const size_t size = a.size();
  if (size != b.size()) return false;
  const auto differ = [&]<typename Word>(size_t at, Word) {
    Word left;
    Word right;
    std::memcpy(&left, a.data() + at, sizeof(Word));
    std::memcpy(&right, b.data() + at, sizeof(Word));
    return left != right;
  };
  // Two words that overlap cover every rest.
  if (size >= sizeof(uint64_t)) {
    size_t at = 0;
    for (; at + sizeof(uint64_t) < size; at += sizeof(uint64_t)) {
      if (differ(at, uint64_t{})) return false;
    }
    return !differ(size - sizeof(uint64_t), uint64_t{});
  }
  if (size >= sizeof(uint32_t)) return !differ(0, uint32_t{}) && !differ(size - sizeof(uint32_t), uint32_t{});
  for (size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace signalbox
