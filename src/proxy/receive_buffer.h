// Where sockets are read into.
#pragma once

#include <cstddef>

#include "proxy/block_pool.h"
#include "proxy/worker_memory.h"

namespace signalbox::proxy {

// One for all connections of a worker: what was read is handled before the next read, and only what streams refer to
// stays where it is.
class ReceiveBuffer {
 public:
  explicit ReceiveBuffer(WorkerMemory& memory) : pool_(memory.large_blocks()) {}

  // Where the next read goes, and how much it may bring.
  char* data() { return block().get()->bytes() + used_; }
  size_t room() { return block().get()->pool->block_bytes() - used_; }
  // What queues refer to when they refer to what was read.
  const BlockRef& block() {
    if (!block_) block_ = BlockRef(pool_.Take());
    return block_;
  }

  // `bytes` were read and handled.
  void Used(size_t bytes) {
    if (block_->references == 1) {
      used_ = 0;
      return;
    }
    used_ += bytes;
    // Small reads would cost more calls than memory is worth.
    if (pool_.block_bytes() - used_ < pool_.block_bytes() / 4) {
      block_ = BlockRef();
      used_ = 0;
    }
  }

 private:
  BlockPool& pool_;
  BlockRef block_;
  size_t used_ = 0;
};

}  // namespace signalbox::proxy
