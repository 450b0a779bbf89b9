// The identity of rule sets and snapshots.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

// SHA-256 of the canonical JSON (base/canonical_json.h) of the rule set without its source locations: moving a rule
// within its file changes nothing.
absl::StatusOr<std::string> RuleSetHash(const v1::RuleSet& rule_set);

// SHA-256 over the rule sets' hashes in order of namespace, what operators set of their traffic shifts, and the
// placement. Versions and times are left out: equal hashes mean equal decisions.
absl::StatusOr<std::string> SnapshotHash(const v1::Snapshot& snapshot);

// The same where each rule set's `content_hash` is known to be its hash.
absl::StatusOr<std::string> SnapshotHashOf(const v1::Snapshot& snapshot);

}  // namespace signalbox::decide
