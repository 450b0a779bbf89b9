#include "proxy/block_pool.h"

#include <cstdlib>
#include <new>

namespace signalbox::proxy {

BlockPool::~BlockPool() {
  while (free_ != nullptr) std::free(std::exchange(free_, free_->next_free));
}

Block* BlockPool::Take() {
  Block* block = free_;
  if (block != nullptr) {
    free_ = block->next_free;
    --kept_;
  } else {
    ++system_allocations_;
    block = static_cast<Block*>(std::malloc(sizeof(Block) + block_bytes_));
    if (block == nullptr) throw std::bad_alloc();  // out of memory: end early, rather than limp
    block->pool = this;
  }
  block->next_free = nullptr;
  block->references = 1;
  ++in_use_;
  return block;
}

void BlockPool::PutBack(Block* block) {
  --in_use_;
  if (kept_ >= kept_max_) {
    std::free(block);
    return;
  }
  block->next_free = free_;
  free_ = block;
  ++kept_;
}

}  // namespace signalbox::proxy
