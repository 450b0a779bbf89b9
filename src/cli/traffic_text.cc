#include "cli/traffic_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/rule_set.h"
#include "base/duration_text.h"
#include "base/percent.h"
#include "base/printable.h"
#include "cli/published_rules.h"

namespace signalbox::cli {
namespace {

using nlohmann::ordered_json;

std::string ScheduleText(const v1::RampSchedule& schedule) {
  std::string text = fmt::format("from {}", TimeText(schedule.start_unix_ms()));
  for (int i = 0; i < schedule.steps_size(); ++i) {
    const v1::RampStep& step = schedule.steps(i);
    const bool last = i + 1 == schedule.steps_size();
    text += fmt::format("{} {}", i == 0 ? ":" : ",", Percent(step.share_ppm()));
    if (!last) text += fmt::format(" for {}", DurationText(step.hold_ms()));
  }
  return text;
}

std::string RulesText(const v1::TrafficShift& shift) {
  return shift.has_schedule() ? "schedule " + ScheduleText(shift.schedule()) : Percent(shift.share_ppm());
}

std::string NextText(const control::ShiftState::Step& next, int64_t now_unix_ms) {
  return fmt::format("{} at {}, in {}", Percent(next.share_ppm), TimeText(next.at_unix_ms),
                     DurationText(next.at_unix_ms - now_unix_ms));
}

std::string SetText(const control::ShiftView& view) {
  std::string text = control::SettingText(*view.setting);
  if (view.setting->has_delay_ms() && !view.shift.has_schedule()) text += ", without effect: there is no schedule";
  if (view.setting->has_paused() && !view.shift.has_schedule()) text += ", though there is no schedule any more";
  if (!view.set_by) return text;
  text += fmt::format(" by {}, {}", EscapeControlCharacters(view.set_by->author), TimeText(view.set_by->unix_ms));
  if (!view.set_by->message.empty()) text += fmt::format(": {}", EscapeControlCharacters(view.set_by->message));
  return text;
}

std::string ShiftText(const control::ShiftView& view, int64_t now_unix_ms) {
  const v1::TrafficShift& shift = view.shift;
  std::string text =
      fmt::format("{}   {} to {}\n", shift.id(), Percent(view.state.share_ppm), rule_set::ModelId(shift.to()));
  text += fmt::format("  of      {}\n", fmt::join(shift.objectives(), ", "));
  text += fmt::format("  rules   {}\n", RulesText(shift));
  if (view.setting) text += fmt::format("  set     {}\n", SetText(view));
  if (view.state.next) text += fmt::format("  next    {}\n", NextText(*view.state.next, now_unix_ms));
  return text;
}

// With the names of the schema, but times and durations are numbers as everywhere in this document.
ordered_json ScheduleJson(const v1::RampSchedule& schedule) {
  ordered_json json = {{"start_unix_ms", schedule.start_unix_ms()}, {"steps", ordered_json::array()}};
  for (const v1::RampStep& step : schedule.steps())
    json["steps"].push_back({{"share_ppm", step.share_ppm()}, {"hold_ms", step.hold_ms()}});
  return json;
}

ordered_json NextJson(const std::optional<control::ShiftState::Step>& next) {
  if (!next) return nullptr;
  return {{"share_ppm", next->share_ppm}, {"at_unix_ms", next->at_unix_ms}};
}

ordered_json SettingJson(const std::optional<v1::ShiftSetting>& setting) {
  if (!setting) return nullptr;
  switch (setting->setting_case()) {
    case v1::ShiftSetting::kSharePpm:
      return {{"share_ppm", setting->share_ppm()}};
    case v1::ShiftSetting::kDelayMs:
      return {{"delay_ms", setting->delay_ms()}};
    case v1::ShiftSetting::kPaused:
      return {{"paused",
               {{"share_ppm", setting->paused().share_ppm()},
                {"at_unix_ms", setting->paused().at_unix_ms()},
                {"delay_ms", setting->paused().delay_ms()}}}};
    case v1::ShiftSetting::SETTING_NOT_SET:
      break;
  }
  return nullptr;
}

ordered_json ShiftJson(const control::ShiftView& view) {
  const v1::TrafficShift& shift = view.shift;
  ordered_json json = {{"shift", shift.id()}};
  json["objectives"] = ordered_json::array();
  for (const std::string& objective : shift.objectives()) json["objectives"].push_back(objective);
  json["to"] = rule_set::ModelId(shift.to());
  json["in_effect_ppm"] = view.state.share_ppm;
  json["rules_ppm"] = view.state.rules_share_ppm;
  json["schedule"] = shift.has_schedule() ? ScheduleJson(shift.schedule()) : ordered_json();
  json["setting"] = SettingJson(view.setting);
  json["set_by"] = view.set_by ? ToJson(*view.set_by) : ordered_json();
  json["next"] = NextJson(view.state.next);
  return json;
}

// Shares of one shift are nested: who is in at 10 % is in at 25 %.
std::string MovedText(const control::PublishedTraffic& moved) {
  const uint32_t before = moved.before.share_ppm;
  const uint32_t after = moved.after.share_ppm;
  if (before == after) return "nobody moves";
  const std::string rest =
      std::min(before, after) == 0 ? "" : fmt::format("; the {} who are there stay", Percent(std::min(before, after)));
  if (after > before) {
    return fmt::format("a further {} of the users go to {}{}", Percent(after - before),
                       rule_set::ModelId(moved.shift.to()), rest);
  }
  return fmt::format("{} of the users go back to what they had before the shift{}", Percent(before - after), rest);
}

// What becomes of the rules' percentage or schedule.
std::string ThenText(const control::PublishedTraffic& moved) {
  const v1::TrafficShift& shift = moved.shift;
  if (moved.after.next) {
    return fmt::format("next: {} at {}", Percent(moved.after.next->share_ppm), TimeText(moved.after.next->at_unix_ms));
  }
  if (!moved.setting) return fmt::format("the rules count: {}", RulesText(shift));
  if (moved.setting->has_delay_ms()) return "its schedule has reached its last step";
  if (moved.setting->has_paused() && shift.has_schedule()) {
    return fmt::format("its schedule stands still until `signalbox traffic resume {}`", shift.id());
  }
  return fmt::format("the rules ({}) do not count until `signalbox traffic resume {}`", RulesText(shift), shift.id());
}

std::string Headline(const control::PublishedTraffic& moved) {
  const std::string what = moved.setting ? control::SettingText(*moved.setting) : "as the rules say";
  if (moved.published.info.version == 0) return fmt::format("nothing to publish, {} is {}", moved.shift.id(), what);
  if (moved.published.unchanged) {
    return fmt::format("nothing to publish, {} is {} since version {} or before", moved.shift.id(), what,
                       moved.published.info.version);
  }
  return fmt::format("{} is {}, published as version {}", moved.shift.id(), what, moved.published.info.version);
}

}  // namespace

std::string DescribeTraffic(std::string_view namespace_name, const control::TrafficView& view, int64_t now_unix_ms) {
  std::string text =
      fmt::format("{}: rules version {}, {}\n", namespace_name, view.rules_version,
                  view.traffic_version == 0 ? "nothing set" : fmt::format("traffic version {}", view.traffic_version));
  if (view.shifts.empty()) text += "\nno traffic shifts\n";
  for (const control::ShiftView& shift : view.shifts) text += "\n" + ShiftText(shift, now_unix_ms);
  for (const control::ShiftView& shift : view.without_effect) {
    text += fmt::format(
        "\n{}   without effect, the rules have no such shift; `signalbox traffic resume {}` takes it away\n  set     "
        "{}\n",
        shift.shift.id(), shift.shift.id(), SetText(shift));
  }
  for (const control::HeldBack& held : view.held_back) {
    text += fmt::format("\n{} version {} cannot run and is held back; version {} goes on: {}\n", held.topic,
                        held.newest_version, held.running_version, held.reason);
  }
  return text;
}

ordered_json ToJson(const control::TrafficView& view, int64_t now_unix_ms) {
  ordered_json json = {
      {"rules_version", view.rules_version}, {"traffic_version", view.traffic_version}, {"now_unix_ms", now_unix_ms}};
  for (const char* list : {"shifts", "without_effect", "held_back"}) json[list] = ordered_json::array();
  for (const control::ShiftView& shift : view.shifts) json["shifts"].push_back(ShiftJson(shift));
  for (const control::ShiftView& shift : view.without_effect) {
    json["without_effect"].push_back({{"shift", shift.shift.id()},
                                      {"setting", SettingJson(shift.setting)},
                                      {"set_by", shift.set_by ? ToJson(*shift.set_by) : ordered_json()}});
  }
  for (const control::HeldBack& held : view.held_back) {
    json["held_back"].push_back({{"topic", held.topic},
                                 {"newest_version", held.newest_version},
                                 {"running_version", held.running_version},
                                 {"reason", held.reason}});
  }
  return json;
}

std::string DescribeMove(std::string_view namespace_name, const control::PublishedTraffic& moved) {
  std::string text = fmt::format("{}: {}\n", namespace_name, Headline(moved));
  // A shift that the rules do not have any more moves nobody.
  if (moved.shift.objectives().empty()) return text;
  if (!moved.published.unchanged) {
    text += fmt::format("  {} -> {}: {}\n", Percent(moved.before.share_ppm), Percent(moved.after.share_ppm),
                        MovedText(moved));
  }
  return text + fmt::format("  {}\n", ThenText(moved));
}

ordered_json ToJson(const control::PublishedTraffic& moved) {
  ordered_json json = ToJson(moved.published.info);
  json["unchanged"] = moved.published.unchanged;
  json["shift"] = moved.shift.id();
  json["before_ppm"] = moved.before.share_ppm;
  json["in_effect_ppm"] = moved.after.share_ppm;
  json["setting_before"] = SettingJson(moved.setting_before);
  json["setting"] = SettingJson(moved.setting);
  json["next"] = NextJson(moved.after.next);
  return json;
}

std::string DescribeHistory(std::string_view namespace_name, const std::vector<control::TrafficVersion>& versions) {
  size_t author_width = 6;
  size_t change_width = 6;
  for (const control::TrafficVersion& version : versions) {
    author_width = std::max(author_width, EscapeControlCharacters(version.info.author).size());
    change_width = std::max(change_width, fmt::format("{}", fmt::join(version.changes, ", ")).size());
  }
  std::string text = fmt::format("{}: {} version{} of what is set of traffic shifts\n\n", namespace_name,
                                 versions.front().info.version, versions.front().info.version == 1 ? "" : "s");
  text += fmt::format("  version  published             {:<{}}  {:<{}}  message\n", "author", author_width, "change",
                      change_width);
  for (const control::TrafficVersion& version : versions) {
    text += fmt::format("{} {:>7}  {}  {:<{}}  {:<{}}  {}\n",
                        version.info.version == versions.front().info.version ? '*' : ' ', version.info.version,
                        TimeText(version.info.unix_ms), EscapeControlCharacters(version.info.author), author_width,
                        fmt::format("{}", fmt::join(version.changes, ", ")), change_width,
                        EscapeControlCharacters(version.info.message));
  }
  return text;
}

ordered_json ToJson(const std::vector<control::TrafficVersion>& versions) {
  ordered_json json = ordered_json::array();
  for (const control::TrafficVersion& version : versions) {
    ordered_json& entry = json.emplace_back(ToJson(version.info));
    entry["changes"] = version.changes;
  }
  return json;
}

}  // namespace signalbox::cli
