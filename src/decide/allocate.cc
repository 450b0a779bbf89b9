#include "decide/allocate.h"

#include "base/hash.h"

namespace signalbox::decide {

uint64_t BucketSeed(std::string_view seed_text, Purpose purpose) {
  return StableHash64(seed_text, static_cast<uint64_t>(purpose));
}

uint32_t Bucket(uint64_t bucket_seed, std::string_view unit) {
  uint64_t hash = StableHash64(unit, bucket_seed);
  return static_cast<uint32_t>((static_cast<unsigned __int128>(hash) * kBuckets) >> 64);
}

}  // namespace signalbox::decide
