#include "decide/growthbook_hash.h"

#include <array>
#include <charconv>

#include "decide/bucket.h"

namespace signalbox::decide::growthbook {
namespace {

constexpr uint32_t kFnvBasis = 0x811c9dc5;
constexpr uint32_t kFnvPrime = 0x01000193;
constexpr uint32_t kReplacement = 0xFFFD;

uint32_t Add(uint32_t state, uint32_t utf16_unit) { return (state ^ utf16_unit) * kFnvPrime; }

uint32_t AddCharacter(uint32_t state, uint32_t character) {
  if (character < 0x10000) return Add(state, character);
  character -= 0x10000;
  return Add(Add(state, 0xD800 + (character >> 10)), 0xDC00 + (character & 0x3FF));
}

// What may follow the first byte of a character: how many bytes, and the range of the first of them.
struct Lead {
  size_t following = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

Lead LeadOf(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {.following = 1};
  if (byte == 0xE0) return {.following = 2, .low = 0xA0};
  if (byte == 0xED) return {.following = 2, .high = 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {.following = 2};
  if (byte == 0xF0) return {.following = 3, .low = 0x90};
  if (byte >= 0xF1 && byte <= 0xF3) return {.following = 3};
  if (byte == 0xF4) return {.following = 3, .high = 0x8F};
  return {};
}

// The character that starts at `text[at]`, which is moved behind it; U+FFFD for each longest part that could have begun
// one, as browsers decode.
uint32_t NextCharacter(std::string_view text, size_t& at) {
  const auto first = static_cast<uint8_t>(text[at++]);
  if (first < 0x80) return first;
  Lead lead = LeadOf(first);
  if (lead.following == 0) return kReplacement;
  uint32_t character = first & (0x3FU >> lead.following);
  for (size_t i = 0; i < lead.following; ++i) {
    if (at == text.size()) return kReplacement;
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < lead.low || byte > lead.high) return kReplacement;
    lead.low = 0x80;
    lead.high = 0xBF;
    character = character << 6 | (byte & 0x3FU);
    ++at;
  }
  return character;
}

uint32_t AddText(uint32_t state, std::string_view text) {
  for (size_t at = 0; at < text.size();) state = AddCharacter(state, NextCharacter(text, at));
  return state;
}

// The first bucket n with n / buckets >= bound.
uint32_t FirstAtLeast(double bound, uint32_t buckets) {
  const double guess = bound * buckets;
  if (!(guess > 0)) return 0;
  if (guess >= buckets + 1.0) return buckets;
  // Rounding may have moved the guess by one.
  uint32_t n = guess < 1 ? 0 : static_cast<uint32_t>(guess) - 1;
  while (n < buckets && static_cast<double>(n) / buckets < bound) ++n;
  return n;
}

}  // namespace

uint32_t SeedState(std::string_view seed) { return AddText(kFnvBasis, seed); }

uint32_t Bucket1(std::string_view seed, std::string_view unit) {
  return AddText(AddText(kFnvBasis, unit), seed) % kBuckets1;
}

uint32_t Bucket2(uint32_t seed_state, std::string_view unit) {
  std::array<char, 10> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), AddText(seed_state, unit)).ptr;
  uint32_t state = kFnvBasis;
  for (const char* digit = digits.begin(); digit != end; ++digit) state = Add(state, static_cast<uint8_t>(*digit));
  return state % kBuckets2;
}

BucketRange RangeOf(double begin, double end, uint32_t buckets) {
  return {.begin = FirstAtLeast(begin, buckets), .end = FirstAtLeast(end, buckets)};
}

std::vector<BucketRange> VariationRanges(std::span<const double> weights, double coverage, uint32_t buckets) {
  std::vector<BucketRange> ranges;
  double begin = 0;
  for (const double weight : weights) {
    ranges.push_back(RangeOf(begin, begin + coverage * weight, buckets));
    begin += weight;
  }
  return ranges;
}

}  // namespace signalbox::decide::growthbook
