#include "decide/snapshot.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/inline_hash.h"
#include "base/same_text.h"
#include "decide/objective.h"
#include "decide/snapshot_memory.h"

namespace signalbox::decide {

std::string_view Name(Reason reason) {
  constexpr std::array<std::string_view, 6> kNames = {"default",  "experiment",   "traffic_shift",
                                                      "fallback", "context_rule", "override"};
  return kNames[static_cast<size_t>(reason)];
}

Snapshot::Snapshot() : memory_(std::make_unique<Memory>()), index_(2) {}
Snapshot::~Snapshot() = default;

namespace {

constexpr size_t kCacheLineBytes = 64;
// More would push out what was asked for first.
constexpr size_t kFetchedBytesMax = 4096;

uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

// The rules lie side by side: asked for all at once, they come together, where the walk would wait for one after the
// other.
void Fetch(const Objective* objective, size_t bytes) {
  const auto* begin = reinterpret_cast<const char*>(objective);
  for (size_t at = 0; at < std::min(bytes, kFetchedBytesMax); at += kCacheLineBytes) __builtin_prefetch(begin + at);
}

}  // namespace

const Objective* Snapshot::FindObjective(std::string_view name) const {
  const uint64_t hash = InlineStableHash64(name);
  const size_t mask = index_.size() - 1;
  for (size_t at = hash & mask; index_[at].objective != nullptr; at = (at + 1) & mask) {
    const IndexSlot& slot = index_[at];
    if (slot.tag != TagOf(hash)) continue;
    Fetch(slot.objective, slot.bytes);
    if (SameText(slot.objective->name, name)) return slot.objective;
  }
  return nullptr;
}

void Snapshot::IndexObjectives() {
  index_.assign(std::bit_ceil(std::max<size_t>(2, 2 * objectives_.size())), {});
  const size_t mask = index_.size() - 1;
  for (const Objective* objective : objectives_) {
    const uint64_t hash = StableHash64(objective->name);
    size_t at = hash & mask;
    while (index_[at].objective != nullptr) at = (at + 1) & mask;
    index_[at] = {.tag = TagOf(hash), .bytes = objective->bytes, .objective = objective};
  }
}

std::vector<std::string_view> Snapshot::ObjectiveNames() const {
  std::vector<std::string_view> names;
  names.reserve(objectives_.size());
  for (const Objective* objective : objectives_) names.push_back(objective->name);
  std::sort(names.begin(), names.end());
  return names;
}

bool Snapshot::NamesModel(std::string_view id) const {
  if (models_by_id_.contains(id)) return true;
  return std::any_of(models_.begin(), models_.end(), [&](const auto& model) { return model->name == id; });
}

}  // namespace signalbox::decide
