// Reads what versions and records are in an SQLite store. For one connection, within a transaction of the caller's
// where several reads must be of one moment. Internal to src/store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store/sqlite_database.h"
#include "store/store.h"
#include "store/store_clock.h"

namespace signalbox::store {

// Versions; what follows says which: "WHERE ... ORDER BY ... LIMIT ...".
inline constexpr std::string_view kSelectVersions =
    "SELECT topic, version, sequence, content_hash, coalesce(content_bytes, length(content)), author, message, "
    "unix_ms, "
    "rollback_of, content_bytes IS NOT NULL FROM versions LEFT JOIN dropped USING (sequence) ";

// Of a row of kSelectVersions.
VersionInfo ReadInfo(Statement& row);
// All rows of a statement that starts with kSelectVersions and has its parameters.
absl::StatusOr<std::vector<VersionInfo>> ReadInfos(Statement& rows);

absl::StatusOr<std::vector<VersionInfo>> ReadChanges(const Database& database, int64_t after_sequence,
                                                     size_t changes_max);

// When records are read or written: one moment for all of a batch, so that nothing expires in the middle of it.
struct LeaseMoment {
  std::string_view boot;
  std::chrono::milliseconds since_boot;

  static LeaseMoment Of(const StoreClock& clock) { return {clock.boot, clock.since_boot()}; }
};

absl::StatusOr<int64_t> ReadRecordsRevision(const Database& database);
// Those that have not expired by `now`.
absl::StatusOr<std::optional<Record>> ReadRecord(const Database& database, const LeaseMoment& now,
                                                 std::string_view key);
absl::StatusOr<std::vector<Record>> ReadRecords(const Database& database, const LeaseMoment& now,
                                                std::string_view prefix);
// Within a transaction that writes. Forgets the expired ones on the way. Returns the revision of what was written.
absl::StatusOr<int64_t> WriteRecords(const Database& database, const LeaseMoment& now,
                                     const std::vector<RecordWrite>& writes);

}  // namespace signalbox::store
