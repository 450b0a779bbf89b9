// Which fields of a request tell its unit apart, for whatever makes requests up.
#pragma once

#include <string>
#include <vector>

#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::effect {

// `user`, and every other field that an experiment, a shift, a layer or a holdout has as its unit, sorted. Without
// `traffic_type`, which has few values.
std::vector<std::string> UnitFields(const v1::Snapshot& snapshot);

}  // namespace signalbox::effect
