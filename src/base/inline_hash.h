// StableHash64 (hash.h) for where a call would take as long as the hash: texts of some ten bytes, many of them for each
// request. Only for what is measured; everything else calls the function.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "base/hash.h"

namespace signalbox {

[[gnu::flatten]] inline uint64_t InlineStableHash64(std::string_view text, uint64_t seed = 0) {
  // Up to here it is a handful of instructions; the compiler leaves out what is for longer ones.
  constexpr size_t kInlineBytesMax = 16;
  if (text.size() > kInlineBytesMax) return StableHash64(text, seed);
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

}  // namespace signalbox
