// Texts -> numbers, made once and never changed: a lookup costs one hash however many there are, and allocates nothing.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>

namespace signalbox::decide {

class TextTable {
 public:
  struct Entry {
    std::string_view text;
    uint32_t value = 0;
  };

  // In `memory`, with the texts, for as long as that lives. Of two entries with one text the first counts.
  static const TextTable* Make(std::span<const Entry> entries, std::pmr::memory_resource& memory);

  std::optional<uint32_t> Find(std::string_view text) const;
  bool Contains(std::string_view text) const { return Find(text).has_value(); }

 private:
  struct Slot {
    uint64_t hash = 0;
    const char* text = nullptr;  // nullptr: free
    uint32_t bytes = 0;
    uint32_t value = 0;
  };

  std::span<const Slot> slots_;  // a power of two of them, at least half of them free
};

}  // namespace signalbox::decide
