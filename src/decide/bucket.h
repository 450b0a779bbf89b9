// Where a unit falls: the one place that turns (seed, unit) into a position in the hash space.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.h"

namespace signalbox::decide {

// The hash space has one bucket for each part per million, so shares and weights in ppm are exact.
inline constexpr uint32_t kBuckets = 1'000'000;

// What a bucket is drawn for. Each purpose has a salt of its own: an experiment's cells, its allocation and a traffic
// shift are independent draws even where their authors gave them the same seed text.
enum class Purpose : uint64_t {
  // Values are part of the hash and never change. ASCII "cell", "alloc", "shift".
  kCell = 0x63656c6c,
  kAllocation = 0x616c6c6f63,
  kShift = 0x7368696674,
};

// The 64-bit seed of the hash, from the seed as its author wrote it. Worked out once, when the snapshot is compiled.
inline uint64_t BucketSeed(Purpose purpose, std::string_view seed_text) {
  return StableHash64(seed_text, static_cast<uint64_t>(purpose));
}

// XXH3-64 of the unit under `seed`, scaled to [0, kBuckets). Pure and allocation-free; the same in every process and
// release (golden file: decide_golden.json). Scaled by multiplication, not modulo; docs/decisions/0004-hash.md says
// why.
inline uint32_t Bucket(uint64_t seed, std::string_view unit) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint32_t>((static_cast<Wide>(StableHash64(unit, seed)) * kBuckets) >> 64);
}

}  // namespace signalbox::decide
