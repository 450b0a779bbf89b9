// Lists of objects that know their place in them, so that joining and leaving costs no memory and no search.
#pragma once

#include <cstddef>

namespace signalbox::proxy {

// A member of `T`, one for each list that it can be in at a time.
template <typename T>
struct ListHook {
  T* next = nullptr;
  T* previous = nullptr;
  bool linked = false;
};

template <typename T, ListHook<T> T::*hook>
class IntrusiveList {
 public:
  bool empty() const { return first_ == nullptr; }
  size_t size() const { return size_; }
  T* first() const { return first_; }
  static T* Next(T& element) { return (element.*hook).next; }

  void PushBack(T& element) {
    ListHook<T>& place = element.*hook;
    if (place.linked) return;
    place = {.next = nullptr, .previous = last_, .linked = true};
    (last_ == nullptr ? first_ : (last_->*hook).next) = &element;
    last_ = &element;
    ++size_;
  }

  // Nothing happens when it is in no list.
  void Remove(T& element) {
    ListHook<T>& place = element.*hook;
    if (!place.linked) return;
    (place.previous == nullptr ? first_ : (place.previous->*hook).next) = place.next;
    (place.next == nullptr ? last_ : (place.next->*hook).previous) = place.previous;
    place = {};
    --size_;
  }

  T* PopFront() {
    T* element = first_;
    if (element != nullptr) Remove(*element);
    return element;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace signalbox::proxy
