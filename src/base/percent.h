// Shares as people read and write them: percentages with at most four decimals are whole parts per million.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace signalbox {

// "10 %", "0.05 %", "33.3333 %".
std::string Percent(uint32_t share_ppm);

// "10", "0.05", "33.3333", each also with '%' behind it, exactly. INVALID_ARGUMENT for anything that is not from 0 to
// 100, or not a whole part per million.
absl::StatusOr<uint32_t> ParsePercent(std::string_view text);

}  // namespace signalbox
