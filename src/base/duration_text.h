// Durations as people are told them.
#pragma once

#include <cstdint>
#include <string>

namespace signalbox {

// "2 h 5 min", "45 s", "999 ms": the two largest units; what is smaller is left out.
std::string DurationText(int64_t ms);

}  // namespace signalbox
