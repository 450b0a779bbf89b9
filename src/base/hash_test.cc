#include "base/hash.h"

#include <gtest/gtest.h>

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

TEST(Hash, Hex64IsMostSignificantFirst) { EXPECT_EQ(Hex64(0x0123456789abcdef), "0123456789abcdef"); }

}  // namespace
}  // namespace signalbox
