// Payload bytes on their way from one connection to another, in order, copied as little as pays.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/block_pool.h"
#include "proxy/worker_memory.h"

namespace signalbox::proxy {

// Contiguous bytes of a queue.
struct Piece {
  const char* data = nullptr;
  size_t size = 0;
  BlockRef block;  // what keeps `data` alive; none when that is something else (the snapshot's suffixes)
};

// For one thread. The number of pieces follows from the bytes in the queue, which flow control limits.
class BodyQueue {
  struct Node;

 public:
  // A place from which the queue is read while what is read stays in it. Where nothing is set: the beginning. Valid as
  // long as nothing but DropBefore removes anything.
  struct Place {
    Node* node = nullptr;
    size_t offset = 0;
  };

  explicit BodyQueue(WorkerMemory& memory) : memory_(&memory) {}
  ~BodyQueue() { Clear(); }
  BodyQueue(const BodyQueue&) = delete;
  BodyQueue& operator=(const BodyQueue&) = delete;

  bool empty() const { return bytes_ == 0; }
  size_t bytes() const { return bytes_; }

  // Appends bytes that lie in `block`: by reference when they are many, else by copying them. A reference holds the
  // whole block, so for few bytes, or when blocks run short, a copy is cheaper.
  void Append(std::string_view data, const BlockRef& block);
  void AppendCopy(std::string_view data);
  // Appends bytes that outlive the queue.
  void AppendStatic(std::string_view data);

  // The first contiguous bytes; empty when the queue is.
  std::string_view Front() const;
  // Removes and returns the first contiguous bytes, at most `bytes_max`.
  Piece TakeFront(size_t bytes_max);
  // Removes `bytes`, which must be there.
  void Drop(size_t bytes);
  // Moves the first `bytes`, which must be there, to the end of `to`, by reference.
  void MoveTo(BodyQueue& to, size_t bytes);
  // Removes all but the first `bytes`, which must be there.
  void KeepFront(size_t bytes);
  void Clear();

  // The contiguous bytes at a place; empty at the end of the queue.
  std::string_view At(Place& place) const;
  // Moves the place behind the next `bytes`, which must be there.
  void Skip(Place& place, size_t bytes) const;
  // The same, and appends them to `to`, by reference.
  void CopyTo(Place& place, BodyQueue& to, size_t bytes) const;
  // Removes pieces of which all bytes lie before the place. Returns how many bytes they were.
  size_t DropBefore(const Place& place);

 private:
  struct Node {
    Node* next = nullptr;
    Piece piece;
    size_t room = 0;  // bytes that can still be copied behind the piece
  };

  void AddNode(Piece piece, size_t room);
  void FreeFirst();

  WorkerMemory* memory_;
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace signalbox::proxy
