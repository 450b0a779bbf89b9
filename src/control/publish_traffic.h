// Traffic shifts, moved and shown: the way of `signalbox traffic` to the store.
//
// What is set is told apart by shift, and one command changes one shift: two people who move two shifts at once both
// get what they asked for. Of two who move the same one the later counts, and the history has both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/composition.h"
#include "control/traffic_settings.h"
#include "store/store.h"

namespace signalbox::control {

struct TrafficPublication {
  std::string namespace_name;
  std::string shift;
  ShiftCommand command;
  std::string author;
  std::string message;
  std::optional<int64_t> expected_version;  // of the settings; as store::Expected::version
  // Also when the newest settings are held back: what they say is not in the version that this writes.
  bool replace_held_back = false;
};

struct PublishedTraffic {
  // Version 0: nothing was ever set in the namespace, and nothing is now.
  store::Published published;
  v1::TrafficShift shift;  // nothing but its id when the rules do not have it any more
  std::optional<v1::ShiftSetting> setting_before;
  std::optional<v1::ShiftSetting> setting;
  ShiftState before;
  ShiftState after;
};

// Changes what is set of one traffic shift of the rules that run, at `now_unix_ms`. What is set so already is not
// published again: `published.unchanged`.
//
// NOT_FOUND: no rules of the namespace run. INVALID_ARGUMENT as ChangeSettings. ABORTED: `expected_version` does not
// hold, or others published without a pause, or the newest settings are held back and may not be replaced; else as
// store::Store::Publish.
absl::StatusOr<PublishedTraffic> PublishTraffic(store::Store& store, const TrafficPublication& publication,
                                                int64_t now_unix_ms);

struct ShiftView {
  v1::TrafficShift shift;
  ShiftState state;
  std::optional<v1::ShiftSetting> setting;
  // The version that set it; unset also where that is too far back, or cannot be read.
  std::optional<store::VersionInfo> set_by;
};

struct TrafficView {
  int64_t rules_version = 0;
  int64_t traffic_version = 0;  // 0: nothing was ever set
  std::vector<ShiftView> shifts;
  std::vector<ShiftView> without_effect;  // settings of shifts that the rules do not have
  std::vector<HeldBack> held_back;        // of this namespace
};

// What is in effect at `now_unix_ms`. NOT_FOUND: no rules of the namespace run.
absl::StatusOr<TrafficView> ViewTraffic(store::Store& store, const std::string& namespace_name, int64_t now_unix_ms);

struct TrafficVersion {
  store::VersionInfo info;
  // "ranker-canary set to 25 %", "ranker-canary as the rules say". What cannot be read says so.
  std::vector<std::string> changes;
};

// Newest first. NOT_FOUND when nothing was ever set in the namespace.
absl::StatusOr<std::vector<TrafficVersion>> TrafficHistory(store::Store& store, const std::string& namespace_name,
                                                           size_t versions_max);

}  // namespace signalbox::control
