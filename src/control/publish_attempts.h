// Checked against everything that is published, and written only when nobody has published since: another publish means
// another attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "store/store.h"

namespace signalbox::control {

// Each attempt is lost only when somebody else has published in the milliseconds of its check.
inline constexpr int kPublishAttemptsMax = 20;

// Whether it is worth trying again: the topic is as expected, so that it was another one that was published to.
inline bool HoldsStill(store::Store& store, std::string_view topic, const std::optional<int64_t>& expected_version) {
  if (!expected_version) return true;
  absl::StatusOr<store::Version> newest = store.Get(topic, std::nullopt);
  return newest.ok() ? newest->info.version == *expected_version : *expected_version == 0;
}

}  // namespace signalbox::control
