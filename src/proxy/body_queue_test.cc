#include "proxy/body_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace signalbox::proxy {
namespace {

TEST(BodyQueue, GivesBackTheBytesThatWentInHoweverTheyAreCut) {
  const uint64_t seed = std::random_device()();
  std::mt19937_64 random(seed);
  WorkerMemory memory;
  BodyQueue queue(memory);
  BodyQueue behind(memory);
  BlockRef block(memory.large_blocks().Take());
  for (size_t i = 0; i < kLargeBlockBytes; ++i) block->bytes()[i] = static_cast<char>(random());
  std::string in;
  std::string out;
  for (int round = 0; round < 5'000; ++round) {
    const size_t size = random() % (random() % 3 == 0 ? 20'000 : 200);
    const std::string_view data(block->bytes() + random() % (kLargeBlockBytes - size), size);
    if (random() % 2 == 0) {
      queue.Append(data, block);
    } else {
      queue.AppendCopy(data);
    }
    in += data;
    if (random() % 2 == 0) queue.MoveTo(behind, random() % (queue.bytes() + 1));
    while (behind.bytes() > 30'000) {
      const Piece piece = behind.TakeFront(1 + random() % 5'000);
      out.append(piece.data, piece.size);
    }
    ASSERT_EQ(memory.queued_bytes, queue.bytes() + behind.bytes()) << "seed " << seed;
  }
  queue.MoveTo(behind, queue.bytes());
  while (!behind.empty()) {
    const Piece piece = behind.TakeFront(100'000);
    out.append(piece.data, piece.size);
  }
  EXPECT_TRUE(in == out) << "seed " << seed;
  EXPECT_EQ(block->references, 1);
  EXPECT_EQ(memory.small_blocks().blocks_in_use(), 0);
}

TEST(BodyQueue, CopiesInsteadOfHoldingBlocksWhenMostAreHeld) {
  WorkerMemory memory;
  BodyQueue queue(memory);
  // A byte more than is copied in any case, of a block each: what stalled streams could make the worker hold.
  for (int i = 0; i < 2'000; ++i) {
    BlockRef block(memory.large_blocks().Take());
    queue.Append(std::string_view(block->bytes(), 4 << 10), block);
  }
  EXPECT_LE(memory.large_blocks().blocks_in_use() * kLargeBlockBytes, 40U << 20);
  EXPECT_EQ(queue.bytes(), 2'000U * (4 << 10));
}

TEST(WorkerMemory, ReusesWhatWasFreed) {
  WorkerMemory memory;
  nghttp2_mem* allocator = memory.session_memory();
  void* first = allocator->malloc(100, memory.session_memory()->mem_user_data);
  allocator->free(first, allocator->mem_user_data);
  const uint64_t before = memory.system_allocations();
  for (int i = 0; i < 1'000; ++i) {
    void* place = allocator->calloc(1, 90, allocator->mem_user_data);
    EXPECT_EQ(static_cast<char*>(place)[89], 0);
    place = allocator->realloc(place, 120, allocator->mem_user_data);
    allocator->free(place, allocator->mem_user_data);
  }
  EXPECT_EQ(memory.system_allocations(), before);
  void* large = allocator->malloc(1 << 20, allocator->mem_user_data);
  allocator->free(large, allocator->mem_user_data);
  allocator->free(nullptr, allocator->mem_user_data);
  EXPECT_EQ(allocator->calloc(SIZE_MAX, 2, allocator->mem_user_data), nullptr);
}

}  // namespace
}  // namespace signalbox::proxy
