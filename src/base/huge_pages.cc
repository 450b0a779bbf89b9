#include "base/huge_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace signalbox {
namespace {

constexpr size_t kHugePageBytes = 2U << 20;

}  // namespace

HugePages& HugePages::Instance() {
  static HugePages instance;
  return instance;
}

void* HugePages::do_allocate(size_t bytes, size_t alignment) {
  if (bytes < kHugePagesFromBytes) return ::operator new(bytes, std::align_val_t(alignment));
  const size_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* memory = ::operator new(whole, std::align_val_t(std::max(alignment, kHugePageBytes)));
  // A wish: where it is not granted, the memory is as good as any.
  madvise(memory, whole, MADV_HUGEPAGE);
  return memory;
}

void HugePages::do_deallocate(void* memory, size_t bytes, size_t alignment) {
  const bool is_huge = bytes >= kHugePagesFromBytes;
  ::operator delete(memory, std::align_val_t(is_huge ? std::max(alignment, kHugePageBytes) : alignment));
}

}  // namespace signalbox
