// The answers of experimentation platforms that are still of use.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "allocate/question.h"
#include "base/string_map.h"

namespace signalbox::allocate {

// How long it is remembered that there is no cell: the platform said so, or it failed.
inline constexpr std::chrono::milliseconds kNoneKept{10'000};
inline constexpr std::chrono::milliseconds kFailureKept{1'000};

// Of one cell. Rules let no more experiments of an Objective ask; beyond them each request finds out for itself.
inline constexpr size_t kRefusalsMax = 16;

// Bounded; what was not looked at for the longest time goes first. For one thread.
class CellCache {
 public:
  explicit CellCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  struct Entry {
    std::string key;
    bool has_cell = false;
    std::string cell;
    // Of a cell: when the platform gave it, and when it may be asked again after it has failed to give a newer one. The
    // former stays when there is none any more.
    Time answered_at;
    Time retry_at;
    // Of a cell: those for whom it is none, and until when they are told so without the platform being asked again.
    struct Refusal {
      uint64_t asker = 0;
      Time until;
    };
    std::vector<Refusal> refusals;
    // Of none: until when nobody is asked.
    Time none_until;

    // nullptr when the cell was not refused for `asker`.
    const Refusal* RefusalFor(uint64_t asker) const;
  };

  // nullptr when there is none. Allocation-free.
  Entry* Find(std::string_view key);
  void PutCell(std::string_view key, std::string_view cell, Time answered_at);
  void PutNone(std::string_view key, Time until);
  // For `asker` the cell is none, until another answer comes; `until`: nobody is asked for its sake. False, and nothing
  // changes, where that is known at `now`, too many have said so, or there is no cell.
  bool Refuse(std::string_view key, uint64_t asker, Time until, Time now);

  size_t entries() const { return by_key_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  static size_t BytesOf(const Entry& entry);
  Entry& FindOrAdd(std::string_view key);
  void MakeRoom();

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // the one that was looked at last is the first
  // Keys are those of the entries.
  absl::flat_hash_map<std::string_view, std::list<Entry>::iterator, StringMapHash, StringMapEqual> by_key_;
};

// A cell is given out as it is for the time to live, and while it is renewed for as long again: users do not wait, and
// do not change cells, because a platform is away for a moment.
enum class Age { kFresh, kStale, kTooOld };
Age AgeOf(const CellCache::Entry& entry, std::chrono::milliseconds ttl, Time now);

}  // namespace signalbox::allocate
