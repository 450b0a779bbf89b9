#include "proxy/body_queue.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace signalbox::proxy {
namespace {

// A copy of less costs less than the bookkeeping of a reference.
constexpr size_t kReferencedBytesMin = 4 << 10;
// 32 MiB. A stalled stream may hold a block for a fraction of its bytes; with so many held, everything is copied.
constexpr size_t kReferencedBlocksMax = 256;

}  // namespace

void BodyQueue::Append(std::string_view data, const BlockRef& block) {
  const bool refer =
      data.size() >= kReferencedBytesMin && memory_->large_blocks().blocks_in_use() < kReferencedBlocksMax;
  if (!refer) return AppendCopy(data);
  AddNode({.data = data.data(), .size = data.size(), .block = block}, 0);
}

void BodyQueue::AppendCopy(std::string_view data) {
  while (!data.empty()) {
    if (last_ == nullptr || last_->room == 0) {
      BlockRef block(memory_->small_blocks().Take());
      const char* start = block->bytes();
      AddNode({.data = start, .size = 0, .block = std::move(block)}, kSmallBlockBytes);
    }
    Piece& piece = last_->piece;
    const size_t copied = std::min(data.size(), last_->room);
    std::memcpy(const_cast<char*>(piece.data) + piece.size, data.data(), copied);
    piece.size += copied;
    last_->room -= copied;
    bytes_ += copied;
    memory_->queued_bytes += copied;
    data.remove_prefix(copied);
  }
}

void BodyQueue::AppendStatic(std::string_view data) {
  if (!data.empty()) AddNode({.data = data.data(), .size = data.size(), .block = {}}, 0);
}

std::string_view BodyQueue::Front() const {
  return first_ == nullptr ? std::string_view() : std::string_view(first_->piece.data, first_->piece.size);
}

Piece BodyQueue::TakeFront(size_t bytes_max) {
  if (first_ == nullptr) return {};
  Piece& piece = first_->piece;
  const size_t taken = std::min(bytes_max, piece.size);
  bytes_ -= taken;
  memory_->queued_bytes -= taken;
  if (taken == piece.size) {
    Piece whole = std::move(piece);
    FreeFirst();
    return whole;
  }
  Piece front{.data = piece.data, .size = taken, .block = piece.block};
  piece.data += taken;
  piece.size -= taken;
  return front;
}

void BodyQueue::Drop(size_t bytes) {
  while (bytes > 0) bytes -= TakeFront(bytes).size;
}

void BodyQueue::MoveTo(BodyQueue& to, size_t bytes) {
  while (bytes > 0) {
    Piece piece = TakeFront(bytes);
    bytes -= piece.size;
    to.AddNode(std::move(piece), 0);
  }
}

void BodyQueue::KeepFront(size_t bytes) {
  BodyQueue kept(*memory_);
  MoveTo(kept, bytes);
  Clear();
  kept.MoveTo(*this, bytes);
}

void BodyQueue::Clear() {
  memory_->queued_bytes -= bytes_;
  bytes_ = 0;
  while (first_ != nullptr) FreeFirst();
}

std::string_view BodyQueue::At(Place& place) const {
  if (place.node == nullptr) {
    if (first_ == nullptr) return {};
    place = {.node = first_, .offset = 0};
  }
  // The last piece can still grow: its end is no place to leave.
  while (place.offset == place.node->piece.size && place.node->next != nullptr) {
    place = {.node = place.node->next, .offset = 0};
  }
  const Piece& piece = place.node->piece;
  return {piece.data + place.offset, piece.size - place.offset};
}

void BodyQueue::Skip(Place& place, size_t bytes) const {
  while (bytes > 0) {
    const size_t skipped = std::min(bytes, At(place).size());
    place.offset += skipped;
    bytes -= skipped;
  }
}

void BodyQueue::CopyTo(Place& place, BodyQueue& to, size_t bytes) const {
  while (bytes > 0) {
    const std::string_view part = At(place).substr(0, bytes);
    to.AddNode({.data = part.data(), .size = part.size(), .block = place.node->piece.block}, 0);
    place.offset += part.size();
    bytes -= part.size();
  }
}

size_t BodyQueue::DropBefore(const Place& place) {
  const size_t before = bytes_;
  while (place.node != nullptr && first_ != place.node) {
    bytes_ -= first_->piece.size;
    memory_->queued_bytes -= first_->piece.size;
    FreeFirst();
  }
  return before - bytes_;
}

void BodyQueue::AddNode(Piece piece, size_t room) {
  void* place = memory_->Allocate(sizeof(Node));
  if (place == nullptr) throw std::bad_alloc();
  bytes_ += piece.size;
  memory_->queued_bytes += piece.size;
  Node* node = new (place) Node{.next = nullptr, .piece = std::move(piece), .room = room};
  (last_ == nullptr ? first_ : last_->next) = node;
  last_ = node;
}

void BodyQueue::FreeFirst() {
  Node* node = first_;
  first_ = node->next;
  if (first_ == nullptr) last_ = nullptr;
  node->~Node();
  memory_->Free(node);
}

}  // namespace signalbox::proxy
