// The hosts that one request can go to, and which of them it does.
//
// Power of two choices (Mitzenmacher, 2001): of two hosts taken at random, the one where it costs less, which is
// (outstanding + 1) x latency, scaled by what the host reports of its load. Two proxies, or two workers, that know the
// same do not all run to the same host, and one that knows something old does little harm.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "balance/host_state.h"
#include "balance/settings.h"

namespace signalbox::balance {

// Random numbers for one choice or many: SplitMix64 (Steele, Lea and Flood, 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  // Below `bound`, which is not 0; uneven by less than one in four billion.
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>((Next() >> 32) * bound >> 32); }
  // In [0, 1).
  float Part() { return static_cast<float>(Next() >> 40) * 0x1p-24F; }

 private:
  uint64_t state_;
};

struct Member {
  std::shared_ptr<HostState> host;
  uint32_t place = 0;  // the owner's number of it
  std::string zone = {};
};

// Thread-safe: choosing reads, and one thread at a time calls Update. Members do not change.
class Group {
 public:
  // `has_ring`: requests with affinity will come.
  Group(std::vector<Member> members, const Settings& settings, bool has_ring);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // The place of the host to try, nullopt where `usable` takes none. `usable(place)` says whether the caller would take
  // it: it knows which cannot be connected to, and which this request has tried. Allocates nothing and takes no lock.
  template <typename Usable>
  std::optional<uint32_t> Choose(Random& random, Time now, const Usable& usable) const;

  // The same for requests that have something in common: those with one `key` go to one host, as long as that has not
  // more than `bound_percent` of the mean to do; then to the next one on the ring that has not (consistent hashing with
  // bounded loads; Mirrokni, Thorup and Zadimoghaddam, 2018). A host that comes or goes moves only what it takes or
  // leaves. Needs a ring.
  template <typename Usable>
  std::optional<uint32_t> ChooseByKey(uint64_t key, uint32_t bound_percent, const Usable& usable) const;
  bool has_ring() const { return !ring_.empty(); }

  // Works out what is the same for many choices: who is healthy, and what of the work the own zone can take. To be
  // called several times a second.
  void Update(Time now);

  std::span<const Member> members() const { return members_; }
  bool panic() const { return panic_.load(std::memory_order_relaxed); }
  // What part of the requests stays in the own zone, 0 to 1.
  float own_share() const { return own_share_.load(std::memory_order_relaxed); }
  // What a request more would cost there. For comparing.
  float Cost(const HostState& host, Time now) const;

 private:
  struct Point {
    uint32_t hash;
    uint32_t member;
    bool operator<(const Point& other) const { return hash != other.hash ? hash < other.hash : member < other.member; }
  };
  struct Range {
    uint32_t begin;
    uint32_t end;
    uint32_t size() const { return end - begin; }
  };

  void MakeRing();
  size_t RingPosition(uint64_t key) const;
  // How many requests one host may have.
  int64_t BoundOnLoad(uint32_t bound_percent) const;
  bool Counts(const HostState& host) const { return panic() || host.healthy(); }

  static constexpr uint32_t kNone = ~0U;
  static constexpr int kDraws = 4;
  // What is less by less than this is chance: latencies of two hosts that are alike differ by as much, and the one that
  // was lucky would get all of a low load.
  static constexpr float kClearlyLess = 0.8F;
  // Index of a member in `range` other than `not_this`, at random; kNone when there is none.
  template <typename Usable>
  uint32_t Draw(Range range, uint32_t not_this, Random& random, Time now, const Usable& usable) const;
  // The first from a random one on that will do.
  template <typename WillDo>
  uint32_t Scan(Range range, Random& random, const WillDo& will_do) const;

  const Settings settings_;
  std::vector<Member> members_;  // those of the own zone first
  uint32_t own_ = 0;             // how many these are
  uint32_t zones_ = 1;
  std::vector<Point> ring_;  // sorted
  std::atomic<bool> panic_{false};
  std::atomic<float> own_share_{1};
  // Of hosts that it is known of; those of which it is not are taken to be like them.
  std::atomic<float> mean_latency_us_{0};
  std::atomic<float> mean_load_factor_{1};
};

template <typename Usable>
std::optional<uint32_t> Group::Choose(Random& random, Time now, const Usable& usable) const {
  const auto count = static_cast<uint32_t>(members_.size());
  if (count == 0) return std::nullopt;
  Range range{0, count};
  if (own_ > 0 && own_ < count) {
    const float share = own_share();
    range = share >= 1 || random.Part() < share ? Range{0, own_} : Range{own_, count};
  }
  const uint32_t one = Draw(range, kNone, random, now, usable);
  if (one == kNone) {
    // Nobody there: a healthy one anywhere, then anyone at all.
    uint32_t any = Scan({0, count}, random, [&](const Member& m) { return Counts(*m.host) && usable(m.place); });
    if (any == kNone) any = Scan({0, count}, random, [&](const Member& m) { return usable(m.place); });
    if (any == kNone) return std::nullopt;
    return members_[any].place;
  }
  const uint32_t other = range.size() > 1 ? Draw(range, one, random, now, usable) : kNone;
  if (other == kNone) return members_[one].place;
  const bool other_is_better = Cost(*members_[other].host, now) < kClearlyLess * Cost(*members_[one].host, now);
  return members_[other_is_better ? other : one].place;
}

template <typename Usable>
uint32_t Group::Draw(Range range, uint32_t not_this, Random& random, Time now, const Usable& usable) const {
  const bool leaves_out = not_this != kNone;
  for (int draw = 0; draw < kDraws; ++draw) {
    uint32_t i = range.begin + random.Below(range.size() - (leaves_out ? 1 : 0));
    if (leaves_out && i >= not_this) ++i;
    const Member& member = members_[i];
    if (!Counts(*member.host) || !usable(member.place)) continue;
    // A new host is taken as often as its weight says, whatever it would cost there.
    if (!member.host->warm() && random.Part() >= member.host->Weight(now, settings_)) continue;
    return i;
  }
  if (leaves_out) return kNone;  // one is enough
  return Scan(range, random, [&](const Member& m) { return Counts(*m.host) && usable(m.place); });
}

template <typename WillDo>
uint32_t Group::Scan(Range range, Random& random, const WillDo& will_do) const {
  const uint32_t first = random.Below(range.size());
  for (uint32_t passed = 0; passed < range.size(); ++passed) {
    const uint32_t i = range.begin + (first + passed) % range.size();
    if (will_do(members_[i])) return i;
  }
  return kNone;
}

template <typename Usable>
std::optional<uint32_t> Group::ChooseByKey(uint64_t key, uint32_t bound_percent, const Usable& usable) const {
  if (ring_.empty()) return std::nullopt;
  const int64_t bound = BoundOnLoad(bound_percent);
  const size_t first = RingPosition(key);
  uint32_t unbounded = kNone;
  for (size_t passed = 0; passed < ring_.size(); ++passed) {
    const size_t at = first + passed < ring_.size() ? first + passed : first + passed - ring_.size();
    const Member& member = members_[ring_[at].member];
    if (!Counts(*member.host) || !usable(member.place)) continue;
    if (member.host->outstanding() < bound) return member.place;
    if (unbounded == kNone) unbounded = member.place;
  }
  if (unbounded != kNone) return unbounded;
  for (const Member& member : members_) {
    if (usable(member.place)) return member.place;
  }
  return std::nullopt;
}

}  // namespace signalbox::balance
