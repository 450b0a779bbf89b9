#include "control/publish_traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/canonical_json.h"
#include "base/status.h"
#include "control/publish_attempts.h"

namespace signalbox::control {
namespace {

// How far back it is looked up who set something.
constexpr size_t kOriginVersionsMax = 500;

std::optional<v1::ShiftSetting> SettingOf(const v1::TrafficSettings& settings, std::string_view shift) {
  const v1::ShiftSetting* setting = FindSetting(settings, shift);
  return setting == nullptr ? std::nullopt : std::optional(*setting);
}

bool Same(const std::optional<v1::ShiftSetting>& a, const std::optional<v1::ShiftSetting>& b) {
  // Canonical by their schema: no maps, no unknown fields.
  return a.has_value() == b.has_value() && (!a || a->SerializeAsString() == b->SerializeAsString());
}

// `content` of a version; nullopt when it cannot be read.
std::optional<v1::TrafficSettings> ReadSettings(store::Store& store, const std::string& topic, int64_t version) {
  v1::TrafficSettings settings;
  if (version == 0) return settings;
  const absl::StatusOr<store::Version> stored = store.Get(topic, version);
  if (!stored.ok() || !ParseJson(stored->content, settings).ok()) return std::nullopt;
  return settings;
}

absl::StatusOr<NamespaceInUse> InUse(const Composition& composition, const std::string& namespace_name) {
  const NamespaceInUse in_use = composition.InUse(namespace_name);
  if (in_use.rules != nullptr) return in_use;
  return absl::NotFoundError(fmt::format(
      "no rules of namespace {} run, so there are no traffic shifts to move; `signalbox rules publish` publishes some",
      namespace_name));
}

// A move is written on top of the settings that run. Newer ones that do not run, perhaps of a newer release, would be
// gone with it, and nobody would know.
absl::Status CheckNotHeldBack(const Composition& composition, const std::string& topic,
                              const TrafficPublication& publication) {
  if (publication.replace_held_back) return absl::OkStatus();
  for (const HeldBack& held : composition.held_back()) {
    if (held.topic != topic) continue;
    return absl::AbortedError(fmt::format(
        "version {} of what is set in namespace {} is held back, {}: {}; a move would write what runs over it, and "
        "what "
        "it says would be lost. If a newer release wrote it, move the shift with that release; to give it up, repeat "
        "this with --replace-held-back",
        held.newest_version, publication.namespace_name,
        held.running_version == 0 ? "and none runs" : fmt::format("and version {} runs", held.running_version),
        held.reason));
  }
  return absl::OkStatus();
}

// Nothing is set, and nothing ever was: there is nothing to write.
absl::StatusOr<bool> IsNothing(store::Store& store, const std::string& topic, const v1::TrafficSettings& settings) {
  if (!settings.shifts().empty()) return false;
  const absl::Status status = store.Get(topic, std::nullopt).status();
  return absl::IsNotFound(status);
}

// Writes `settings` when nobody has published since `composition` was made.
absl::StatusOr<store::Published> Write(store::Store& store, const Composition& composition,
                                       const TrafficPublication& publication, const v1::TrafficSettings& settings) {
  const std::string topic = store::TrafficTopic(publication.namespace_name);
  ASSIGN_OR_RETURN(const bool is_nothing, IsNothing(store, topic, settings));
  if (is_nothing && publication.expected_version.value_or(0) == 0) {
    store::Published nothing;
    nothing.info.topic = topic;
    nothing.unchanged = true;
    return nothing;
  }
  ASSIGN_OR_RETURN(std::string content, CanonicalJson(settings));
  RETURN_IF_ERROR(composition.Try(topic, content).status());
  return store.Publish({topic,
                        std::move(content),
                        publication.author,
                        publication.message,
                        {.version = publication.expected_version, .sequence = composition.sequence()}});
}

// The version since which each shift is set as it is now. `view` is of version `view.traffic_version`.
void FindOrigins(store::Store& store, const std::string& topic, TrafficView& view) {
  std::vector<ShiftView*> open;
  for (ShiftView& shift : view.shifts) {
    if (shift.setting) open.push_back(&shift);
  }
  for (ShiftView& shift : view.without_effect) open.push_back(&shift);
  if (open.empty()) return;
  const absl::StatusOr<std::vector<store::VersionInfo>> history = store.History(topic, store::kHistoryVersionsMax);
  if (!history.ok() || history->empty()) return;
  const store::VersionInfo* set_in = nullptr;  // the oldest so far in which those that are open are as they are now
  size_t looked_at = 0;
  for (const store::VersionInfo& info : *history) {
    if (info.version > view.traffic_version) continue;
    if (open.empty() || ++looked_at > kOriginVersionsMax) return;
    const std::optional<v1::TrafficSettings> settings = ReadSettings(store, topic, info.version);
    if (!settings) continue;  // it never ran
    if (set_in != nullptr) {
      std::erase_if(open, [&](ShiftView* shift) {
        if (Same(SettingOf(*settings, shift->shift.id()), shift->setting)) return false;
        shift->set_by = *set_in;
        return true;
      });
    }
    set_in = &info;
  }
  // Before the first version nothing was set.
  if (set_in == nullptr || history->back().version != 1) return;
  for (ShiftView* shift : open) shift->set_by = *set_in;
}

std::vector<std::string> Changes(const std::optional<v1::TrafficSettings>& before,
                                 const std::optional<v1::TrafficSettings>& after) {
  if (!after) return {"cannot be read"};
  const v1::TrafficSettings none;
  const v1::TrafficSettings& old = before ? *before : none;
  std::set<std::string> shifts;
  for (const v1::ShiftSetting& setting : old.shifts()) shifts.insert(setting.shift());
  for (const v1::ShiftSetting& setting : after->shifts()) shifts.insert(setting.shift());
  std::vector<std::string> changes;
  for (const std::string& shift : shifts) {
    const std::optional<v1::ShiftSetting> setting = SettingOf(*after, shift);
    if (Same(SettingOf(old, shift), setting)) continue;
    changes.push_back(fmt::format("{} {}", shift, setting ? SettingText(*setting) : "as the rules say"));
  }
  return changes;
}

}  // namespace

absl::StatusOr<PublishedTraffic> PublishTraffic(store::Store& store, const TrafficPublication& publication,
                                                int64_t now_unix_ms) {
  RETURN_IF_ERROR(store::CheckNamespace(publication.namespace_name));
  const std::string topic = store::TrafficTopic(publication.namespace_name);
  Composition composition(store);
  for (int attempt = 1;; ++attempt) {
    RETURN_IF_ERROR(composition.Advance());
    ASSIGN_OR_RETURN(const NamespaceInUse in_use, InUse(composition, publication.namespace_name));
    RETURN_IF_ERROR(CheckNotHeldBack(composition, topic, publication));
    const v1::TrafficSettings before = in_use.traffic == nullptr ? v1::TrafficSettings() : *in_use.traffic;
    ASSIGN_OR_RETURN(const v1::TrafficSettings after,
                     ChangeSettings(*in_use.rules, before, publication.shift, publication.command, now_unix_ms));
    PublishedTraffic result;
    result.shift.set_id(publication.shift);
    if (const v1::TrafficShift* shift = FindShift(*in_use.rules, publication.shift)) result.shift = *shift;
    result.setting_before = SettingOf(before, publication.shift);
    result.setting = SettingOf(after, publication.shift);
    result.before = StateOf(result.shift, FindSetting(before, publication.shift), now_unix_ms);
    result.after = StateOf(result.shift, FindSetting(after, publication.shift), now_unix_ms);
    absl::StatusOr<store::Published> published = Write(store, composition, publication, after);
    if (published.ok()) {
      result.published = *std::move(published);
      return result;
    }
    const bool again = absl::IsAborted(published.status()) && HoldsStill(store, topic, publication.expected_version);
    if (!again || attempt == kPublishAttemptsMax) return published.status();
  }
}

absl::StatusOr<TrafficView> ViewTraffic(store::Store& store, const std::string& namespace_name, int64_t now_unix_ms) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  const std::string topic = store::TrafficTopic(namespace_name);
  Composition composition(store);
  RETURN_IF_ERROR(composition.Advance());
  ASSIGN_OR_RETURN(const NamespaceInUse in_use, InUse(composition, namespace_name));
  const v1::TrafficSettings settings = in_use.traffic == nullptr ? v1::TrafficSettings() : *in_use.traffic;
  TrafficView view;
  view.rules_version = in_use.rules_version;
  view.traffic_version = in_use.traffic_version;
  for (const v1::TrafficShift& shift : in_use.rules->traffic_shifts()) {
    const v1::ShiftSetting* setting = FindSetting(settings, shift.id());
    view.shifts.push_back({shift, StateOf(shift, setting, now_unix_ms), SettingOf(settings, shift.id()), std::nullopt});
  }
  for (const v1::ShiftSetting& setting : settings.shifts()) {
    if (FindShift(*in_use.rules, setting.shift()) != nullptr) continue;
    ShiftView& shift = view.without_effect.emplace_back();
    shift.shift.set_id(setting.shift());
    shift.setting = setting;
  }
  FindOrigins(store, topic, view);
  for (const HeldBack& held : composition.held_back()) {
    if (held.topic == topic || held.topic == store::RulesTopic(namespace_name)) view.held_back.push_back(held);
  }
  return view;
}

absl::StatusOr<std::vector<TrafficVersion>> TrafficHistory(store::Store& store, const std::string& namespace_name,
                                                           size_t versions_max) {
  RETURN_IF_ERROR(store::CheckNamespace(namespace_name));
  const std::string topic = store::TrafficTopic(namespace_name);
  absl::StatusOr<std::vector<store::VersionInfo>> history = store.History(topic, versions_max);
  if (absl::IsNotFound(history.status())) {
    return absl::NotFoundError(fmt::format("no traffic shift of namespace {} was ever moved", namespace_name));
  }
  RETURN_IF_ERROR(history.status());
  std::vector<TrafficVersion> versions;
  std::optional<v1::TrafficSettings> after = ReadSettings(store, topic, history->front().version);
  for (store::VersionInfo& info : *history) {
    std::optional<v1::TrafficSettings> before = ReadSettings(store, topic, info.version - 1);
    std::vector<std::string> changes = Changes(before, after);
    versions.push_back({std::move(info), std::move(changes)});
    after = std::move(before);
  }
  return versions;
}

}  // namespace signalbox::control
