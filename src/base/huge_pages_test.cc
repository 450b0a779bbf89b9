#include "base/huge_pages.h"

#include <gtest/gtest.h>

#include <cstring>

namespace signalbox {
namespace {

TEST(HugePages, PiecesOfEverySizeAreAlignedWritableAndGivenBack) {
  HugePages& pages = HugePages::Instance();
  for (const size_t bytes :
       {size_t{1}, size_t{4096}, HugePages::kHugePagesFromBytes - 1, HugePages::kHugePagesFromBytes, size_t{5} << 20}) {
    for (const size_t alignment : {size_t{1}, size_t{16}, size_t{64}}) {
      void* memory = pages.allocate(bytes, alignment);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignment, 0U);
      std::memset(memory, 0x2a, bytes);
      pages.deallocate(memory, bytes, alignment);
    }
  }
}

TEST(HugePages, LargePiecesBeginWithAPage) {
  void* memory = HugePages::Instance().allocate(HugePages::kHugePagesFromBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % (2U << 20), 0U);
  HugePages::Instance().deallocate(memory, HugePages::kHugePagesFromBytes);
}

}  // namespace
}  // namespace signalbox
