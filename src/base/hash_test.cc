#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/inline_hash.h"

namespace signalbox {
namespace {

TEST(Hash, Sha256MatchesThePublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, StableHashNeverChanges) {
  // XXH3-64 of the empty input with seed 0, as published with the algorithm.
  EXPECT_EQ(StableHash64(""), 0x2D06800538D394C2u);
  EXPECT_NE(StableHash64("user-1", 1), StableHash64("user-1", 2));
}

TEST(Hash, InlineHashIsTheSameForEveryLength) {
  const std::string text = "account-0123456789-of-a-household-with-many-members";
  for (size_t size = 0; size <= text.size(); ++size) {
    for (const uint64_t seed : {0ULL, 1ULL, 0x9E3779B97F4A7C15ULL}) {
      const std::string_view part = std::string_view(text).substr(0, size);
      ASSERT_EQ(InlineStableHash64(part, seed), StableHash64(part, seed)) << part;
    }
  }
}

TEST(Hash, Hex64IsMostSignificantFirst) { EXPECT_EQ(Hex64(0x0123456789abcdef), "0123456789abcdef"); }

}  // namespace
}  // namespace signalbox
