// What is there and what is wanted, checked, sorted and numbered: what the search of an assignment works on.
//
// Amounts are whole numbers, so that sums do not depend on the order of adding: bytes, and load in billionths of a
// core. A load or capacity that is not a number, or negative, counts as 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assign/assignment.h"

namespace signalbox::assign {

// Holds the sum of as many 64-bit amounts as fit in memory.
__extension__ using Sum = __int128;

// Whether a shard is of the kind that a model may be on at all, however full it is.
enum class Kind { kRight, kPinnedElsewhere, kAccelerator, kNamespaces };

struct ShardFacts {
  const Shard* shard = nullptr;
  int zone = 0;
  uint64_t memory = 0;   // 0: not checked
  int64_t capacity = 0;  // billionths of a core; 0: no live host
  int64_t load_limit = 0;
};

struct ModelFacts {
  const Model* model = nullptr;
  // On how many shards: at least as many as each model that requires it, and all that those are pinned to.
  int replicas = 1;
  uint64_t memory = 0;
  int64_t share = 0;            // of the load, of each replica
  std::vector<int> required;    // models, sorted
  std::vector<int> dependents;  // models that require it, sorted
  std::vector<int> wanted;      // shards that it must be on, since what requires it is pinned there; sorted
  std::vector<int> related;     // of an exclusive one: models that it may share a shard with, sorted
  std::vector<int> homes;       // shards where it was that are there and of the right kind, sorted
  int rank = 0;                 // in required_first()
  int component = 0;            // models tied by `required`, directly or not, have the same
  int kind = 0;
  bool placed_before = false;
  bool needed_before = false;  // it or what requires it was placed before
  std::string flaw;            // of its declaration. A new one is impossible with it; what was placed keeps its place
  std::string impossible;      // not empty: can be on no shard, whatever is free
};

class Problem {
 public:
  Problem(std::vector<Shard> shards, std::vector<Model> models, const Assignment& current, const Options& options);
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  int shard_count() const { return static_cast<int>(shards_.size()); }
  int model_count() const { return static_cast<int>(models_.size()); }
  const ShardFacts& shard(int s) const { return shards_[static_cast<size_t>(s)]; }
  const ModelFacts& model(int m) const { return models_[static_cast<size_t>(m)]; }
  // All models: each after those that it requires. Those of a cycle stand together.
  const std::vector<int>& required_first() const { return required_first_; }
  // Models of a component, each after those that it requires.
  const std::vector<std::vector<int>>& components() const { return components_; }

  bool RightKind(int m, int s) const {
    return kinds_[static_cast<size_t>(model(m).kind)][static_cast<size_t>(s)] == static_cast<uint8_t>(Kind::kRight);
  }
  Kind KindOn(int m, int s) const {
    return static_cast<Kind>(kinds_[static_cast<size_t>(model(m).kind)][static_cast<size_t>(s)]);
  }
  bool IsHome(int m, int s) const;
  // Whether both may be on one shard: neither is exclusive, or they need one another.
  bool MayShare(int a, int b) const;
  // What an average shard has; at least 1.
  double memory_mean() const { return memory_mean_; }
  double load_limit_mean() const { return load_limit_mean_; }
  // -1: there is none.
  int FindShard(std::string_view name) const;
  int FindModel(std::string_view id) const;

 private:
  void ReadShards(const Options& options);
  void ReadModels(const Assignment& current);
  void OrderByRequired();
  void TieComponents();
  void PassOnToRequired();
  void FindKinds();
  void FindRelated();
  void FindHomes(const Assignment& current);
  void FindImpossible();

  std::vector<Shard> given_shards_;
  std::vector<Model> given_models_;
  std::vector<ShardFacts> shards_;
  std::vector<ModelFacts> models_;
  double memory_mean_ = 1;
  double load_limit_mean_ = 1;
  std::vector<int> required_first_;
  std::vector<int> cycle_;  // of each model: those with the same number require one another
  std::vector<std::vector<int>> components_;
  std::vector<std::vector<uint8_t>> kinds_;  // models that differ in nothing that matters share one; by shard
};

}  // namespace signalbox::assign
