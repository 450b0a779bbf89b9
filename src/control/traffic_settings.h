// What operators set of a namespace's traffic shifts, beside the rules: what is in effect because of it, and what each
// command makes of it. Pure; time comes in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decide/traffic_share.h"
#include "signalbox/v1/rules.pb.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::control {

// INVALID_ARGUMENT: they are not of `namespace_name`, or hold what ChangeSettings never makes.
absl::Status CheckTrafficSettings(const v1::TrafficSettings& settings, std::string_view namespace_name);

// Those of shifts that `rules` have.
v1::TrafficSettings SettingsWithEffect(const v1::TrafficSettings& settings, const v1::RuleSet& rules);

// nullptr when there is none.
const v1::TrafficShift* FindShift(const v1::RuleSet& rules, std::string_view id);
using decide::FindSetting;

// A traffic shift at one moment.
struct ShiftState {
  uint32_t share_ppm = 0;        // in effect
  uint32_t rules_share_ppm = 0;  // what would be without a setting
  struct Step {
    int64_t at_unix_ms = 0;
    uint32_t share_ppm = 0;
  };
  // Of a schedule that goes on. None where there is no schedule, where it stands still, and after its last step.
  std::optional<Step> next;
};
// `setting` is nullptr where there is none.
ShiftState StateOf(const v1::TrafficShift& shift, const v1::ShiftSetting* setting, int64_t now_unix_ms);

// What a person asks for. A schedule that is, or was, paused stands still at this share and keeps its delay for Resume.
struct FixShare {
  uint32_t share_ppm = 0;
};
// The schedule stands still at what it has reached.
struct PauseSchedule {};
// A paused schedule goes on, as much later as it was paused; a share that was set is taken away.
struct Resume {
  // Takes every setting of the shift away: the schedule is where the rules say.
  bool without_delay = false;
};
using ShiftCommand = std::variant<FixShare, PauseSchedule, Resume>;

// `settings` after `command` on the shift `id`. The same settings where it is so already: each command can be repeated.
// INVALID_ARGUMENT: the rules have no such shift (with the nearest name), or there is nothing to pause.
absl::StatusOr<v1::TrafficSettings> ChangeSettings(const v1::RuleSet& rules, v1::TrafficSettings settings,
                                                   std::string_view id, const ShiftCommand& command,
                                                   int64_t now_unix_ms);

// "set to 25 %", "paused at 10 %", "2 h 5 min behind its schedule".
std::string SettingText(const v1::ShiftSetting& setting);

}  // namespace signalbox::control
