// Which rules can be reached by any request, at any time from now on.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "decide/objective.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::effect {

// What is found out of all Objectives together: a rule may be for several.
struct Reach {
  // Rules that give something to somebody, and rules of Objectives that were too much to follow.
  std::set<const void*> rules;
  // Conditions of rules that can hold at all.
  std::set<const void*> can_hold;
  // An experiment with models that was passed by for another one.
  std::set<std::pair<const v1::Experiment*, const v1::Experiment*>> competing;
  // Cells with a weight into which no bucket of GrowthBook's hashes falls.
  std::set<const v1::Cell*> without_bucket;
  // Experiments and layers by hashVersion 1 with the same unit, which may apply to one request: one, and one before it.
  std::map<const v1::Experiment*, const v1::Experiment*> dependent_experiments;
  std::map<const v1::Layer*, const v1::Layer*> dependent_layers;
  // Of Objectives whose rules were not followed, why.
  std::map<const v1::Objective*, std::string> not_followed;
};

// Adds what is found of `objective`, now and at every later time at which its rules change what they do.
void AddReach(const decide::Objective& objective, int64_t now_unix_ms, Reach& reach);

}  // namespace signalbox::effect
