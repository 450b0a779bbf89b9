// Memory for payload bytes: reference-counted blocks of one size, kept for reuse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace signalbox::proxy {

class BlockPool;

// Raw memory of the pool's block size. Counted, because what one read() brought may belong to many streams.
struct Block {
  BlockPool* pool;
  Block* next_free;
  uint32_t references;

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

// For one thread. Takes memory from the system when nothing is free and gives back what exceeds `kept_max`, so that a
// burst does not stay allocated for ever.
class BlockPool {
 public:
  // `system_allocations` counts calls to the system's allocator; outlives the pool.
  BlockPool(size_t block_bytes, size_t kept_max, uint64_t& system_allocations)
      : block_bytes_(block_bytes), kept_max_(kept_max), system_allocations_(system_allocations) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  size_t block_bytes() const { return block_bytes_; }
  size_t blocks_in_use() const { return in_use_; }
  // Those, and the free ones that are kept.
  size_t blocks_held() const { return in_use_ + kept_; }

  // With one reference, which belongs to the caller.
  Block* Take();

 private:
  friend class BlockRef;
  void PutBack(Block* block);

  const size_t block_bytes_;
  const size_t kept_max_;
  uint64_t& system_allocations_;
  Block* free_ = nullptr;
  size_t kept_ = 0;
  size_t in_use_ = 0;
};

// One reference to a block, or none.
class BlockRef {
 public:
  BlockRef() = default;
  // Takes over the caller's reference.
  explicit BlockRef(Block* block) : block_(block) {}
  BlockRef(const BlockRef& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->references;
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr && --block_->references == 0) block_->pool->PutBack(block_);
  }

  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

}  // namespace signalbox::proxy
