// A list of at most kMax items that holds them itself: for what must not allocate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

namespace signalbox {

template <typename Item, size_t kMax>
class FixedList {
 public:
  static_assert(std::is_trivially_copyable_v<Item> && std::is_trivially_destructible_v<Item>);

  // The room is not initialised, whatever its items are made with: a list of small items costs what is put into it.
  FixedList() {}
  FixedList(const FixedList& other) { *this = other; }
  // Copies what is in it, and not the room behind.
  FixedList& operator=(const FixedList& other) {
    size_ = other.size_;
    std::copy(other.begin(), other.end(), items_);
    return *this;
  }

  // False, and nothing changes, when the list is full.
  bool Add(const Item& item) {
    if (size_ == kMax) return false;
    items_[size_++] = item;
    return true;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Item& operator[](size_t index) const { return items_[index]; }
  const Item* begin() const { return items_; }
  const Item* end() const { return items_ + size_; }

 private:
  size_t size_ = 0;
  union {
    Item items_[kMax];
  };
};

}  // namespace signalbox
