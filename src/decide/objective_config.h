// What of a decision travels with the request, serialised. Inside src/decide only.
#pragma once

#include "decide/snapshot.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {

// Fills the serialised forms of `answer` from `config`. Deterministic: map entries in the order of their keys.
void SerializeInto(const v1::ObjectiveConfig& config, Answer& answer);

}  // namespace signalbox::decide
