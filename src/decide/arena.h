// Memory that lives and goes with its snapshot: what is made one after the other lies side by side, and nothing is
// freed by itself, so only what needs no destructor is kept in it.
#pragma once

#include <algorithm>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace signalbox::decide {

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
