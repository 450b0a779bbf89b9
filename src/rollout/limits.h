// Limits and times that no option sets. All times in milliseconds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "signalbox/v1/fleet.pb.h"

namespace signalbox::rollout {

// How long a leader that has just begun waits for hosts of the placement that nobody has told it of. Hosts that
// register renew every 5 s: also when all that was known of them is lost, they are told of long before.
constexpr int64_t kAbsentHostGraceMs = 15'000;
// A shard without a live host is not planned with any more: its models go elsewhere. Shorter absences move nothing.
constexpr int64_t kHostLossGraceMs = 30'000;
// A host that has come and gone is asked for nothing at first, each time longer, until it has stayed for a while.
constexpr int64_t kRestFirstMs = 1'000;
constexpr int64_t kRestMaxMs = 60'000;
constexpr int64_t kFlapMemoryMs = 300'000;

// A host that goes away so shortly after a model was loaded or tried there is taken to have died of it: two probes that
// time out, and a crash that comes late.
constexpr int64_t kBlameMs = 10'000;
// (model, host) pairs whose deaths a rollout's record tells of.
constexpr int kHostDeathsMax = 100;

constexpr int64_t kRetryMaxMs = 60'000;
constexpr int64_t kAfterUnloadMs = 1'000;
// From the dry run that was answered to the index that says READY.
constexpr int64_t kIndexDueMs = 30'000;
// What a command may take longer than its timeout until it counts as lost.
constexpr int64_t kCommandSlackMs = 5'000;
// Of all namespaces together, on one host.
constexpr int kCommandsPerHostMax = 16;

// New rollouts that find their places in one step: each is an assignment of all models.
constexpr size_t kPlansPerStepMax = 16;
// Of one batch: what is left over goes into the next one.
constexpr size_t kBatchPublicationsMax = 32;
constexpr size_t kBatchRecordsMax = 32;
constexpr size_t kBatchRecordBytesMax = 512U << 10;
constexpr size_t kBatchBytesMax = 4U << 20;

// (model, host) pairs that a rollout's record tells of.
constexpr size_t kProgressHostsMax = 1'000;
constexpr int64_t kProgressEveryMs = 250;
constexpr int64_t kBatchRetryFirstMs = 250;
constexpr int64_t kBatchRetryMaxMs = 30'000;
// A batch that the store did not answer has taken effect by then, or never will.
constexpr int64_t kBatchSettledMs = 10'000;
constexpr size_t kPastRolloutsMax = 20;
constexpr size_t kRetainedVersionsMax = 3;

inline int64_t LoadTimeoutMs(const v1::FleetModel& model) {
  return model.load_timeout_ms() > 0 ? model.load_timeout_ms() : 60'000;
}
inline int64_t DryRunTimeoutMs(const v1::FleetModel& model) {
  return model.dry_run_timeout_ms() > 0 ? model.dry_run_timeout_ms() : 10'000;
}

}  // namespace signalbox::rollout
