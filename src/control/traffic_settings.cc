#include "control/traffic_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include "api/rule_set.h"
#include "base/duration_text.h"
#include "base/nearest_name.h"
#include "base/percent.h"
#include "base/printable.h"
#include "base/status.h"

namespace signalbox::control {
namespace {

constexpr int64_t kDayMs = 24LL * 60 * 60 * 1000;
// A pause of ten years is a mistake; and sums of times stay far from their limits.
constexpr int64_t kDelayMsMax = 3650 * kDayMs;
// The end of the year 9999.
constexpr int64_t kUnixMsMax = 253'402'300'799'999;

absl::Status CheckShare(const v1::ShiftSetting& setting, uint32_t share_ppm) {
  if (share_ppm <= rule_set::kEverybodyPpm) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("traffic shift {}: a share of {} parts per million, expected at most {}", setting.shift(), share_ppm,
                  rule_set::kEverybodyPpm));
}

absl::Status CheckDelay(const v1::ShiftSetting& setting, int64_t delay_ms) {
  if (delay_ms >= 0 && delay_ms <= kDelayMsMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("traffic shift {}: a delay of {} ms, expected 0 to {}", setting.shift(), delay_ms, kDelayMsMax));
}

absl::Status CheckPaused(const v1::ShiftSetting& setting) {
  RETURN_IF_ERROR(CheckShare(setting, setting.paused().share_ppm()));
  const int64_t at_unix_ms = setting.paused().at_unix_ms();
  if (at_unix_ms < 0 || at_unix_ms > kUnixMsMax) {
    return absl::InvalidArgumentError(fmt::format("traffic shift {}: paused at {} ms since 1970, expected 0 to {}",
                                                  setting.shift(), at_unix_ms, kUnixMsMax));
  }
  return CheckDelay(setting, setting.paused().delay_ms());
}

absl::Status CheckSetting(const v1::ShiftSetting& setting) {
  if (!rule_set::IsName(setting.shift())) {
    return absl::InvalidArgumentError(fmt::format("a setting of '{}', which is no name of a traffic shift",
                                                  EscapeControlCharacters(setting.shift())));
  }
  switch (setting.setting_case()) {
    case v1::ShiftSetting::kSharePpm:
      return CheckShare(setting, setting.share_ppm());
    case v1::ShiftSetting::kDelayMs:
      return CheckDelay(setting, setting.delay_ms());
    case v1::ShiftSetting::kPaused:
      return CheckPaused(setting);
    case v1::ShiftSetting::SETTING_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(fmt::format("traffic shift {}: a setting that says nothing", setting.shift()));
}

// What comes next in a schedule that goes on.
std::optional<ShiftState::Step> NextStep(const v1::TrafficShift& shift, const v1::ShiftSetting* setting,
                                         int64_t now_unix_ms) {
  const bool stands_still = setting != nullptr && !setting->has_delay_ms();
  if (stands_still) return std::nullopt;
  int64_t step_at = shift.schedule().start_unix_ms() + (setting == nullptr ? 0 : setting->delay_ms());
  for (const v1::RampStep& step : shift.schedule().steps()) {
    if (now_unix_ms < step_at) return ShiftState::Step{.at_unix_ms = step_at, .share_ppm = step.share_ppm()};
    step_at += step.hold_ms();
  }
  return std::nullopt;
}

absl::Status NoSuchShift(const v1::RuleSet& rules, std::string_view id) {
  std::vector<std::string_view> names;
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) names.emplace_back(shift.id());
  const std::string_view near = NearestName(id, names);
  std::string help = ", they have no traffic shift at all";
  if (!near.empty()) {
    help = fmt::format(", did you mean \"{}\"?", near);
  } else if (!names.empty()) {
    constexpr size_t kNamesMax = 10;
    const bool all = names.size() <= kNamesMax;
    if (!all) names.resize(kNamesMax);
    help = fmt::format("; they have {}{}", fmt::join(names, ", "), all ? "" : ", ...");
  }
  return absl::InvalidArgumentError(fmt::format("traffic shift {}: not in the rules of namespace {} that run{}",
                                                EscapeControlCharacters(id), rules.namespace_(), help));
}

void Remove(v1::TrafficSettings& settings, std::string_view id) {
  auto& shifts = *settings.mutable_shifts();
  shifts.erase(std::remove_if(shifts.begin(), shifts.end(), [&](const auto& setting) { return setting.shift() == id; }),
               shifts.end());
}

v1::ShiftSetting& Replace(v1::TrafficSettings& settings, std::string_view id) {
  Remove(settings, id);
  settings.add_shifts()->set_shift(std::string(id));
  std::sort(settings.mutable_shifts()->begin(), settings.mutable_shifts()->end(),
            [](const auto& a, const auto& b) { return a.shift() < b.shift(); });
  for (v1::ShiftSetting& setting : *settings.mutable_shifts()) {
    if (setting.shift() == id) return setting;
  }
  return *settings.mutable_shifts(0);  // not reached
}

absl::Status Pause(const v1::TrafficShift& shift, v1::TrafficSettings& settings, int64_t now_unix_ms) {
  const v1::ShiftSetting* setting = FindSetting(settings, shift.id());
  if (setting != nullptr && setting->has_paused()) return absl::OkStatus();
  if (setting != nullptr && setting->has_share_ppm()) {
    return absl::InvalidArgumentError(fmt::format(
        "traffic shift {} is set to {}, so there is nothing to pause: it stays there; `signalbox traffic resume {}` "
        "lets the rules count again{}",
        shift.id(), Percent(setting->share_ppm()), shift.id(),
        shift.has_schedule() ? ", and a `pause` after that holds its schedule" : ""));
  }
  if (!shift.has_schedule()) {
    return absl::InvalidArgumentError(fmt::format(
        "traffic shift {} has no schedule, so there is nothing to pause: it stays at {}; `signalbox traffic set {} 0` "
        "sends nobody there any more",
        shift.id(), Percent(shift.share_ppm()), shift.id()));
  }
  v1::PausedRamp paused;
  paused.set_at_unix_ms(now_unix_ms);
  paused.set_share_ppm(decide::ShareAt(shift, setting, now_unix_ms));
  paused.set_delay_ms(setting == nullptr ? 0 : setting->delay_ms());
  *Replace(settings, shift.id()).mutable_paused() = paused;
  return absl::OkStatus();
}

// A schedule that is or was paused keeps its delay: otherwise a `resume` after this would jump to where the rules'
// schedule is by then.
void Fix(const v1::TrafficShift& shift, uint32_t share_ppm, v1::TrafficSettings& settings, int64_t now_unix_ms) {
  const v1::ShiftSetting* setting = FindSetting(settings, shift.id());
  const bool was_paused = shift.has_schedule() && setting != nullptr && !setting->has_share_ppm();
  if (!was_paused) return Replace(settings, shift.id()).set_share_ppm(share_ppm);
  v1::PausedRamp paused = setting->paused();
  if (setting->has_delay_ms()) {
    paused.set_at_unix_ms(now_unix_ms);
    paused.set_delay_ms(setting->delay_ms());
  }
  paused.set_share_ppm(share_ppm);
  *Replace(settings, shift.id()).mutable_paused() = paused;
}

void GoOn(const v1::TrafficShift& shift, bool without_delay, v1::TrafficSettings& settings, int64_t now_unix_ms) {
  const std::string& id = shift.id();
  const v1::ShiftSetting* setting = FindSetting(settings, id);
  if (setting == nullptr) return;
  // Without a schedule there is nothing to be late for.
  if (without_delay || setting->has_share_ppm() || !shift.has_schedule()) return Remove(settings, id);
  if (setting->has_delay_ms()) return;
  // By the clock of whoever resumes, which may be behind the clock of whoever paused.
  const int64_t paused_for = std::max<int64_t>(0, now_unix_ms - setting->paused().at_unix_ms());
  const int64_t delay_ms = std::min(setting->paused().delay_ms() + paused_for, kDelayMsMax);
  Replace(settings, id).set_delay_ms(delay_ms);
}

}  // namespace

absl::Status CheckTrafficSettings(const v1::TrafficSettings& settings, std::string_view namespace_name) {
  if (settings.namespace_() != namespace_name) {
    return absl::InvalidArgumentError(fmt::format("holds the settings of namespace '{}', expected those of its own",
                                                  EscapeControlCharacters(settings.namespace_())));
  }
  for (int i = 0; i < settings.shifts_size(); ++i) {
    RETURN_IF_ERROR(CheckSetting(settings.shifts(i)));
    if (i > 0 && settings.shifts(i - 1).shift() >= settings.shifts(i).shift()) {
      return absl::InvalidArgumentError(
          fmt::format("traffic shift {}: set twice, or not in order", settings.shifts(i).shift()));
    }
  }
  return absl::OkStatus();
}

v1::TrafficSettings SettingsWithEffect(const v1::TrafficSettings& settings, const v1::RuleSet& rules) {
  v1::TrafficSettings result;
  result.set_namespace_(settings.namespace_());
  // Not FindShift for each: there may be thousands of both.
  std::unordered_set<std::string_view> ids;
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) ids.insert(shift.id());
  for (const v1::ShiftSetting& setting : settings.shifts()) {
    if (ids.contains(setting.shift())) *result.add_shifts() = setting;
  }
  return result;
}

const v1::TrafficShift* FindShift(const v1::RuleSet& rules, std::string_view id) {
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) {
    if (shift.id() == id) return &shift;
  }
  return nullptr;
}

ShiftState StateOf(const v1::TrafficShift& shift, const v1::ShiftSetting* setting, int64_t now_unix_ms) {
  return {.share_ppm = decide::ShareAt(shift, setting, now_unix_ms),
          .rules_share_ppm = decide::ShareAt(shift, nullptr, now_unix_ms),
          .next = NextStep(shift, setting, now_unix_ms)};
}

absl::StatusOr<v1::TrafficSettings> ChangeSettings(const v1::RuleSet& rules, v1::TrafficSettings settings,
                                                   std::string_view id, const ShiftCommand& command,
                                                   int64_t now_unix_ms) {
  settings.set_namespace_(rules.namespace_());
  const auto* resume = std::get_if<Resume>(&command);
  const v1::TrafficShift* shift = FindShift(rules, id);
  if (shift == nullptr) {
    // What is set of a shift that has gone can still be taken away.
    if (resume == nullptr || FindSetting(settings, id) == nullptr) return NoSuchShift(rules, id);
    Remove(settings, id);
  } else if (resume != nullptr) {
    GoOn(*shift, resume->without_delay, settings, now_unix_ms);
  } else if (const auto* fix = std::get_if<FixShare>(&command)) {
    Fix(*shift, fix->share_ppm, settings, now_unix_ms);
  } else {
    RETURN_IF_ERROR(Pause(*shift, settings, now_unix_ms));
  }
  return settings;
}

std::string SettingText(const v1::ShiftSetting& setting) {
  switch (setting.setting_case()) {
    case v1::ShiftSetting::kSharePpm:
      return fmt::format("set to {}", Percent(setting.share_ppm()));
    case v1::ShiftSetting::kPaused:
      return fmt::format("paused at {}", Percent(setting.paused().share_ppm()));
    case v1::ShiftSetting::kDelayMs:
      return fmt::format("{} behind its schedule", DurationText(setting.delay_ms()));
    case v1::ShiftSetting::SETTING_NOT_SET:
      break;
  }
  return "nothing set";
}

}  // namespace signalbox::control
