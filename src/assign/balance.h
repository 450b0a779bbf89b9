// Betters an assignment in which all that can be placed is: fewer moves, less difference between shards.
#pragma once

#include "assign/placing.h"

namespace signalbox::assign {

// Takes models that moved back to where they were, if need be by moving those that are free to be anywhere.
void ReturnHome(Layout& layout, Placing& placing);

// Lowers the utilisation of the fullest shards with replicas that are free to be anywhere: those of new models, and
// those that had to move.
void Balance(Layout& layout, int64_t work_max);

}  // namespace signalbox::assign
