// The cells of an experiment, with their models, parameters and weights.
#pragma once

#include "rules/rule_reading.h"

namespace signalbox::rules {

// Reads `cellToModel`, `cellParameters` and `cellWeights`. `experiment` has its hash version.
void ReadCells(RuleReading& reading, v1::Experiment& experiment);

}  // namespace signalbox::rules
