// What was placed before stays where it is, as far as it may, and goes elsewhere only where it must.
#pragma once

#include "assign/placing.h"

namespace signalbox::assign {

// Puts the replicas of models that were placed before where they were: all that the conditions of kind allow, however
// full the shards are then.
// Of an exclusive model and its company one has to go: the fewer, or if so asked the company.
void Keep(Layout& layout, bool exclusive_stays);

// Finds places for those that lost theirs, and takes replicas away from shards that are draining or overfull. What can
// go nowhere else stays.
void Repair(Layout& layout, Placing& placing, int depth);

}  // namespace signalbox::assign
