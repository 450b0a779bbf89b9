#include "allocate/cell_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace signalbox::allocate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Time kStart{seconds(1000)};

TEST(CellCache, RemembersACellAndThatThereIsNone) {
  CellCache cache(1 << 20);
  cache.PutCell("a", "2", kStart);
  cache.PutNone("b", kStart + seconds(1));
  ASSERT_NE(cache.Find("a"), nullptr);
  EXPECT_EQ(cache.Find("a")->cell, "2");
  ASSERT_NE(cache.Find("b"), nullptr);
  EXPECT_FALSE(cache.Find("b")->has_cell);
  EXPECT_EQ(cache.Find("c"), nullptr);
}

TEST(CellCache, WhatWasNotLookedAtForTheLongestTimeGoesFirst) {
  CellCache cache(64 << 10);
  cache.PutCell("old but asked for", "1", kStart);
  int kept = 0;
  for (; kept < 10'000; ++kept) {
    cache.PutCell("user-" + std::to_string(kept), "1", kStart);
    ASSERT_NE(cache.Find("old but asked for"), nullptr) << kept;
    ASSERT_LE(cache.bytes(), 64U << 10);
  }
  EXPECT_EQ(cache.Find("user-0"), nullptr);
  EXPECT_NE(cache.Find("user-9999"), nullptr);
  EXPECT_GT(cache.entries(), 100U);
}

TEST(CellCache, CountsTheSameBytesHoweverOftenAnAnswerChanges) {
  CellCache cache(1 << 20);
  cache.PutCell("a", "a-long-name-of-a-cell", kStart);
  const size_t bytes = cache.bytes();
  for (int i = 0; i < 100; ++i) {
    cache.PutNone("a", kStart);
    cache.PutCell("a", "a-long-name-of-a-cell", kStart);
  }
  EXPECT_EQ(cache.bytes(), bytes);
  EXPECT_EQ(cache.entries(), 1U);
}

TEST(CellCache, AFewMayRefuseACellUntilAnotherAnswerComes) {
  CellCache cache(1 << 20);
  EXPECT_FALSE(cache.Refuse("a", 1, kStart + seconds(10), kStart)) << "there is none";
  cache.PutCell("a", "2", kStart);
  const size_t bytes = cache.bytes();
  for (uint64_t asker = 0; asker < kRefusalsMax; ++asker) {
    EXPECT_TRUE(cache.Refuse("a", asker, kStart + seconds(10), kStart));
    EXPECT_FALSE(cache.Refuse("a", asker, kStart + seconds(20), kStart)) << "it has already";
  }
  EXPECT_FALSE(cache.Refuse("a", kRefusalsMax, kStart + seconds(10), kStart)) << "too many";
  EXPECT_TRUE(cache.Refuse("a", 0, kStart + seconds(20), kStart + seconds(10))) << "its time was over";
  EXPECT_EQ(cache.Find("a")->RefusalFor(0)->until, kStart + seconds(20));
  EXPECT_EQ(cache.Find("a")->RefusalFor(kRefusalsMax), nullptr);
  EXPECT_GT(cache.bytes(), bytes);
  cache.PutCell("a", "3", kStart);
  EXPECT_EQ(cache.Find("a")->RefusalFor(0), nullptr);
  EXPECT_EQ(cache.bytes(), bytes);
}

TEST(CellCache, AnAnswerIsFreshThenStaleThenTooOld) {
  CellCache cache(1 << 20);
  cache.PutCell("a", "1", kStart);
  const CellCache::Entry& entry = *cache.Find("a");
  EXPECT_EQ(AgeOf(entry, seconds(10), kStart + milliseconds(9'999)), Age::kFresh);
  EXPECT_EQ(AgeOf(entry, seconds(10), kStart + seconds(10)), Age::kStale);
  EXPECT_EQ(AgeOf(entry, seconds(10), kStart + milliseconds(19'999)), Age::kStale);
  EXPECT_EQ(AgeOf(entry, seconds(10), kStart + seconds(20)), Age::kTooOld);
}

}  // namespace
}  // namespace signalbox::allocate
