#include "decide/arena.h"

#include <gtest/gtest.h>

#include <cstring>

namespace signalbox::decide {
namespace {

TEST(Arena, PiecesOfEverySizeAreAlignedAndApart) {
  Arena arena;
  std::vector<std::span<unsigned char>> pieces;
  unsigned char mark = 0;
  for (const size_t bytes : {size_t{1}, size_t{7}, size_t{64}, size_t{5000}, size_t{3} << 20, size_t{1} << 20}) {
    for (const size_t alignment : {size_t{1}, size_t{8}, size_t{64}}) {
      for (int times = 0; times < 3; ++times) {
        auto* piece = static_cast<unsigned char*>(arena.allocate(bytes, alignment));
        ASSERT_EQ(reinterpret_cast<uintptr_t>(piece) % alignment, 0U) << bytes << " bytes";
        std::memset(piece, mark++, bytes);
        pieces.emplace_back(piece, bytes);
      }
    }
  }
  mark = 0;
  for (const std::span<unsigned char> piece : pieces) {
    ASSERT_TRUE(std::all_of(piece.begin(), piece.end(), [&](unsigned char byte) { return byte == mark; })) << +mark;
    ++mark;
  }
}

TEST(Arena, WhatIsMadeOneAfterTheOtherLiesSideBySide) {
  Arena arena;
  const std::span<const char> first = NewArray<char>(100, arena);
  const std::span<const char> second = NewArray<char>(100, arena);
  EXPECT_EQ(first.data() + first.size(), second.data());
}

}  // namespace
}  // namespace signalbox::decide
