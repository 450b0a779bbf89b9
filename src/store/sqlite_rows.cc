#include "store/sqlite_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.h"

namespace signalbox::store {
namespace {

// What was written in another life of the machine and expires has expired. `?`: this life, and the time in it.
constexpr std::string_view kAlive = "(expires_after_ms = 0 OR (boot = ? AND expires_at_ms > ?))";
constexpr std::string_view kSelectRecords =
    "SELECT key, value, revision, created_revision, expires_after_ms FROM records ";

Record ReadRecordRow(Statement& row) {
  Record record;
  record.key = row.Bytes(0);
  record.value = row.Bytes(1);
  record.revision = row.Integer(2);
  record.created_revision = row.Integer(3);
  record.expires_after = std::chrono::milliseconds(row.Integer(4));
  return record;
}

absl::Status Put(const Database& database, const LeaseMoment& now, const RecordWrite& write, int64_t revision) {
  const auto expires_at =
      write.expires_after.count() == 0 ? std::chrono::milliseconds(0) : now.since_boot + write.expires_after;
  ASSIGN_OR_RETURN(Statement put,
                   database.Prepare("INSERT INTO records (key, revision, created_revision, expires_after_ms, "
                                    "expires_at_ms, boot, value) VALUES (?, ?, ?, ?, ?, ?, ?) "
                                    "ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, expires_after_ms = "
                                    "excluded.expires_after_ms, expires_at_ms = excluded.expires_at_ms, "
                                    "boot = excluded.boot, value = excluded.value"));
  put.BindText(write.key).BindInteger(revision).BindInteger(revision).BindInteger(write.expires_after.count());
  put.BindInteger(expires_at.count()).BindText(now.boot).BindBlob(*write.value);
  return put.Step().status();
}

}  // namespace

VersionInfo ReadInfo(Statement& row) {
  VersionInfo info;
  info.topic = row.Bytes(0);
  info.version = row.Integer(1);
  info.sequence = row.Integer(2);
  info.content_hash = row.Bytes(3);
  info.content_bytes = static_cast<size_t>(row.Integer(4));
  info.author = row.Bytes(5);
  info.message = row.Bytes(6);
  info.unix_ms = row.Integer(7);
  info.rollback_of = row.Integer(8);
  info.pruned = row.Integer(9) != 0;
  return info;
}

absl::StatusOr<std::vector<VersionInfo>> ReadInfos(Statement& rows) {
  std::vector<VersionInfo> infos;
  while (true) {
    ASSIGN_OR_RETURN(bool more, rows.Step());
    if (!more) return infos;
    infos.push_back(ReadInfo(rows));
  }
}

absl::StatusOr<std::vector<VersionInfo>> ReadChanges(const Database& database, int64_t after_sequence,
                                                     size_t changes_max) {
  ASSIGN_OR_RETURN(Statement rows,
                   database.Prepare(fmt::format("{} WHERE sequence > ? ORDER BY sequence LIMIT ?", kSelectVersions)));
  rows.BindInteger(after_sequence).BindInteger(static_cast<int64_t>(std::min(changes_max, kHistoryVersionsMax)));
  return ReadInfos(rows);
}

absl::StatusOr<int64_t> ReadRecordsRevision(const Database& database) {
  return database.QueryInteger("SELECT records_revision FROM counters");
}

absl::StatusOr<std::optional<Record>> ReadRecord(const Database& database, const LeaseMoment& now,
                                                 std::string_view key) {
  ASSIGN_OR_RETURN(Statement row, database.Prepare(fmt::format("{} WHERE key = ? AND {}", kSelectRecords, kAlive)));
  ASSIGN_OR_RETURN(bool found, row.BindText(key).BindText(now.boot).BindInteger(now.since_boot.count()).Step());
  if (!found) return std::nullopt;
  return ReadRecordRow(row);
}

absl::StatusOr<std::vector<Record>> ReadRecords(const Database& database, const LeaseMoment& now,
                                                std::string_view prefix) {
  // Not LIKE: it knows '_' and '%'. Keys are ASCII below 0x7f, so that this is above all that start with the prefix.
  ASSIGN_OR_RETURN(Statement rows, database.Prepare(fmt::format("{} WHERE key >= ? AND key < ? AND {} ORDER BY key",
                                                                kSelectRecords, kAlive)));
  rows.BindText(prefix).BindText(fmt::format("{}\x7f", prefix));
  rows.BindText(now.boot).BindInteger(now.since_boot.count());
  std::vector<Record> records;
  while (true) {
    ASSIGN_OR_RETURN(bool more, rows.Step());
    if (!more) return records;
    records.push_back(ReadRecordRow(rows));
  }
}

absl::StatusOr<int64_t> WriteRecords(const Database& database, const LeaseMoment& now,
                                     const std::vector<RecordWrite>& writes) {
  ASSIGN_OR_RETURN(int64_t revision, ReadRecordsRevision(database));
  ++revision;
  ASSIGN_OR_RETURN(Statement count, database.Prepare("UPDATE counters SET records_revision = ?"));
  RETURN_IF_ERROR(count.BindInteger(revision).Step().status());
  // First: a record that has expired must not lend its created_revision to the one that follows.
  ASSIGN_OR_RETURN(Statement forget, database.Prepare(fmt::format("DELETE FROM records WHERE NOT {}", kAlive)));
  RETURN_IF_ERROR(forget.BindText(now.boot).BindInteger(now.since_boot.count()).Step().status());
  for (const RecordWrite& write : writes) {
    if (write.value) {
      RETURN_IF_ERROR(Put(database, now, write, revision));
      continue;
    }
    ASSIGN_OR_RETURN(Statement remove, database.Prepare("DELETE FROM records WHERE key = ?"));
    RETURN_IF_ERROR(remove.BindText(write.key).Step().status());
  }
  return revision;
}

}  // namespace signalbox::store
