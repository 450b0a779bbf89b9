// The rules of one Objective in the form that decisions are made from. Private to src/decide; made by the snapshot's
// compiler, read by Decide and Explain.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decide/snapshot.h"

namespace signalbox::decide {

// An answer, and what is tried after it: the Objective's fallbacks without the answer's own model.
struct Choice {
  const Answer* answer = nullptr;
  std::vector<const Answer*> fallbacks;
};

struct CompiledCell {
  // The cell has the buckets from the end of the cell before it (0 for the first) up to this one, exclusive.
  uint32_t bucket_end = 0;
  // Of a cell without a model: what it comes to when none of the Objective's shifts takes the user.
  Choice choice;
  // Of a cell without a model: what it comes to with each of the Objective's shifts. Else empty.
  std::vector<Choice> with_shift;
  const v1::Cell* rule = nullptr;
};

struct CompiledExperiment {
  uint64_t allocation_seed = 0;
  uint64_t cell_seed = 0;
  uint32_t allocation_ppm = 0;
  std::vector<CompiledCell> cells;
  const v1::Experiment* rule = nullptr;
};

struct CompiledShift {
  uint64_t seed = 0;
  uint32_t share_ppm = 0;
  // False where the Objective's default model is not the one that the rule shifts from.
  bool applies = true;
  Choice choice;
  const v1::TrafficShift* rule = nullptr;
};

struct Objective {
  // In the order in which they are asked: by priority, then by declaration.
  std::vector<CompiledExperiment> experiments;
  // In order of declaration.
  std::vector<CompiledShift> shifts;
  Choice default_choice;
  const v1::Objective* rule = nullptr;
  const v1::PublishedRuleSet* rule_set = nullptr;
};

}  // namespace signalbox::decide
