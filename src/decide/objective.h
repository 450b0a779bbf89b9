// The compiled rules of one Objective: what Decide walks through. Inside src/decide only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decide/snapshot.h"

namespace signalbox::decide {

struct CompiledCell {
  uint32_t end_bucket = 0;  // exclusive; the first cell whose end is above the unit's bucket is the unit's
  const Answer* answer = nullptr;
};

struct CompiledExperiment {
  std::string id;
  uint64_t allocation_seed = 0;
  uint64_t cell_seed = 0;
  uint32_t allocation_ppm = 0;
  std::vector<CompiledCell> cells;
  const v1::Experiment* rule = nullptr;
};

struct CompiledShift {
  uint64_t seed = 0;
  uint32_t share_ppm = 0;
  const Answer* answer = nullptr;
  const v1::TrafficShift* rule = nullptr;
};

struct Objective {
  std::string name;
  std::vector<CompiledExperiment> experiments;  // in the order they are asked
  std::vector<CompiledShift> shifts;            // at most one in valid rules
  const Answer* default_answer = nullptr;
  std::vector<const Answer*> fallbacks;
  const v1::Objective* rule = nullptr;
};

}  // namespace signalbox::decide
