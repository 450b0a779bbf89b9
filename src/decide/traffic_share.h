// Which share of its traffic a shift moves at a time: what the rules say, unless operators set something else.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string_view>

#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

// In parts per million. `setting` is what operators set of the shift; nullptr: nothing. `now_unix_ms` is 0 where the
// time is unknown, and then a scheduled shift has not begun. Pure.
uint32_t ShareAt(const v1::TrafficShift& shift, const v1::ShiftSetting* setting, int64_t now_unix_ms);

// nullptr when operators set nothing of it.
const v1::ShiftSetting* FindSetting(const v1::TrafficSettings& settings, std::string_view shift);

// The same, worked out in advance for every time.
struct TrafficRamp {
  struct Step {
    int64_t from_unix_ms = 0;
    uint32_t share_ppm = 0;
  };

  // Before the first step: all the time, where there is none.
  uint32_t share_ppm = 0;
  std::span<const Step> steps;

  static TrafficRamp Make(const v1::TrafficShift& shift, const v1::ShiftSetting* setting,
                          std::pmr::memory_resource& memory);

  uint32_t ShareAt(int64_t now_unix_ms) const {
    uint32_t share = share_ppm;
    if (now_unix_ms == 0) return share;
    for (const Step& step : steps) {
      if (now_unix_ms < step.from_unix_ms) break;
      share = step.share_ppm;
    }
    return share;
  }
};

}  // namespace signalbox::decide
