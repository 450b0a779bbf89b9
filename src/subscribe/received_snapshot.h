// Whether what was received, or lay on disk, may run (docs/decisions/0002-subscribe-folder.md has the table). Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "decide/snapshot.h"
#include "signalbox/v1/distribution.pb.h"

namespace signalbox::subscribe {

struct Running {
  int64_t version = 0;  // 0: nothing runs
  std::string hash;
  std::vector<std::string> scopes = {};  // for which it was made
};

enum class Order { kNewer, kSame };

// What `update` is to `running`. The same version for other scopes is newer: it is this data plane that has changed.
// FAILED_PRECONDITION when it is older, or another history under the same number: the
// message says what a person can do about it.
absl::StatusOr<Order> Compare(const v1::SnapshotUpdate& update, const Running& running);

// Parses, compares version and hash outside and inside, computes the hash again, compiles. INVALID_ARGUMENT or
// DATA_LOSS says what does not fit.
absl::StatusOr<std::shared_ptr<const decide::Snapshot>> CompileUpdate(const v1::SnapshotUpdate& update);

}  // namespace signalbox::subscribe
