#include "base/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace signalbox {
namespace {
std::atomic<uint64_t> g_allocations = 0;
thread_local uint64_t t_allocations = 0;
}  // namespace

uint64_t AllocationCount() { return g_allocations.load(std::memory_order_relaxed); }
uint64_t AllocationCountOfThisThread() { return t_allocations; }

}  // namespace signalbox

// Both, because `operator delete` below is for both: a library's memory must not come from one and go to another.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++signalbox::t_allocations;
  signalbox::g_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
