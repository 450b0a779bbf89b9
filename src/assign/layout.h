// Which models are on which shards while an assignment is looked for, and what fits where. Can be rolled back.
#pragma once

#include <cstdint>
#include <vector>

#include "assign/problem.h"

namespace signalbox::assign {

// Models that come to a shard together, each after those that it requires.
using Bundle = std::vector<int>;

class Layout {
 public:
  explicit Layout(const Problem& problem);

  const Problem& problem() const { return *problem_; }
  const std::vector<int>& ShardsOf(int m) const { return shards_of_[static_cast<size_t>(m)]; }  // in no order
  const std::vector<int>& ModelsOn(int s) const { return on_[static_cast<size_t>(s)].models; }  // in no order
  bool On(int m, int s) const;
  Sum MemoryOn(int s) const { return on_[static_cast<size_t>(s)].memory; }
  Sum LoadOn(int s) const { return on_[static_cast<size_t>(s)].load; }
  // Of the shard's capacity, with so much more load. 0 where there is no live host.
  double Utilisation(int s, Sum more = 0) const;
  double MemoryUse(int s, Sum more = 0) const;
  double HighestUtilisation() const;
  bool Overfull(int s) const;

  void Put(int m, int s);
  void Take(int m, int s);
  void Put(const Bundle& bundle, int s);
  void Take(const Bundle& bundle, int s);
  // Everything since the mark is undone.
  size_t Mark() const { return journal_.size(); }
  void Rollback(size_t mark);

  // The conditions of kind: accelerator, namespaces, pins, zones, and nobody there that it may not be with.
  bool MayBeOn(int m, int s) const;
  bool ZoneIsFree(int m, int s) const;
  // Whether all of `bundle` can come to the shard now.
  bool Fits(const Bundle& bundle, int s) const;
  // The same but for how full the shard is and who is there.
  bool FitsKind(const Bundle& bundle, int s) const;
  bool HasRoom(Sum memory, Sum load, int s) const;
  // All models of the component of `m` on the shard: what has to go together.
  Bundle Slice(int m, int s) const;
  // All on the shard, in such slices.
  std::vector<Bundle> SlicesOn(int s) const;

  // Replicas on shards where they were not, of models that were placed before.
  int moves() const { return moves_; }
  // Replicas of placed models that are where they should not stay, without what they require, or not there at all.
  int64_t Trouble() const;
  int TroubleOn(int s) const;
  bool LacksRequired(int m, int s) const;
  int Missing(int m) const { return problem_->model(m).replicas - static_cast<int>(ShardsOf(m).size()); }

 private:
  struct OnShard {
    std::vector<int> models;
    Sum memory = 0;
    Sum load = 0;
    int exclusives = 0;
  };
  struct Change {
    int model;
    int shard;
    bool put;
  };
  void Apply(int m, int s, bool put);

  const Problem* problem_;
  std::vector<OnShard> on_;
  std::vector<std::vector<int>> shards_of_;
  std::vector<Change> journal_;
  int moves_ = 0;
  mutable std::vector<uint64_t> marks_;  // by model: of the bundle that is looked at if it is the newest
  mutable uint64_t newest_mark_ = 0;
};

Sum MemoryOf(const Problem& problem, const Bundle& bundle);
Sum LoadOf(const Problem& problem, const Bundle& bundle);

}  // namespace signalbox::assign
