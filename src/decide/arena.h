// Memory that lives and goes with its snapshot: what is made one after the other lies side by side, and nothing is
// freed by itself, so only what needs no destructor is kept in it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/huge_pages.h"

namespace signalbox::decide {

// Takes pieces from HugePages that double up to one huge page, and from then on whole huge pages: a growing piece would
// be rounded up to them, and what is behind its end be memory that is never used. For one thread.
class Arena : public std::pmr::memory_resource {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() override {
    for (const std::span<std::byte> piece : pieces_)
      HugePages::Instance().deallocate(piece.data(), piece.size(), kAlignment);
  }

 private:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kFirstBytes = 1U << 10;
  static constexpr size_t kPieceBytesMax = 2U << 20;

  void* do_allocate(size_t bytes, size_t alignment) override {
    void* at = free_.data();
    size_t left = free_.size();
    if (std::align(alignment, bytes, at, left) == nullptr) {
      AddPiece(bytes + alignment);
      at = free_.data();
      left = free_.size();
      std::align(alignment, bytes, at, left);
    }
    free_ = {static_cast<std::byte*>(at) + bytes, left - bytes};
    return at;
  }
  // All at once, with the arena.
  void do_deallocate(void*, size_t, size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  void AddPiece(size_t bytes_min) {
    const size_t bytes = std::max(bytes_min, next_bytes_);
    next_bytes_ = std::min(2 * next_bytes_, kPieceBytesMax);
    auto* piece = static_cast<std::byte*>(HugePages::Instance().allocate(bytes, kAlignment));
    free_ = pieces_.emplace_back(piece, bytes);
  }

  std::vector<std::span<std::byte>> pieces_;
  std::span<std::byte> free_;  // of the last piece
  size_t next_bytes_ = kFirstBytes;
};

template <typename Item>
std::span<Item> NewArray(size_t size, std::pmr::memory_resource& memory) {
  static_assert(std::is_trivially_destructible_v<Item>);
  if (size == 0) return {};
  auto* items = static_cast<Item*>(memory.allocate(size * sizeof(Item), alignof(Item)));
  std::uninitialized_value_construct_n(items, size);
  return {items, size};
}

template <typename Item>
Item* New(std::pmr::memory_resource& memory) {
  return NewArray<Item>(1, memory).data();
}

template <typename Item>
std::span<const Item> NewCopy(const std::vector<Item>& items, std::pmr::memory_resource& memory) {
  const std::span<Item> copy = NewArray<Item>(items.size(), memory);
  std::copy(items.begin(), items.end(), copy.begin());
  return copy;
}

// Never without an address, even when it is empty.
inline std::string_view NewText(std::string_view text, std::pmr::memory_resource& memory) {
  const std::span<char> copy = NewArray<char>(std::max<size_t>(1, text.size()), memory);
  std::copy(text.begin(), text.end(), copy.begin());
  return {copy.data(), text.size()};
}

}  // namespace signalbox::decide
