// What operators say beside rules: how a namespace's rules are released, and which shards and hosts are to become
// empty. Each change is a version of its own, with its author and message.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/rollout.pb.h"
#include "store/store.h"

namespace signalbox::control {

struct Signature {
  std::string author;
  std::string message;
};

// All changes below are INVALID_ARGUMENT in a store that is not managed, and NOT_FOUND for a namespace without rules.
struct ChangedRelease {
  store::Published published;
  v1::ReleasePlan before;
  v1::ReleasePlan after;
};

// The plan as it is; an empty one when none was ever published. DATA_LOSS or INVALID_ARGUMENT when it cannot be read.
absl::StatusOr<v1::ReleasePlan> ReadRelease(store::Store& store, const std::string& namespace_name);

// Runs this version everywhere, and nothing that is published later until it is unpinned. 0: unpins.
// NOT_FOUND: there is no such version.
absl::StatusOr<ChangedRelease> PinVersion(store::Store& store, const std::string& namespace_name, int64_t version,
                                          const Signature& signature);
// Scopes that new rules go to first, in this order. Empty: everywhere at once. INVALID_ARGUMENT: a scope that is none,
// or stands twice.
absl::StatusOr<ChangedRelease> SetReleaseSteps(store::Store& store, const std::string& namespace_name,
                                               const std::vector<v1::ReleaseStep>& steps, const Signature& signature);
// Data planes that are connected, by each scope that they have.
absl::StatusOr<std::map<std::string, int>> LiveScopes(store::Store& store);
// One sentence for each step whose scope no connected data plane has: a slip of the pen, most often.
absl::StatusOr<std::vector<std::string>> StepWarnings(store::Store& store, const std::vector<v1::ReleaseStep>& steps);
absl::StatusOr<ChangedRelease> PauseRelease(store::Store& store, const std::string& namespace_name, bool paused,
                                            const Signature& signature);
// Of the rollout that is under way. INVALID_ARGUMENT: there is none; NOT_FOUND: the namespace never had one.
absl::StatusOr<ChangedRelease> CancelRollout(store::Store& store, const std::string& namespace_name,
                                             const Signature& signature);
// Everywhere now, whatever steps are left; that ends a pause (`before` of the result says whether there was one).
// Errors as CancelRollout.
absl::StatusOr<ChangedRelease> PromoteRollout(store::Store& store, const std::string& namespace_name,
                                              const Signature& signature);

// Begins the newest rollout again, after what made it fail was put right, or takes back that it was cancelled: without
// this the same rules are not tried twice. INVALID_ARGUMENT: it has not failed, and nobody has cancelled it. NOT_FOUND
// as CancelRollout.
absl::StatusOr<ChangedRelease> RetryRollout(store::Store& store, const std::string& namespace_name,
                                            const Signature& signature);

// All rollouts that are known, of each namespace, sorted. Not of namespaces that never had one.
absl::StatusOr<std::vector<v1::Rollouts>> ReadRollouts(store::Store& store);
// NOT_FOUND: the namespace never had one.
absl::StatusOr<v1::Rollouts> ReadRollouts(store::Store& store, const std::string& namespace_name);
bool IsUnderWay(const v1::Rollout& rollout);

enum class Drain { kShard, kHost };
struct ChangedDrains {
  store::Published published;
  v1::Drains drains;
};
// `drained` false: it takes models again. INVALID_ARGUMENT: the store is not managed. NOT_FOUND: the fleet, or the
// registered hosts, have no such shard or host (names what there is), nor is one of that name drained.
absl::StatusOr<ChangedDrains> SetDrained(store::Store& store, Drain what, const std::string& name, bool drained,
                                         const Signature& signature);

}  // namespace signalbox::control
