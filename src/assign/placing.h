// Finds shards for models, and makes room for them by moving a few others.
#pragma once

#include <cstdint>
#include <vector>

#include "assign/layout.h"

namespace signalbox::assign {

// How shards and models are gone through. No single order is good for all inputs, so several are tried.
struct Strategy {
  enum class Order { kLargestFirst, kSmallestFirst, kById, kShuffled };
  enum class Target { kLeastLoad, kLeastRoom, kShuffled };
  Order order = Order::kLargestFirst;
  Target target = Target::kLeastLoad;
  uint64_t seed = 0;  // of what is shuffled
};

// One thing to put right about models that were placed before.
struct RepairTask {
  enum Kind { kNowhere, kFewer, kDraining, kOverfull, kNone };
  Kind kind = kNone;
  Bundle models;   // of a component that misses replicas
  int shard = -1;  // that is to be left
};

class Placing {
 public:
  // At most about so many comparisons of a bundle with a shard are made; after these only what fits directly is found.
  Placing(Layout& layout, const Strategy& strategy, int64_t work_max);

  // Puts `bundle` on one shard more. With `depth` 1 others may move to make room, with 2 also others for these, and so
  // on. False: the layout is as it was.
  bool Place(const Bundle& bundle, int depth);
  // As many replicas of the model as it misses; false and nothing changed where that cannot be done.
  bool PlaceWhole(int m, int depth);
  // All models of the component that are on no shard and may be: together where that can be, else one by one.
  void PlaceComponent(const std::vector<int>& component, int depth);
  // -1: it fits nowhere.
  int BestTarget(const Bundle& bundle);

  // In the order of the strategy, by what they need.
  void Sort(std::vector<Bundle>& bundles) const;
  void Sort(std::vector<RepairTask>& tasks) const;

  int64_t work_left() const { return work_left_; }

 private:
  struct Way;  // to make room on a shard
  bool MakeRoom(const Bundle& bundle, int depth);
  void FindWays(const Bundle& bundle, int s, bool pairs, std::vector<Way>& ways);
  bool Take(const Bundle& bundle, const Way& way, int depth);
  bool PlaceTogether(const std::vector<int>& component, int depth);
  bool PlaceWithSlice(int m, int depth);
  bool Better(const Bundle& bundle, int s, int than) const;
  double KeyOf(const Bundle& bundle) const;
  uint64_t Draw(uint64_t a, uint64_t b) const;

  Layout& layout_;
  const Problem& problem_;
  // For a model that lost all its shards: others that have several may do with one less.
  bool others_may_shed_ = false;
  Strategy strategy_;
  int64_t work_left_;
};

// What the bundle needs of an average shard, the scarcer of memory and load.
double SizeOf(const Problem& problem, const Bundle& bundle);

}  // namespace signalbox::assign
