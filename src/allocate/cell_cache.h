// The answers of experimentation platforms that are still of use.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "allocate/question.h"
#include "base/string_map.h"

namespace signalbox::allocate {

// How long it is remembered that there is no cell: the platform said so, or it failed.
inline constexpr std::chrono::milliseconds kNoneKept{10'000};
inline constexpr std::chrono::milliseconds kFailureKept{1'000};

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
    // Of none: until when nobody is asked.
    Time none_until;
  };

  // nullptr when there is none. Allocation-free.
  Entry* Find(std::string_view key);
  void PutCell(std::string_view key, std::string_view cell, Time answered_at);
  void PutNone(std::string_view key, Time until);

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
