#include "assign/placing.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace signalbox::assign {
namespace {

constexpr size_t kVictimsMax = 3;       // that leave one shard at once
constexpr size_t kWaysMax = 64;         // to make room for one bundle that are tried, cheapest first
constexpr size_t kWaysDeeperMax = 12;   // the same where room is made for what makes room
constexpr size_t kPairsOfShardMax = 8;  // slices of a shard that are looked at in pairs
constexpr int64_t kWorkOfBundleMax = 60'000;

}  // namespace

struct Placing::Way {
  int shard = 0;
  std::vector<Bundle> victims;
  int moves = 0;     // that it costs at least
  double waste = 0;  // size of what has to go
};

double SizeOf(const Problem& problem, const Bundle& bundle) {
  return std::max(static_cast<double>(MemoryOf(problem, bundle)) / problem.memory_mean(),
                  static_cast<double>(LoadOf(problem, bundle)) / problem.load_limit_mean());
}

Placing::Placing(Layout& layout, const Strategy& strategy, int64_t work_max)
    : layout_(layout), problem_(layout.problem()), strategy_(strategy), work_left_(work_max) {}

// SplitMix64's finaliser: the same everywhere.
uint64_t Placing::Draw(uint64_t a, uint64_t b) const {
  uint64_t x = strategy_.seed * 0x9e3779b97f4a7c15u + a * 0xbf58476d1ce4e5b9u + b + 1;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

double Placing::KeyOf(const Bundle& bundle) const {
  const auto first = static_cast<uint64_t>(bundle[0]);
  switch (strategy_.order) {
    case Strategy::Order::kById:
      return bundle[0];
    case Strategy::Order::kShuffled:
      return static_cast<double>(Draw(first, 0) >> 11);
    case Strategy::Order::kSmallestFirst:
      return SizeOf(problem_, bundle);
    case Strategy::Order::kLargestFirst:
      break;
  }
  // What is alone needs a whole shard: before all that would take it.
  const bool exclusive =
      std::any_of(bundle.begin(), bundle.end(), [&](int m) { return problem_.model(m).model->exclusive; });
  constexpr double kShard = 1e6;
  return -SizeOf(problem_, bundle) - (exclusive ? kShard : 0);
}

void Placing::Sort(std::vector<Bundle>& bundles) const {
  std::vector<std::pair<double, size_t>> keys;
  for (size_t i = 0; i < bundles.size(); ++i) keys.emplace_back(KeyOf(bundles[i]), i);
  std::sort(keys.begin(), keys.end());
  std::vector<Bundle> sorted;
  sorted.reserve(bundles.size());
  for (const auto& [key, i] : keys) sorted.push_back(std::move(bundles[i]));
  bundles = std::move(sorted);
}

void Placing::Sort(std::vector<RepairTask>& tasks) const {
  // Now and then in any order at all: sometimes what is to leave a shard has to go before what is nowhere.
  const bool mixed = strategy_.seed % 2 == 1;
  using Key = std::tuple<RepairTask::Kind, double, size_t>;
  std::vector<Key> keys;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const RepairTask& task = tasks[i];
    double key = task.models.empty() ? task.shard : KeyOf(task.models);
    if (mixed) key = static_cast<double>(Draw(i, 1) >> 11);
    keys.emplace_back(mixed ? RepairTask::kNone : task.kind, key, i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<RepairTask> sorted;
  sorted.reserve(tasks.size());
  for (const Key& key : keys) sorted.push_back(std::move(tasks[std::get<2>(key)]));
  tasks = std::move(sorted);
}

// Whether the bundle would rather be on `s` than on `than`, both of which it fits.
bool Placing::Better(const Bundle& bundle, int s, int than) const {
  const auto ties = [&](int shard) {
    int wanted = 0;
    int homes = 0;
    int dependents = 0;  // that are there, or were, and would have to come after it elsewhere
    for (const int m : bundle) {
      const ModelFacts& facts = problem_.model(m);
      wanted += std::binary_search(facts.wanted.begin(), facts.wanted.end(), shard) ? 1 : 0;
      homes += problem_.IsHome(m, shard) ? 1 : 0;
      for (const int other : facts.dependents) {
        dependents += layout_.On(other, shard) || problem_.IsHome(other, shard) ? 1 : 0;
      }
    }
    return std::array<int, 3>{-wanted, -homes, -dependents};
  };
  const std::array<int, 3> here = ties(s);
  const std::array<int, 3> there = ties(than);
  if (here != there) return here < there;
  if (strategy_.target == Strategy::Target::kShuffled) {
    const auto first = static_cast<uint64_t>(bundle[0]);
    return Draw(first, static_cast<uint64_t>(s) + 7) < Draw(first, static_cast<uint64_t>(than) + 7);
  }
  const Sum memory = MemoryOf(problem_, bundle);
  const Sum load = LoadOf(problem_, bundle);
  const std::tuple a(layout_.Utilisation(s, load), layout_.MemoryUse(s, memory), layout_.ModelsOn(s).size());
  const std::tuple b(layout_.Utilisation(than, load), layout_.MemoryUse(than, memory), layout_.ModelsOn(than).size());
  if (a == b) return s < than;
  if (strategy_.target == Strategy::Target::kLeastLoad) return a < b;
  const double full_here = std::max(std::get<0>(a), std::get<1>(a));
  const double full_there = std::max(std::get<0>(b), std::get<1>(b));
  return full_here > full_there || (full_here == full_there && s < than);
}

int Placing::BestTarget(const Bundle& bundle) {
  int best = -1;
  work_left_ -= problem_.shard_count() * static_cast<int64_t>(bundle.size());
  for (int s = 0; s < problem_.shard_count(); ++s) {
    if (layout_.Fits(bundle, s) && (best < 0 || Better(bundle, s, best))) best = s;
  }
  return best;
}

bool Placing::Place(const Bundle& bundle, int depth) {
  if (const int s = BestTarget(bundle); s >= 0) {
    layout_.Put(bundle, s);
    return true;
  }
  const int64_t after = std::max<int64_t>(0, work_left_ - kWorkOfBundleMax);
  const int64_t saved = work_left_ > after ? after : 0;
  work_left_ -= saved;  // what is left for others
  bool placed = false;
  for (int deep = 1; deep <= depth && !placed; ++deep) placed = MakeRoom(bundle, deep);
  work_left_ += saved;
  return placed;
}

// Adds the sets of slices whose leaving would make room for the bundle on the shard.
void Placing::FindWays(const Bundle& bundle, int s, bool pairs, std::vector<Way>& ways) {
  if (!layout_.FitsKind(bundle, s)) return;
  const Sum memory = MemoryOf(problem_, bundle);
  const Sum load = LoadOf(problem_, bundle);
  const ShardFacts& shard = problem_.shard(s);
  if ((shard.memory != 0 && memory > shard.memory) || load > shard.load_limit) return;

  const int component = problem_.model(bundle[0]).component;
  Way forced{.shard = s, .victims = {}};
  struct Slice {
    Bundle bundle;
    Sum memory;
    Sum load;
    int moves;
    double size;
  };
  std::vector<Slice> slices;
  Sum forced_memory = 0;
  Sum forced_load = 0;
  const auto add = [&](Way& way, const Slice& slice) {
    way.victims.push_back(slice.bundle);
    way.moves += slice.moves;
    way.waste += slice.size;
  };
  for (Bundle& its : layout_.SlicesOn(s)) {
    if (problem_.model(its[0]).component == component) {
      const auto conflicts = [&](int resident) {
        return std::any_of(bundle.begin(), bundle.end(), [&](int m) { return !problem_.MayShare(m, resident); });
      };
      if (std::any_of(its.begin(), its.end(), conflicts)) return;
      continue;
    }
    Slice slice{.bundle = std::move(its), .memory = 0, .load = 0, .moves = 0, .size = 0};
    slice.memory = MemoryOf(problem_, slice.bundle);
    slice.load = LoadOf(problem_, slice.bundle);
    slice.size = static_cast<double>(slice.memory) / static_cast<double>(std::max<uint64_t>(shard.memory, 1)) +
                 static_cast<double>(slice.load) / static_cast<double>(std::max<int64_t>(shard.load_limit, 1));
    bool must_go = false;
    for (const int m : slice.bundle) {
      if (problem_.IsHome(m, s)) ++slice.moves;
      must_go = must_go || std::any_of(bundle.begin(), bundle.end(), [&](int b) { return !problem_.MayShare(b, m); });
    }
    if (must_go) {
      if (forced.victims.size() == kVictimsMax) return;
      add(forced, slice);
      forced_memory += slice.memory;
      forced_load += slice.load;
    } else {
      slices.push_back(std::move(slice));
    }
  }
  // Slices are collected and sorted, which costs as much as some comparisons.
  constexpr int64_t kWorkOfSlice = 4;
  work_left_ -= kWorkOfSlice * static_cast<int64_t>(slices.size()) + 1;
  const auto enough = [&](Sum more_memory, Sum more_load) {
    return layout_.HasRoom(memory - forced_memory - more_memory, load - forced_load - more_load, s);
  };
  if (enough(0, 0)) {
    if (!forced.victims.empty()) ways.push_back(std::move(forced));
    return;
  }
  // Cheap and small ones first; bundles break ties, so that the order of coming does not matter.
  std::sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) {
    return std::tie(a.moves, a.size, a.bundle) < std::tie(b.moves, b.size, b.bundle);
  });
  std::vector<const Slice*> small;
  for (const Slice& slice : slices) {
    if (enough(slice.memory, slice.load)) {
      Way way = forced;
      add(way, slice);
      ways.push_back(std::move(way));
    } else {
      small.push_back(&slice);
    }
  }
  if (!pairs || forced.victims.size() + 2 > kVictimsMax) return;
  // The larger ones of those that are too small alone.
  std::sort(small.begin(), small.end(), [](const Slice* a, const Slice* b) {
    return std::tie(a->moves, b->size, a->bundle) < std::tie(b->moves, a->size, b->bundle);
  });
  if (small.size() > kPairsOfShardMax) small.resize(kPairsOfShardMax);
  for (size_t i = 0; i < small.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!enough(small[i]->memory + small[j]->memory, small[i]->load + small[j]->load)) continue;
      Way way = forced;
      add(way, *small[i]);
      add(way, *small[j]);
      ways.push_back(std::move(way));
    }
  }
}

bool Placing::Take(const Bundle& bundle, const Way& way, int depth) {
  const size_t mark = layout_.Mark();
  for (const Bundle& victim : way.victims) layout_.Take(victim, way.shard);
  if (!layout_.Fits(bundle, way.shard)) {
    layout_.Rollback(mark);
    return false;
  }
  layout_.Put(bundle, way.shard);
  // The large ones first: they have the fewest places to go to.
  std::vector<Bundle> victims = way.victims;
  std::stable_sort(victims.begin(), victims.end(),
                   [&](const Bundle& a, const Bundle& b) { return SizeOf(problem_, a) > SizeOf(problem_, b); });
  for (const Bundle& victim : victims) {
    bool placed = false;
    if (const int s = BestTarget(victim); s >= 0) {
      layout_.Put(victim, s);
      placed = true;
    } else if (depth > 1) {
      placed = MakeRoom(victim, depth - 1);
    }
    if (!placed && others_may_shed_) {
      placed = std::none_of(victim.begin(), victim.end(),
                            [&](int m) { return layout_.ShardsOf(m).empty() || !problem_.model(m).placed_before; });
    }
    if (!placed) {
      layout_.Rollback(mark);
      return false;
    }
  }
  return true;
}

bool Placing::MakeRoom(const Bundle& bundle, int depth) {
  if (work_left_ <= 0) return false;
  std::vector<Way> ways;
  work_left_ -= problem_.shard_count();
  for (int s = 0; s < problem_.shard_count() && work_left_ > 0; ++s) FindWays(bundle, s, true, ways);
  std::stable_sort(ways.begin(), ways.end(), [](const Way& a, const Way& b) {
    return std::tuple(a.moves, a.victims.size(), a.waste, a.shard) <
           std::tuple(b.moves, b.victims.size(), b.waste, b.shard);
  });
  const size_t ways_max = depth == 1 ? kWaysMax : kWaysDeeperMax;
  for (size_t i = 0; i < ways.size() && i < ways_max && work_left_ > 0; ++i) {
    if (Take(bundle, ways[i], depth)) return true;
  }
  return false;
}

bool Placing::PlaceWhole(int m, int depth) {
  const size_t mark = layout_.Mark();
  while (layout_.Missing(m) > 0) {
    if (Place({m}, depth)) continue;
    layout_.Rollback(mark);
    return false;
  }
  return true;
}

// The i-th shard gets all models of the component that need more than i of them.
bool Placing::PlaceTogether(const std::vector<int>& component, int depth) {
  const size_t mark = layout_.Mark();
  for (int i = 0;; ++i) {
    Bundle bundle;
    for (const int m : component) {
      if (problem_.model(m).replicas > i) bundle.push_back(m);
    }
    if (bundle.empty()) return true;
    if (Place(bundle, depth)) continue;
    layout_.Rollback(mark);
    return false;
  }
}

// Takes what the model requires to a shard where there is room for all.
bool Placing::PlaceWithSlice(int m, int depth) {
  const std::vector<int>& required = problem_.model(m).required;
  if (required.empty() || work_left_ <= 0) return false;
  std::vector<int> shards = layout_.ShardsOf(required[0]);
  std::sort(shards.begin(), shards.end());
  for (const int s : shards) {
    Bundle bundle = layout_.Slice(required[0], s);
    if (std::find(bundle.begin(), bundle.end(), m) != bundle.end()) continue;
    const size_t mark = layout_.Mark();
    layout_.Take(bundle, s);
    bundle.push_back(m);
    if (Place(bundle, depth)) return true;
    layout_.Rollback(mark);
  }
  return false;
}

void Placing::PlaceComponent(const std::vector<int>& component, int depth) {
  std::vector<int> possible;
  bool untouched = true;
  for (const int m : component) {
    untouched = untouched && layout_.ShardsOf(m).empty();
    if (problem_.model(m).impossible.empty()) possible.push_back(m);
  }
  if (untouched && !possible.empty() && PlaceTogether(possible, depth)) return;
  for (const int m : possible) {
    if (layout_.Missing(m) <= 0 || PlaceWhole(m, depth)) continue;
    const bool some_will_do = problem_.model(m).placed_before;
    const size_t mark = layout_.Mark();
    bool placed = true;
    while (placed && layout_.Missing(m) > 0) placed = Place({m}, depth) || PlaceWithSlice(m, depth);
    if (!placed && some_will_do && layout_.ShardsOf(m).empty()) {
      others_may_shed_ = true;
      Place({m}, 1);
      others_may_shed_ = false;
    }
    if (!placed && !some_will_do) layout_.Rollback(mark);
  }
}

}  // namespace signalbox::assign
