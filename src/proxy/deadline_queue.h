// Which request's deadline comes next.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace signalbox::proxy {

using Time = std::chrono::steady_clock::time_point;

// An entry's place, kept by its owner.
struct Deadline {
  static constexpr size_t kNowhere = static_cast<size_t>(-1);
  Time at;
  size_t place = kNowhere;
};

// A binary heap whose entries can be removed from the middle: nearly every request ends before its deadline. `T` has a
// public member `deadline`. Allocates only while it grows beyond its largest size so far.
template <typename T>
class DeadlineQueue {
 public:
  bool empty() const { return heap_.empty(); }
  T& first() const { return *heap_.front(); }

  void Add(T& element) {
    heap_.push_back(&element);
    element.deadline.place = heap_.size() - 1;
    MoveUp(heap_.size() - 1);
  }

  // Nothing happens when it is not in the queue.
  void Remove(T& element) {
    const size_t place = std::exchange(element.deadline.place, Deadline::kNowhere);
    if (place == Deadline::kNowhere) return;
    T* last = heap_.back();
    heap_.pop_back();
    if (last == &element) return;
    Put(place, last);
    MoveUp(place);
    MoveDown(last->deadline.place);
  }

 private:
  void Put(size_t place, T* element) {
    heap_[place] = element;
    element->deadline.place = place;
  }
  void Swap(size_t a, size_t b) {
    T* element = heap_[a];
    Put(a, heap_[b]);
    Put(b, element);
  }
  bool Before(size_t a, size_t b) const { return heap_[a]->deadline.at < heap_[b]->deadline.at; }

  void MoveUp(size_t place) {
    for (size_t parent; place > 0 && Before(place, parent = (place - 1) / 2); place = parent) Swap(place, parent);
  }
  void MoveDown(size_t place) {
    for (;;) {
      size_t earliest = place;
      for (size_t child = 2 * place + 1; child <= 2 * place + 2 && child < heap_.size(); ++child) {
        if (Before(child, earliest)) earliest = child;
      }
      if (earliest == place) return;
      Swap(place, earliest);
      place = earliest;
    }
  }

  std::vector<T*> heap_;
};

}  // namespace signalbox::proxy
