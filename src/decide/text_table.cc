#include "decide/text_table.h"

#include <algorithm>
#include <bit>

#include "base/hash.h"
#include "decide/arena.h"

namespace signalbox::decide {

const TextTable* TextTable::Make(std::span<const Entry> entries, std::pmr::memory_resource& memory) {
  const size_t size = std::bit_ceil(std::max<size_t>(2, 2 * entries.size()));
  const std::span<Slot> slots = NewArray<Slot>(size, memory);
  for (const Entry& entry : entries) {
    const uint64_t hash = StableHash64(entry.text);
    size_t at = hash & (size - 1);
    const auto is_other = [&](const Slot& slot) {
      return slot.text != nullptr && (slot.hash != hash || std::string_view(slot.text, slot.bytes) != entry.text);
    };
    while (is_other(slots[at])) at = (at + 1) & (size - 1);
    if (slots[at].text != nullptr) continue;
    const std::string_view text = NewText(entry.text, memory);
    slots[at] = {.hash = hash, .text = text.data(), .bytes = static_cast<uint32_t>(text.size()), .value = entry.value};
  }
  TextTable* table = New<TextTable>(memory);
  table->slots_ = slots;
  return table;
}

std::optional<uint32_t> TextTable::Find(std::string_view text) const {
  const uint64_t hash = StableHash64(text);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].text != nullptr; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.hash == hash && std::string_view(slot.text, slot.bytes) == text) return slot.value;
  }
  return std::nullopt;
}

}  // namespace signalbox::decide
