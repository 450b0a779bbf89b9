// One store's content into another one, of the same engine or of another.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "store/store.h"

namespace signalbox::store {

struct CopyResult {
  int64_t sequence = 0;  // the newest that was copied; as many versions as this
  size_t topics = 0;
  size_t pruned = 0;   // versions without content, which retention had dropped
  size_t records = 0;  // those that do not expire: the others are of processes that should be stopped
};

// Copies every version with its numbers, author, time, message and hash, then reads everything back from `to` and
// compares it. Nobody may write to either store meanwhile. ABORTED: `to` is not empty, or somebody has written to
// `from`. DATA_LOSS: a version of `from` is damaged. After an error that comes in the middle, `to` holds a part, and
// has to be emptied before the next try: the message says how.
absl::StatusOr<CopyResult> CopyStore(Store& from, Store& to);

}  // namespace signalbox::store
