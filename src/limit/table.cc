// The table behind the workers' caches: who has which place, and who has to give his away.
#include <algorithm>
#include <deque>
#include <mutex>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "limit/entry.h"
#include "limit/limits.h"

namespace signalbox::limit {
namespace {

// A key that was not used for so long, and of which nothing is left to remember, may be forgotten. What an adaptive
// limit has learnt is worth keeping for longer.
constexpr std::chrono::seconds kIdle{1};
constexpr std::chrono::seconds kAdaptiveIdle{300};
// Places that are looked at to make room for one key. When none of them is idle, nobody looks again for a while: a
// flood of tenants shall not make everybody wait for the lock.
constexpr size_t kLooksMax = 8;
constexpr std::chrono::milliseconds kLookAgain{1};

int64_t Nanoseconds(Duration duration) { return duration.count(); }

struct OwnedKey {
  std::string objective;
  std::string model;
  std::string policy;
  std::string tenant;
  bool shared = false;
};
struct FullKey {
  Key key;
  bool shared = false;
};
struct KeyHash {
  size_t operator()(const FullKey& full) const {
    uint64_t hash = full.shared ? 1 : 0;
    for (std::string_view text : {full.key.objective, full.key.model, full.key.policy, full.key.tenant}) {
      hash = StableHash64(text, hash);
    }
    return hash;
  }
};
struct KeyEqual {
  bool operator()(const FullKey& a, const FullKey& b) const {
    return a.shared == b.shared && a.key.tenant == b.key.tenant && a.key.model == b.key.model &&
           a.key.objective == b.key.objective && a.key.policy == b.key.policy;
  }
};

FullKey KeyOf(const Entry& entry) {
  return {{.objective = entry.objective, .tenant = entry.tenant, .model = entry.model, .policy = entry.policy},
          entry.shared};
}

}  // namespace

class Table::Index {
 public:
  explicit Index(TableOptions options) : options_(options) {}

  Entry& Pin(const Key& key, Time now) {
    const std::lock_guard lock(mutex_);
    if (Entry* entry = Known({key, false})) return *entry;
    // The key of the group is that of the limit that its tenants without one of their own share.
    const FullKey shared{{.objective = key.objective, .tenant = {}, .model = key.model, .policy = key.policy}, true};
    Group& group = GroupOf(shared);
    const bool has_room = group.tenants.size() < options_.tenants_max || Forget(group, now);
    if (has_room && (by_key_.size() < options_.keys_max || ForgetAny(now))) return Add(group, {key, false});
    // Not counted in the limits: there is one for each (Objective, model, policy), of which rules know the number.
    if (Entry* entry = Known(shared)) return *entry;
    return Add(group, shared);
  }

  std::vector<State> States(Time since, size_t states_max) const {
    const std::lock_guard lock(mutex_);
    const int64_t since_ns = Nanoseconds(since.time_since_epoch());
    std::vector<const Entry*> entries;
    for (const auto& [key, entry] : by_key_) {
      if (entry->used_ns.load(std::memory_order_relaxed) >= since_ns) entries.push_back(entry);
    }
    const size_t count = std::min(states_max, entries.size());
    // They change while they are sorted, which sorting would not survive: a copy.
    std::vector<std::pair<uint32_t, const Entry*>> busiest;
    for (const Entry* entry : entries) busiest.emplace_back(entry->in_flight.load(std::memory_order_relaxed), entry);
    std::partial_sort(
        busiest.begin(), busiest.begin() + static_cast<ptrdiff_t>(count), busiest.end(),
        [](const auto& a, const auto& b) {
          return std::tuple(b.first, std::string_view(a.second->objective), std::string_view(a.second->tenant)) <
                 std::tuple(a.first, std::string_view(b.second->objective), std::string_view(b.second->tenant));
        });
    std::vector<State> states;
    for (size_t i = 0; i < count; ++i) {
      const Entry& entry = *busiest[i].second;
      const AdaptiveBounds bounds{.min = entry.adaptive_min.load(std::memory_order_relaxed),
                                  .max = entry.adaptive_max.load(std::memory_order_relaxed)};
      states.push_back(
          {.objective = entry.objective,
           .tenant = entry.tenant,
           .model = entry.model,
           .policy = entry.policy,
           .tenant_is_shared = entry.shared,
           .in_flight = busiest[i].first,
           .adaptive_limit = entry.adapts.load(std::memory_order_relaxed) ? entry.adaptive.Get(bounds) : 0});
    }
    return states;
  }

  size_t keys() const {
    const std::lock_guard lock(mutex_);
    return by_key_.size();
  }

  uint64_t in_flight() const {
    const std::lock_guard lock(mutex_);
    uint64_t sum = 0;
    for (const Entry& entry : entries_) sum += entry.in_flight.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct Group {
    std::vector<Entry*> tenants;  // without the shared one
    size_t hand = 0;
    Time look_again{};
  };

  // With a pin. An entry in the index is never being given away: that is done under the lock.
  Entry* Known(const FullKey& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    found->second->pins.fetch_add(1, std::memory_order_acquire);
    return found->second;
  }

  Group& GroupOf(const FullKey& shared) {
    // Their texts are the group's own: entries of it come and go.
    const auto found = groups_.find(shared);
    if (found != groups_.end()) return *found->second.group;
    auto owned = std::make_unique<OwnedKey>();
    *owned = {.objective = std::string(shared.key.objective),
              .model = std::string(shared.key.model),
              .policy = std::string(shared.key.policy),
              .tenant = {},
              .shared = true};
    const FullKey key{{.objective = owned->objective, .tenant = {}, .model = owned->model, .policy = owned->policy},
                      true};
    auto group = std::make_unique<Group>();
    Group& reference = *group;
    groups_.emplace(key, OwnedGroup{std::move(owned), std::move(group)});
    return reference;
  }

  Entry& Add(Group& group, const FullKey& key) {
    Entry* entry = nullptr;
    if (free_.empty()) {
      entry = &entries_.emplace_back();
      entry->pins.store(Entry::kGivenAway, std::memory_order_relaxed);
    } else {
      entry = free_.back();
      free_.pop_back();
    }
    entry->objective.assign(key.key.objective);
    entry->tenant.assign(key.key.tenant);
    entry->model.assign(key.key.model);
    entry->policy.assign(key.key.policy);
    entry->shared = key.shared;
    entry->rate.Reset();
    entry->adaptive.Reset();
    entry->adapts.store(false, std::memory_order_relaxed);
    entry->generation.fetch_add(1, std::memory_order_relaxed);
    by_key_.emplace(KeyOf(*entry), entry);
    if (!key.shared) group.tenants.push_back(entry);
    // Workers that remember its former key have added and subtracted in the meantime: what they added stays theirs to
    // subtract.
    entry->pins.fetch_add(1 - Entry::kGivenAway, std::memory_order_release);
    return *entry;
  }

  // Makes room in the group. False when none of those looked at is idle.
  bool Forget(Group& group, Time now) {
    if (now < group.look_again) return false;
    for (size_t looks = std::min(kLooksMax, group.tenants.size()); looks > 0; --looks) {
      group.hand = group.hand % group.tenants.size();
      if (GiveAway(*group.tenants[group.hand], now)) {
        group.tenants[group.hand] = group.tenants.back();
        group.tenants.pop_back();
        return true;
      }
      ++group.hand;
    }
    group.look_again = now + kLookAgain;
    return false;
  }

  // Makes room in the table.
  bool ForgetAny(Time now) {
    if (now < look_again_) return false;
    for (size_t looks = std::min(kLooksMax, entries_.size()); looks > 0; --looks) {
      Entry& entry = entries_[hand_++ % entries_.size()];
      const FullKey shared{{.objective = entry.objective, .tenant = {}, .model = entry.model, .policy = entry.policy},
                           true};
      const auto group = groups_.find(shared);
      if (entry.shared || group == groups_.end() || !GiveAway(entry, now)) continue;
      std::erase(group->second.group->tenants, &entry);
      return true;
    }
    look_again_ = now + kLookAgain;
    return false;
  }

  bool GiveAway(Entry& entry, Time now) {
    const Duration idle = entry.adaptive.learnt() ? Duration(kAdaptiveIdle) : Duration(kIdle);
    const int64_t idle_since = Nanoseconds(now.time_since_epoch()) - Nanoseconds(idle);
    if (entry.used_ns.load(std::memory_order_relaxed) > idle_since || !entry.rate.Idle(now)) return false;
    int64_t unused = 0;
    if (!entry.pins.compare_exchange_strong(unused, Entry::kGivenAway, std::memory_order_acq_rel)) return false;
    by_key_.erase(KeyOf(entry));
    free_.push_back(&entry);
    return true;
  }

  struct OwnedGroup {
    std::unique_ptr<OwnedKey> key;
    std::unique_ptr<Group> group;
  };

  const TableOptions options_;
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // never moved
  std::vector<Entry*> free_;
  // The keys are the entries' own texts, and the groups'. Of groups there are as many as rules have named.
  absl::flat_hash_map<FullKey, Entry*, KeyHash, KeyEqual> by_key_;
  absl::flat_hash_map<FullKey, OwnedGroup, KeyHash, KeyEqual> groups_;
  size_t hand_ = 0;
  Time look_again_{};
};

Table::Table(TableOptions options) : index_(std::make_unique<Index>(options)) {}
Table::~Table() = default;

void Table::SetProxies(uint32_t proxies) { proxies_.store(std::max(1U, proxies), std::memory_order_relaxed); }

std::vector<Table::State> Table::States(Time since, size_t states_max) const {
  return index_->States(since, states_max);
}
size_t Table::keys() const { return index_->keys(); }
uint64_t Table::in_flight() const { return index_->in_flight(); }
Entry& Table::Pin(const Key& key, Time now) { return index_->Pin(key, now); }

}  // namespace signalbox::limit
