// What a change of rules will do, worked out from the rules: for each Objective and each class of requests, which share
// of its units gets something else than before.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "decide/snapshot.h"
#include "effect/exploration.h"
#include "effect/path_result.h"
#include "effect/share.h"

namespace signalbox::effect {

// Of the units of the requests of one class; where rules name the unit, of that one; of requests without a unit, of the
// requests.
struct Movement {
  Change change;
  // "country in {CA, US} and device begins with tv"; empty: all of the Objective.
  std::string where;
  Share share;
  // The share is counted over generated units.
  bool is_counted = false;
  // No request of the class is known, and there may be none.
  bool may_be_empty = false;
  // Values of a request of the class by field, for `signalbox resolve`. Fields that it does not have are left out.
  std::map<std::string, std::string> example;
};

struct ObjectiveEffect {
  enum class Kind : uint8_t { kAdded, kRemoved, kChanged };

  std::string objective;
  std::string namespace_name;  // of the new rules, where it stands there
  Kind kind = Kind::kChanged;
  // Models first; then as Aspect is ordered, the larger shares before the smaller. Of an Objective that was added or
  // removed: none. Empty, and nothing below: other rules, and every request gets what it got before.
  std::vector<Movement> movements;
  // What is beside the decision: override rules, how platforms are asked. "override testers was added".
  std::vector<std::string> notes;
  // Set where shares are not exact but counted over kSampledRequests generated requests, and why.
  std::string why_sampled;
  // Some requests may get something else that is not told: `movements` may lack some.
  bool may_be_incomplete = false;
  size_t classes = 0;
  size_t paths = 0;
};

inline constexpr size_t kSampledRequests = 50'000;

struct Limits {
  size_t classes_max = kClassesMax;
  size_t paths_max = kPathsMax;
  // Of all Objectives together: seconds, not hours. Those that come behind are counted over generated requests.
  size_t paths_of_all_max = size_t{1} << 20;
};

struct Effect {
  // Those whose rules differ, by name.
  std::vector<ObjectiveEffect> objectives;
  size_t unchanged = 0;
};

// At the time `now_unix_ms`: windows, starts, ends and schedules count as they are then. Pure; the same input gives the
// same output.
Effect EffectOf(const decide::Snapshot& before, const decide::Snapshot& after, int64_t now_unix_ms,
                const Limits& limits = {});

}  // namespace signalbox::effect
