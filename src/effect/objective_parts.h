// The rules of an Objective, taken apart into parts whose decisions have nothing to do with one another.
//
// Experiments that set parameters only leave the model, and all other layers, as they are: what their layer comes to
// can be followed by itself. So the ways to go of fifteen layers are added up, not multiplied.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "decide/objective.h"
#include "effect/path_result.h"

namespace signalbox::effect {

struct ObjectivePart {
  // As the Objectives that it is a part of, with its experiments only. Points into this and into them.
  decide::Objective before;
  decide::Objective after;
  std::vector<decide::CompiledExperiment> experiments_before;
  std::vector<decide::CompiledExperiment> experiments_after;
  // What it alone decides; of the first part: all that no other one does.
  std::set<Aspect> aspects;

  ObjectivePart() = default;
  ObjectivePart(const ObjectivePart&) = delete;
  ObjectivePart& operator=(const ObjectivePart&) = delete;
};

// The first has the model and everything else that is not a layer's own. Each aspect of a decision is decided by one
// part; how two aspects go together is not kept.
std::vector<std::unique_ptr<ObjectivePart>> PartsOf(const decide::Objective& before, const decide::Objective& after);

// Whether `part`, of these parts, is the one that decides it.
bool Decides(const std::vector<std::unique_ptr<ObjectivePart>>& parts, const ObjectivePart& part, const Aspect& aspect);

}  // namespace signalbox::effect
