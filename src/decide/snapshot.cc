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
constexpr size_t kFetchedLinesMax = 64;

// A slot of the index, from the lowest bit on: how many cache lines the Objective and its rules take (7 bits), a tag of
// its name (15), its address without the six bits that are zero in it (42, which is all that programs are given). 0:
// free.
constexpr int kTagShift = 7;
constexpr int kAddressShift = 22;
constexpr uint64_t kLines = (1U << kTagShift) - 1;
constexpr uint64_t kTag = (1U << kAddressShift) - 1 - kLines;
static_assert(alignof(Objective) == kCacheLineBytes && kFetchedLinesMax <= kLines);

// The highest bits of the hash; the lowest say where the search begins.
uint64_t TagOf(uint64_t hash) { return (hash >> (64 - kAddressShift)) & kTag; }

uint64_t SlotOf(const Objective& objective, uint64_t hash) {
  const size_t lines = std::min((objective.bytes + kCacheLineBytes - 1) / kCacheLineBytes, kFetchedLinesMax);
  return reinterpret_cast<uintptr_t>(&objective) / kCacheLineBytes << kAddressShift | TagOf(hash) | lines;
}

const Objective* ObjectiveOf(uint64_t slot) {
  return reinterpret_cast<const Objective*>((slot >> kAddressShift) * kCacheLineBytes);
}

// The rules lie side by side: asked for all at once, they come together, where the walk would wait for one after the
// other.
void Fetch(uint64_t slot) {
  const auto* line = reinterpret_cast<const char*>(ObjectiveOf(slot));
  for (uint64_t lines = slot & kLines; lines > 0; --lines, line += kCacheLineBytes) __builtin_prefetch(line);
}

}  // namespace

const Objective* Snapshot::FindObjective(std::string_view name) const {
  const uint64_t hash = InlineStableHash64(name);
  const size_t mask = index_.size() - 1;
  for (size_t at = hash & mask; index_[at] != 0; at = (at + 1) & mask) {
    const uint64_t slot = index_[at];
    if ((slot & kTag) != TagOf(hash)) continue;
    Fetch(slot);
    const Objective* objective = ObjectiveOf(slot);
    if (SameText(objective->name, name)) return objective;
  }
  return nullptr;
}

void Snapshot::IndexObjectives() {
  // At least half of the slots are free.
  index_.assign(std::bit_ceil(std::max<size_t>(2, 2 * objectives_.size())), 0);
  const size_t mask = index_.size() - 1;
  for (const Objective* objective : objectives_) {
    const uint64_t hash = StableHash64(objective->name);
    size_t at = hash & mask;
    while (index_[at] != 0) at = (at + 1) & mask;
    index_[at] = SlotOf(*objective, hash);
  }
}

void Snapshot::SortNames() {
  for (const Objective* objective : objectives_) objective_names_.push_back(objective->name);
  for (const auto& model : models_) model_names_.push_back(model->name);
  std::sort(objective_names_.begin(), objective_names_.end());
  std::sort(model_names_.begin(), model_names_.end());
}

bool Snapshot::NamesModel(std::string_view id) const {
  return models_by_id_.contains(id) || std::binary_search(model_names_.begin(), model_names_.end(), id);
}

}  // namespace signalbox::decide
