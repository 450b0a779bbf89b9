// Memory for what is large and read at random places: on huge pages, where the kernel gives them. With pages of 4 KiB
// nearly every read of some 50 MiB waits for the page tables as well.
#pragma once

#include <cstddef>
#include <memory_resource>

namespace signalbox {

// Stateless; pieces below kHugePagesFromBytes come from operator new. Thread-safe.
class HugePages : public std::pmr::memory_resource {
 public:
  // Below it, rounding up to whole huge pages would waste more than it saves.
  static constexpr size_t kHugePagesFromBytes = 1U << 20;

  static HugePages& Instance();

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* memory, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace signalbox
