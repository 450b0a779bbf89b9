// All memory that a worker's data path uses. Nothing on the way of a request calls the system's allocator once traffic
// has warmed up.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "proxy/block_pool.h"

namespace signalbox::proxy {

// What one read() may bring, and what one sendmsg() gathers its small parts in.
inline constexpr size_t kLargeBlockBytes = 128 << 10;
// What small payloads are copied into: four 1 KiB messages, or what is left of a large one.
inline constexpr size_t kSmallBlockBytes = 4 << 10;

// For one thread.
class WorkerMemory {
 public:
  WorkerMemory();
  ~WorkerMemory();
  WorkerMemory(const WorkerMemory&) = delete;
  WorkerMemory& operator=(const WorkerMemory&) = delete;

  BlockPool& large_blocks() { return large_blocks_; }
  BlockPool& small_blocks() { return small_blocks_; }
  // For nghttp2 sessions, which allocate and free for every stream.
  nghttp2_mem* session_memory() { return &session_memory_; }

  // nullptr when the system has no more. Aligned for any object.
  void* Allocate(size_t bytes);
  void Free(void* memory);

  // Bytes that wait in the queues of all streams.
  size_t queued_bytes = 0;

  // What was taken from the system and not given back.
  size_t bytes() const {
    return session_bytes_ + large_blocks_.blocks_held() * kLargeBlockBytes +
           small_blocks_.blocks_held() * kSmallBlockBytes;
  }
  // Calls to the system's allocator so far.
  uint64_t system_allocations() const { return system_allocations_; }

 private:
  // Freed memory of sizes (64 << class) down to half of that, exclusive.
  static constexpr size_t kClasses = 9;  // up to 16 KiB
  // Beyond these, freed memory goes back to the system.
  static constexpr size_t kKeptPerClassMax = 4096;
  struct Header {
    size_t size_class;  // kClasses: directly from the system
    size_t capacity;
  };
  struct FreeList {
    void* first = nullptr;
    size_t length = 0;
  };

  void* Reallocate(void* memory, size_t bytes);

  uint64_t system_allocations_ = 0;
  size_t session_bytes_ = 0;
  BlockPool large_blocks_;
  BlockPool small_blocks_;
  std::array<FreeList, kClasses> free_lists_;
  nghttp2_mem session_memory_;
};

}  // namespace signalbox::proxy
