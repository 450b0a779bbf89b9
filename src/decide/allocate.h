// From a unit (a user) to a bucket, and from a bucket to a cell. The one place where chance enters a decision, and it
// is a pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace signalbox::decide {

inline constexpr uint32_t kBuckets = 1'000'000;

// What a seed is used for. The same seed text gives independent buckets for different purposes, so that an experiment's
// allocation does not predict its cells, nor an experiment a traffic shift.
enum class Purpose : uint64_t { kCell = 1, kAllocation = 2, kTrafficShift = 3 };

// The numeric seed of a seed text for one purpose; worked out once, when the snapshot is compiled.
uint64_t BucketSeed(std::string_view seed_text, Purpose purpose);

// A bucket in [0, kBuckets), the same in every process and release (golden file: testdata/decide_golden.json): XXH3-64
// of the unit under the seed, scaled by multiplication; see docs/decisions/0004-hash.md for why not modulo.
uint32_t Bucket(uint64_t bucket_seed, std::string_view unit);

}  // namespace signalbox::decide
