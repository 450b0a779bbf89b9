#include "allocate/cell_cache.h"

#include <algorithm>
#include <iterator>

namespace signalbox::allocate {
namespace {

// A list node, a slot of the table, and what the allocator adds to three pieces of memory.
constexpr size_t kEntryOverheadBytes = 216;

}  // namespace

size_t CellCache::BytesOf(const Entry& entry) {
  return kEntryOverheadBytes + entry.key.size() + entry.cell.size() +
         entry.refusals.capacity() * sizeof(Entry::Refusal);
}

CellCache::Entry* CellCache::Find(std::string_view key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

void CellCache::PutCell(std::string_view key, std::string_view cell, Time answered_at) {
  Entry& entry = FindOrAdd(key);
  bytes_ -= BytesOf(entry);
  entry.has_cell = true;
  entry.cell = cell;
  entry.answered_at = answered_at;
  entry.retry_at = Time();
  entry.refusals = std::vector<Entry::Refusal>();
  bytes_ += BytesOf(entry);
  MakeRoom();
}

void CellCache::PutNone(std::string_view key, Time until) {
  Entry& entry = FindOrAdd(key);
  bytes_ -= BytesOf(entry);
  entry.has_cell = false;
  entry.cell.clear();
  entry.refusals = std::vector<Entry::Refusal>();
  entry.none_until = until;
  bytes_ += BytesOf(entry);
  MakeRoom();
}

const CellCache::Entry::Refusal* CellCache::Entry::RefusalFor(uint64_t asker) const {
  const auto found =
      std::find_if(refusals.begin(), refusals.end(), [&](const Refusal& refusal) { return refusal.asker == asker; });
  return found == refusals.end() ? nullptr : &*found;
}

bool CellCache::Refuse(std::string_view key, uint64_t asker, Time until, Time now) {
  Entry* entry = Find(key);
  if (entry == nullptr || !entry->has_cell) return false;
  bytes_ -= BytesOf(*entry);
  const Entry::Refusal* known = entry->RefusalFor(asker);
  const bool is_new = known == nullptr ? entry->refusals.size() < kRefusalsMax : known->until <= now;
  if (is_new) {
    std::erase_if(entry->refusals, [&](const Entry::Refusal& refusal) { return refusal.asker == asker; });
    entry->refusals.push_back({.asker = asker, .until = until});
  }
  bytes_ += BytesOf(*entry);
  MakeRoom();
  return is_new;
}

CellCache::Entry& CellCache::FindOrAdd(std::string_view key) {
  if (Entry* entry = Find(key); entry != nullptr) return *entry;
  entries_.emplace_front().key = key;
  by_key_.emplace(entries_.front().key, entries_.begin());
  bytes_ += BytesOf(entries_.front());
  return entries_.front();
}

void CellCache::MakeRoom() {
  while (bytes_ > bytes_max_ && entries_.size() > 1) {
    const Entry& last = entries_.back();
    bytes_ -= BytesOf(last);
    by_key_.erase(last.key);
    entries_.pop_back();
  }
}

Age AgeOf(const CellCache::Entry& entry, std::chrono::milliseconds ttl, Time now) {
  const auto age = now - entry.answered_at;
  if (age < ttl) return Age::kFresh;
  return age < 2 * ttl ? Age::kStale : Age::kTooOld;
}

}  // namespace signalbox::allocate
