#include "limit/limits.h"

#include <algorithm>
#include <limits>

#include "base/hash.h"
#include "limit/entry.h"

namespace signalbox::limit {
namespace {

// In percent of an adaptive limit, by class.
constexpr std::array<uint32_t, kPriorityClasses> kAdaptiveSharePercent = {100, 90, 80, 70};
constexpr uint32_t kArtificialSharePercent = 90;
// After that a tenant that shares a limit is looked up again: there may be room for one of its own.
constexpr std::chrono::seconds kSharedFor{1};

uint64_t Hash(const Key& key) {
  uint64_t hash = 0;
  for (std::string_view text : {key.objective, key.model, key.policy, key.tenant}) hash = StableHash64(text, hash);
  return hash;
}

bool IsOf(const Entry& entry, const Key& key) {
  return (entry.shared || entry.tenant == key.tenant) && entry.model == key.model && entry.objective == key.objective &&
         entry.policy == key.policy;
}

// Of a number that is declared for all proxies. Rounded down, so that together they are never above it, but for the one
// request that each may always have.
uint32_t Part(uint32_t declared, uint32_t proxies) { return std::max(1U, declared / proxies); }

// Rounded up: of a limit of 1 everybody may have it.
uint32_t Share(uint32_t limit, uint32_t percent) {
  return static_cast<uint32_t>((uint64_t{limit} * percent + 99) / 100);
}

}  // namespace

std::string_view Name(PriorityClass priority) {
  constexpr std::array<std::string_view, kPriorityClasses> kNames = {"high", "normal", "low", "lowest"};
  return kNames[static_cast<size_t>(priority)];
}

// --- Leases.

void Lease::OnAnswer(Time now, Duration latency) {
  if (adaptive_ == nullptr) return;
  adaptive_->adaptive.OnAnswer(now, latency, adaptive_->in_flight.load(std::memory_order_relaxed), bounds_);
}

void Lease::OnOverload(Time now) {
  if (adaptive_ != nullptr) adaptive_->adaptive.OnOverload(now, bounds_);
}

void Lease::Release() {
  if (Entry* entry = std::exchange(adaptive_, nullptr)) {
    entry->GiveBack();
    entry->Unpin();
  }
  if (Entry* entry = std::exchange(declared_, nullptr)) {
    if (std::exchange(counted_, false)) entry->GiveBack();
    entry->Unpin();
  }
}

// --- Admission.

Refusal WorkerLimits::Admit(const Key& key, const Limits& limits, PriorityClass priority, bool artificial, Time now,
                            Lease& lease) {
  const uint32_t proxies = table_.proxies();
  Lease taken;
  auto refusal = [&](Limit limit, double value, double declared, const Entry& entry) {
    return Refusal{
        .limit = limit, .value = value, .declared = declared, .proxies = proxies, .tenant_is_shared = entry.shared};
  };
  if (limits.requests_per_second > 0 || limits.concurrent_requests != 0) {
    Entry& entry = Find(key, now);
    taken.declared_ = &entry;
    // Counted also where there is no limit of it: how many are under way is what people look at.
    uint32_t limit = std::numeric_limits<uint32_t>::max();
    if (limits.concurrent_requests != 0) {
      limit = Part(limits.concurrent_requests, proxies);
      if (artificial) limit = Share(limit, kArtificialSharePercent);
    }
    if (!entry.Take(limit)) return refusal(Limit::kConcurrency, limit, limits.concurrent_requests, entry);
    taken.counted_ = true;
  }
  if (limits.adaptive) {
    Entry& entry = Find({.objective = key.objective, .tenant = key.tenant, .model = key.model, .policy = {}}, now);
    taken.bounds_ = {.min = Part(std::max(1U, limits.adaptive_bounds.min), proxies),
                     .max = Part(std::max(1U, limits.adaptive_bounds.max), proxies)};
    entry.adapts.store(true, std::memory_order_relaxed);
    entry.adaptive_min.store(taken.bounds_.min, std::memory_order_relaxed);
    entry.adaptive_max.store(taken.bounds_.max, std::memory_order_relaxed);
    const uint32_t limit =
        Share(entry.adaptive.Get(taken.bounds_), kAdaptiveSharePercent[static_cast<size_t>(priority)]);
    if (!entry.Take(limit)) {
      Refusal refused = refusal(Limit::kAdaptiveConcurrency, limit, limits.adaptive_bounds.max, entry);
      entry.Unpin();
      return refused;
    }
    taken.adaptive_ = &entry;
  }
  if (limits.requests_per_second > 0) {
    const RateLimit rate = RateLimit::Of(limits.requests_per_second, limits.burst, proxies);
    const Duration wait = taken.declared_->rate.Take(rate, now);
    if (wait != Duration(0)) {
      Refusal refused =
          refusal(Limit::kRate, limits.requests_per_second / proxies, limits.requests_per_second, *taken.declared_);
      refused.wait = wait;
      return refused;
    }
  }
  lease = std::move(taken);
  return {};
}

Entry& WorkerLimits::Find(const Key& key, Time now) {
  const uint64_t hash = Hash(key);
  auto& set = slots_[hash % kSets];
  const int64_t now_ns = std::chrono::nanoseconds(now.time_since_epoch()).count();
  Slot* place = nullptr;
  for (Slot& slot : set) {
    if (slot.entry == nullptr || slot.hash != hash) continue;
    place = &slot;
    if (now >= slot.until || !slot.entry->PinIf(slot.generation)) break;
    if (!IsOf(*slot.entry, key)) {
      slot.entry->Unpin();
      break;
    }
    slot.entry->used_ns.store(now_ns, std::memory_order_relaxed);
    return *slot.entry;
  }
  if (place == nullptr) place = &set[next_way_++ % kWays];
  Entry& entry = table_.Pin(key, now);
  *place = {.hash = hash,
            .entry = &entry,
            .generation = entry.generation.load(std::memory_order_relaxed),
            .until = entry.shared ? now + kSharedFor : Time::max()};
  entry.used_ns.store(now_ns, std::memory_order_relaxed);
  return entry;
}

}  // namespace signalbox::limit
