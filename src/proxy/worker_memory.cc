#include "proxy/worker_memory.h"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace signalbox::proxy {
namespace {

constexpr size_t kSmallestClassBytes = 64;
// 8 MiB and 16 MiB that stay after a burst.
constexpr size_t kLargeBlocksKept = 64;
constexpr size_t kSmallBlocksKept = 4096;

size_t ClassOf(size_t bytes) {
  if (bytes <= kSmallestClassBytes) return 0;
  return static_cast<size_t>(std::bit_width((bytes - 1) / kSmallestClassBytes));
}

}  // namespace

WorkerMemory::WorkerMemory()
    : large_blocks_(kLargeBlockBytes, kLargeBlocksKept, system_allocations_),
      small_blocks_(kSmallBlockBytes, kSmallBlocksKept, system_allocations_) {
  session_memory_.mem_user_data = this;
  session_memory_.malloc = [](size_t bytes, void* self) { return static_cast<WorkerMemory*>(self)->Allocate(bytes); };
  session_memory_.free = [](void* memory, void* self) { static_cast<WorkerMemory*>(self)->Free(memory); };
  session_memory_.calloc = [](size_t count, size_t bytes, void* self) -> void* {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) return nullptr;
    void* memory = static_cast<WorkerMemory*>(self)->Allocate(total);
    return memory == nullptr ? nullptr : std::memset(memory, 0, total);
  };
  session_memory_.realloc = [](void* memory, size_t bytes, void* self) {
    return static_cast<WorkerMemory*>(self)->Reallocate(memory, bytes);
  };
}

WorkerMemory::~WorkerMemory() {
  for (FreeList& list : free_lists_) {
    while (list.first != nullptr) {
      void* next = *static_cast<void**>(list.first);
      std::free(static_cast<Header*>(list.first) - 1);
      list.first = next;
    }
  }
}

void* WorkerMemory::Allocate(size_t bytes) {
  const size_t size_class = ClassOf(bytes);
  if (size_class < kClasses && free_lists_[size_class].first != nullptr) {
    FreeList& list = free_lists_[size_class];
    void* memory = list.first;
    list.first = *static_cast<void**>(memory);
    --list.length;
    return memory;
  }
  ++system_allocations_;
  const size_t capacity = size_class < kClasses ? kSmallestClassBytes << size_class : bytes;
  auto* header = static_cast<Header*>(std::malloc(sizeof(Header) + capacity));
  if (header == nullptr) return nullptr;
  session_bytes_ += capacity;
  *header = {.size_class = size_class < kClasses ? size_class : kClasses, .capacity = capacity};
  return header + 1;
}

void WorkerMemory::Free(void* memory) {
  if (memory == nullptr) return;
  Header* header = static_cast<Header*>(memory) - 1;
  if (header->size_class < kClasses && free_lists_[header->size_class].length < kKeptPerClassMax) {
    FreeList& list = free_lists_[header->size_class];
    *static_cast<void**>(memory) = list.first;
    list.first = memory;
    ++list.length;
    return;
  }
  session_bytes_ -= header->capacity;
  std::free(header);
}

void* WorkerMemory::Reallocate(void* memory, size_t bytes) {
  if (memory == nullptr) return Allocate(bytes);
  const size_t capacity = (static_cast<Header*>(memory) - 1)->capacity;
  if (bytes <= capacity) return memory;
  void* larger = Allocate(bytes);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, memory, capacity);
  Free(memory);
  return larger;
}

}  // namespace signalbox::proxy
