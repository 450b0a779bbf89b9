// Shares that people write as fractions, as whole parts per million that add up exactly.
#pragma once

#include <cstdint>
#include <vector>

namespace signalbox::rules {

// `weights` add up to 1 within 1e-9, each from 0 to 1. The result adds up to exactly 1,000,000: every weight is rounded
// down and what is left goes, one part each, to those that lost most, the first of equals first.
std::vector<uint32_t> WeightsAsPpm(const std::vector<double>& weights);

}  // namespace signalbox::rules
