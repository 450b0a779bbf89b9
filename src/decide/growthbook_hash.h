// The two hashes of GrowthBook's SDKs, and their way to cut the hash space into variations, so that a team that comes
// from there keeps its users where they are.
//
// Source: hash versions 1 and 2 in GrowthBook's documentation of "build your own SDK". Where it leaves something open,
// their JavaScript SDK counts, and tests/node/growthbook_test.mjs compares with it: it hashes the UTF-16 units of a
// text, so does this; ranges are doubles.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace signalbox::decide {

struct BucketRange;

namespace growthbook {

// They give n / 1000 and n / 10000.
inline constexpr uint32_t kBuckets1 = 1'000;
inline constexpr uint32_t kBuckets2 = 10'000;

// The state of FNV-1a after `seed`: what Bucket2 goes on from.
uint32_t SeedState(std::string_view seed);

// Hash version 1 of `unit`, UTF-8, under `seed`; what is not UTF-8 counts as U+FFFD. Allocation-free.
uint32_t Bucket1(std::string_view seed, std::string_view unit);
// Hash version 2. Allocation-free.
uint32_t Bucket2(uint32_t seed_state, std::string_view unit);

// Those of `buckets` buckets n for which begin <= n / buckets < end.
BucketRange RangeOf(double begin, double end, uint32_t buckets);

// The range of each variation, in order. A unit in none of them takes no part.
std::vector<BucketRange> VariationRanges(std::span<const double> weights, double coverage, uint32_t buckets);

}  // namespace growthbook
}  // namespace signalbox::decide
