// What is the same in every engine: what it refuses, in which words, and what a publication becomes. Internal to
// src/store.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "store/store.h"

namespace signalbox::store {

// INVALID_ARGUMENT unless it is one of the topics in store.h.
absl::Status CheckTopic(std::string_view topic);
// INVALID_ARGUMENT unless it can be the key of a record.
absl::Status CheckRecordKey(std::string_view key);
// All of Write's INVALID_ARGUMENT.
absl::Status CheckBatch(const Batch& batch);

// ABORTED unless the publication's expectations hold. `newest`: of its topic, nullopt when there is none.
absl::Status CheckExpected(std::string_view store, int64_t sequence, const Publication& publication,
                           const std::optional<VersionInfo>& newest);
// ABORTED unless the record is as `write` expects it. `present`: nullopt when it is absent.
absl::Status CheckExpected(const RecordWrite& write, const std::optional<Record>& present);
// ABORTED unless `fence` holds. `present`: of its key.
absl::Status CheckFence(const Fence& fence, const std::optional<Record>& present);

// INVALID_ARGUMENT when they are too many, or too large, for one import.
absl::Status CheckImportSize(const std::vector<Version>& versions);
// FAILED_PRECONDITION unless `version` is the next after these; DATA_LOSS when its content does not match its hash.
absl::Status CheckImport(std::string_view store, const Version& version, int64_t sequence, int64_t newest_version);

// What `publication` is recorded as, when it is the next after `sequence`.
VersionInfo NextVersion(const Publication& publication, const std::optional<VersionInfo>& newest, int64_t sequence,
                        int64_t unix_ms);
// The newest version that retention may touch: none where it is below 1.
int64_t PrunedUpTo(int64_t newest_version, size_t keep_newest);

// NOT_FOUND, of what is not there.
absl::Status NoSuchTopic(std::string_view store, std::string_view topic);
absl::Status NoSuchVersion(std::string_view topic, int64_t version, int64_t newest_version);
// `kept_from`: the oldest version from which on all are kept.
absl::Status ContentWasDropped(std::string_view topic, int64_t version, int64_t kept_from);
// DATA_LOSS: what was read has the hash `found`.
absl::Status ContentIsDamaged(std::string_view store, const VersionInfo& info, std::string_view found);

}  // namespace signalbox::store
