// Where a unit falls: the one place that turns (seed, unit) into a position in the hash space.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/inline_hash.h"
#include "decide/growthbook_hash.h"

namespace signalbox::decide {

// The hash space has one bucket for each part per million, so shares and weights in ppm are exact.
inline constexpr uint32_t kBuckets = 1'000'000;

// What a bucket is drawn for. Each purpose has a salt of its own: an experiment's cells, its allocation and a traffic
// shift are independent draws even where their authors gave them the same seed text.
enum class Purpose : uint8_t { kCell, kAllocation, kShift, kLayer, kHoldout, kShadow };

// Salts are part of the hash and never change. ASCII "cell", "alloc", "shift", "layer", "holdout", "shadow".
constexpr uint64_t Salt(Purpose purpose) {
  switch (purpose) {
    case Purpose::kCell:
      return 0x63656c6c;
    case Purpose::kAllocation:
      return 0x616c6c6f63;
    case Purpose::kShift:
      return 0x7368696674;
    case Purpose::kLayer:
      return 0x6c61796572;
    case Purpose::kHoldout:
      return 0x686f6c646f7574;
    case Purpose::kShadow:
      return 0x736861646f77;
  }
  return 0;
}

// The 64-bit seed of the hash, from the seed as its author wrote it. Worked out once, when the snapshot is compiled.
inline uint64_t BucketSeed(Purpose purpose, std::string_view seed_text) {
  return StableHash64(seed_text, Salt(purpose));
}

// XXH3-64 of the unit under `seed`, scaled to [0, kBuckets). Pure and allocation-free; the same in every process and
// release (golden file: decide_golden.json). Scaled by multiplication, not modulo; docs/decisions/0004-hash.md says
// why.
inline uint32_t Bucket(uint64_t seed, std::string_view unit) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint32_t>((static_cast<Wide>(InlineStableHash64(unit, seed)) * kBuckets) >> 64);
}

// Values as in Experiment.hash_version.
enum class HashVersion : uint8_t { kSignalbox = 0, kGrowthBook1 = 1, kGrowthBook2 = 2 };

// What a draw can give: [0, BucketCount).
constexpr uint32_t BucketCount(HashVersion hash) {
  if (hash == HashVersion::kGrowthBook1) return growthbook::kBuckets1;
  return hash == HashVersion::kGrowthBook2 ? growthbook::kBuckets2 : kBuckets;
}

// [begin, end) of the buckets of a draw.
struct BucketRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// One draw. Two draws with the same purpose, seed text, unit and hash are the same one, in whichever rules and
// snapshots they stand: a unit falls into the same bucket in both. (GrowthBook's hashes know no purpose.)
struct Draw {
  // Worked out from seed_text: BucketSeed, or the state of GrowthBook's hash 2.
  uint64_t seed = 0;
  const char* seed_begin = nullptr;
  uint32_t seed_bytes = 0;
  // Index in Objective::units.
  uint8_t unit = 0;
  HashVersion hash = HashVersion::kSignalbox;
  Purpose purpose = Purpose::kCell;

  std::string_view seed_text() const { return {seed_begin, seed_bytes}; }
};

inline Draw MakeDraw(Purpose purpose, std::string_view seed_text, uint8_t unit,
                     HashVersion hash = HashVersion::kSignalbox) {
  const uint64_t seed =
      hash == HashVersion::kSignalbox ? BucketSeed(purpose, seed_text) : growthbook::SeedState(seed_text);
  return {.seed = seed,
          .seed_begin = seed_text.data(),
          .seed_bytes = static_cast<uint32_t>(seed_text.size()),
          .unit = unit,
          .hash = hash,
          .purpose = purpose};
}

// Where `unit` falls in `draw`. Allocation-free.
inline uint32_t Bucket(const Draw& draw, std::string_view unit) {
  if (draw.hash == HashVersion::kSignalbox) return Bucket(draw.seed, unit);
  if (draw.hash == HashVersion::kGrowthBook1) return growthbook::Bucket1(draw.seed_text(), unit);
  return growthbook::Bucket2(static_cast<uint32_t>(draw.seed), unit);
}

}  // namespace signalbox::decide
