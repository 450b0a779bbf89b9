#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace signalbox {
namespace {

constexpr size_t kHugePageBytes = 2U << 20;

size_t RoundedUp(size_t bytes) { return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes; }

}  // namespace

HugePages& HugePages::Instance() {
  static HugePages instance;
  return instance;
}

void* HugePages::do_allocate(size_t bytes, size_t alignment) {
  if (bytes < kHugePagesFromBytes) return ::operator new(bytes, std::align_val_t(alignment));
  // From the kernel itself: what malloc gives may have been used before, and then it is on small pages already.
  const size_t whole = RoundedUp(bytes);
  const size_t with_room = whole + kHugePageBytes;
  void* mapped = mmap(nullptr, with_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<char*>(mapped);
  const size_t before = RoundedUp(reinterpret_cast<uintptr_t>(begin)) - reinterpret_cast<uintptr_t>(begin);
  // The room was for beginning at a huge page.
  if (before > 0) munmap(begin, before);
  munmap(begin + before + whole, kHugePageBytes - before);
  // A wish: where it is not granted, the memory is as good as any.
  madvise(begin + before, whole, MADV_HUGEPAGE);
  return begin + before;
}

void HugePages::do_deallocate(void* memory, size_t bytes, size_t alignment) {
  if (bytes < kHugePagesFromBytes) return ::operator delete(memory, std::align_val_t(alignment));
  munmap(memory, RoundedUp(bytes));
}

}  // namespace signalbox
