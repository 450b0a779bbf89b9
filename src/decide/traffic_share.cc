#include "decide/traffic_share.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "decide/arena.h"

namespace signalbox::decide {
namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

// Neither is negative.
int64_t Later(int64_t time, int64_t by) { return time > kForever - by ? kForever : time + by; }

}  // namespace

uint32_t ShareAt(const v1::TrafficShift& shift, const v1::ShiftSetting* setting, int64_t now_unix_ms) {
  if (setting != nullptr && setting->has_share_ppm()) return setting->share_ppm();
  // Also where the rules do not have the schedule any more: who pauses wants nobody to move until it is resumed.
  if (setting != nullptr && setting->has_paused()) return setting->paused().share_ppm();
  if (!shift.has_schedule()) return shift.share_ppm();
  const int64_t delay = setting != nullptr && setting->has_delay_ms() ? std::max<int64_t>(0, setting->delay_ms()) : 0;
  int64_t step_begins = Later(shift.schedule().start_unix_ms(), delay);
  uint32_t share = 0;
  for (const v1::RampStep& step : shift.schedule().steps()) {
    if (now_unix_ms == 0 || now_unix_ms < step_begins) break;
    share = step.share_ppm();
    step_begins = Later(step_begins, step.hold_ms());
  }
  return share;
}

const v1::ShiftSetting* FindSetting(const v1::TrafficSettings& settings, std::string_view shift) {
  for (const v1::ShiftSetting& setting : settings.shifts()) {
    if (setting.shift() == shift) return &setting;
  }
  return nullptr;
}

TrafficRamp TrafficRamp::Make(const v1::TrafficShift& shift, const v1::ShiftSetting* setting,
                              std::pmr::memory_resource& memory) {
  TrafficRamp ramp;
  // Before the schedule begins, and where none is followed.
  ramp.share_ppm = decide::ShareAt(shift, setting, 0);
  const bool is_fixed = setting != nullptr && (setting->has_share_ppm() || setting->has_paused());
  if (is_fixed || !shift.has_schedule()) return ramp;
  const int64_t delay = setting != nullptr && setting->has_delay_ms() ? std::max<int64_t>(0, setting->delay_ms()) : 0;
  std::vector<Step> steps;
  int64_t begins = Later(shift.schedule().start_unix_ms(), delay);
  for (const v1::RampStep& step : shift.schedule().steps()) {
    steps.push_back({.from_unix_ms = begins, .share_ppm = step.share_ppm()});
    begins = Later(begins, step.hold_ms());
  }
  ramp.steps = NewCopy(steps, memory);
  return ramp;
}

}  // namespace signalbox::decide
