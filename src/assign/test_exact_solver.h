// The best assignment there is, by trying all: for a handful of shards and models. Knows nothing of the search that it
// judges; the conditions of assignment.h are written down here a second time.
#pragma once

#include <vector>

#include "assign/assignment.h"

namespace signalbox::assign {

// What assignment.h asks for, in its order.
struct Objective {
  int running = 0;           // models that are placed, and were on a shard that is there: as many as can be
  int lost = 0;              // models that are placed, and were on shards that are all gone: as many as can be
  int trouble = 0;           // as little as can be
  int placed_new = 0;        // as many as can be
  std::vector<bool> placed;  // by id: the first ones rather than the last
  int moves = 0;             // as few as can be
  double utilisation = 0;    // as low as can be

  // 0: the same, else the number of the first of these in which they differ: 1 to 7.
  int DiffersAt(const Objective& other) const;
  bool BetterThan(const Objective& other) const;
  // One number: 10 for each model that is placed, and off it 3 for each replica in trouble, 1 for each that moved, and
  // the highest utilisation as a number, 0.8 of a shard that is full. So one model less is 10 % of ten models, one move
  // too many 1 %, and a fullest shard at 80 % instead of 60 % is 0.2 %.
  double Value() const;
};

Objective Measure(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                  const Assignment& assignment);

// What is wrong with an assignment: conditions that it does not keep, one on a line. Empty: nothing.
std::string Violations(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                       const Assignment& assignment);

// False: given up after `nodes_max`.
bool SolveExactly(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                  int64_t nodes_max, Objective& best);

}  // namespace signalbox::assign
