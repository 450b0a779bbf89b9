// A list that one thread appends to while others read it, without a lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace signalbox::telemetry {

// Append-only, with room for `capacity` elements set aside at the start, so that an element never moves once it is
// published.
template <typename T>
class PublishedList {
 public:
  explicit PublishedList(size_t capacity)
      : capacity_(capacity), items_(std::make_unique<std::unique_ptr<T>[]>(capacity)) {}

  // Writer only. nullptr, and `item` destroyed, when the list is full.
  T* Append(std::unique_ptr<T> item) {
    size_t size = size_.load(std::memory_order_relaxed);
    if (size == capacity_) return nullptr;
    items_[size] = std::move(item);
    // Release: whoever sees the new size sees the element complete.
    size_.store(size + 1, std::memory_order_release);
    return items_[size].get();
  }

  size_t size() const { return size_.load(std::memory_order_acquire); }
  size_t capacity() const { return capacity_; }
  // `index` below a size() that the calling thread has seen.
  T& operator[](size_t index) { return *items_[index]; }
  const T& operator[](size_t index) const { return *items_[index]; }

 private:
  const size_t capacity_;
  std::unique_ptr<std::unique_ptr<T>[]> items_;
  std::atomic<size_t> size_{0};
};

}  // namespace signalbox::telemetry
