#include "store/sqlite_file.h"

#include <fmt/format.h>

#include "base/status.h"

namespace signalbox::store {
namespace {

// "sbox": tells our files from those of other applications (`PRAGMA application_id`).
constexpr int64_t kApplicationId = 0x73626f78;
// 1: versions. 2: their content can be dropped; records.
constexpr int64_t kSchemaVersion = 2;
// What a checkpoint leaves of the write-ahead log: some publishes of the largest size.
constexpr int64_t kLogBytesKept = 32 << 20;

// `content` comes last: SQLite reads a row's columns up to the one that is asked for, so lists need not read contents.
// The insert trigger refuses gaps, and REPLACE, which deletes without telling the delete trigger.
constexpr char kSchema1[] = R"sql(
CREATE TABLE versions (
  sequence     INTEGER PRIMARY KEY,
  topic        TEXT    NOT NULL,
  version      INTEGER NOT NULL,
  content_hash TEXT    NOT NULL,
  author       TEXT    NOT NULL,
  message      TEXT    NOT NULL,
  unix_ms      INTEGER NOT NULL,
  rollback_of  INTEGER NOT NULL,
  content      BLOB    NOT NULL,
  UNIQUE (topic, version)
) STRICT;
CREATE TRIGGER versions_are_never_changed BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'published versions are immutable'); END;
CREATE TRIGGER versions_are_never_deleted BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'published versions are immutable'); END;
CREATE TRIGGER versions_have_no_gaps BEFORE INSERT ON versions
WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM versions)
  OR NEW.version <> (SELECT coalesce(max(version), 0) + 1 FROM versions WHERE topic = NEW.topic)
BEGIN SELECT RAISE(ABORT, 'versions are appended one by one'); END;
)sql";

// The content of a version is dropped in two steps of one transaction: a row in `dropped` that keeps its size, then the
// one change that is allowed to a version, its content to nothing. Rows of `dropped` are as final as versions are. The
// newest version of a topic is not dropped; a copy of a store begins with the row in `dropped` for what comes without
// content. The insert triggers refuse what is there already because of REPLACE, as above.
//
// The one row of `counters` is there so that revisions go on when all records are gone.
constexpr char kSchema2[] = R"sql(
CREATE TABLE dropped (
  sequence      INTEGER PRIMARY KEY,
  content_bytes INTEGER NOT NULL
) STRICT;
CREATE TRIGGER dropped_is_never_changed BEFORE UPDATE ON dropped
BEGIN SELECT RAISE(ABORT, 'what was dropped is gone'); END;
CREATE TRIGGER dropped_is_never_deleted BEFORE DELETE ON dropped
BEGIN SELECT RAISE(ABORT, 'what was dropped is gone'); END;
CREATE TRIGGER the_newest_is_not_dropped BEFORE INSERT ON dropped
WHEN EXISTS (SELECT 1 FROM dropped WHERE sequence = NEW.sequence)
  OR NOT (NEW.sequence = (SELECT coalesce(max(sequence), 0) + 1 FROM versions)
          OR EXISTS (SELECT 1 FROM versions AS v WHERE v.sequence = NEW.sequence
                     AND length(v.content) = NEW.content_bytes
                     AND v.version < (SELECT max(version) FROM versions WHERE topic = v.topic)))
BEGIN SELECT RAISE(ABORT, 'only what is not the newest of its topic can be dropped'); END;

DROP TRIGGER versions_are_never_changed;
CREATE TRIGGER versions_are_never_changed BEFORE UPDATE ON versions
WHEN NOT (NEW.content = x'' AND EXISTS (SELECT 1 FROM dropped WHERE sequence = OLD.sequence)
          AND NEW.sequence = OLD.sequence AND NEW.topic = OLD.topic AND NEW.version = OLD.version
          AND NEW.content_hash = OLD.content_hash AND NEW.author = OLD.author AND NEW.message = OLD.message
          AND NEW.unix_ms = OLD.unix_ms AND NEW.rollback_of = OLD.rollback_of)
BEGIN SELECT RAISE(ABORT, 'published versions are immutable'); END;
CREATE TRIGGER dropped_stays_empty BEFORE INSERT ON versions
WHEN NEW.content <> x'' AND EXISTS (SELECT 1 FROM dropped WHERE sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'what was dropped is gone'); END;

CREATE TABLE records (
  key              TEXT    PRIMARY KEY,
  revision         INTEGER NOT NULL,
  created_revision INTEGER NOT NULL,
  expires_after_ms INTEGER NOT NULL,
  expires_at_ms    INTEGER NOT NULL,
  boot             TEXT    NOT NULL,
  value            BLOB    NOT NULL
) STRICT;
CREATE TABLE counters (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  records_revision INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0);
CREATE TRIGGER revisions_only_grow BEFORE UPDATE ON counters
WHEN NEW.records_revision <= OLD.records_revision
BEGIN SELECT RAISE(ABORT, 'revisions only grow'); END;
CREATE TRIGGER counters_are_one BEFORE INSERT ON counters
WHEN EXISTS (SELECT 1 FROM counters)
BEGIN SELECT RAISE(ABORT, 'revisions only grow'); END;
CREATE TRIGGER counters_stay BEFORE DELETE ON counters
BEGIN SELECT RAISE(ABORT, 'revisions only grow'); END;
)sql";

absl::Status Configure(const Database& database, const SqliteOptions& options) {
  RETURN_IF_ERROR(database.Execute("PRAGMA synchronous=FULL"));
  RETURN_IF_ERROR(database.Execute("PRAGMA cell_size_check=ON"));
  RETURN_IF_ERROR(database.Execute("PRAGMA trusted_schema=OFF"));
  RETURN_IF_ERROR(database.Execute(fmt::format("PRAGMA journal_size_limit={}", kLogBytesKept).c_str()));
  ASSIGN_OR_RETURN(int64_t page_bytes, database.QueryInteger("PRAGMA page_size"));
  return database.Execute(fmt::format("PRAGMA max_page_count={}", options.file_bytes_max / page_bytes).c_str());
}

// The format of the store in the file. 0: the file is empty.
absl::StatusOr<int64_t> ReadFormat(const Database& database) {
  // One statement, so that a process that is just making the store is seen as before or after.
  ASSIGN_OR_RETURN(Statement row, database.Prepare("SELECT application_id, user_version, (SELECT count(*) FROM "
                                                   "sqlite_schema) FROM pragma_application_id, pragma_user_version"));
  RETURN_IF_ERROR(row.Step().status());
  const int64_t application = row.Integer(0);
  const int64_t format = row.Integer(1);
  const int64_t objects = row.Integer(2);
  if (application == 0 && format == 0 && objects == 0) return 0;
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        fmt::format("store sqlite:{}: not a store: the file is a database of another application", database.path()));
  }
  if (format < 1 || format > kSchemaVersion) {
    return absl::FailedPreconditionError(
        fmt::format("store sqlite:{}: its format is {}, this release reads formats up to {}; use the release that "
                    "wrote it",
                    database.path(), format, kSchemaVersion));
  }
  return format;
}

// Makes the store in an empty file, or brings one of an older format to this one; all of it, or nothing.
absl::Status MakeOrMigrate(const Database& database) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database, "BEGIN IMMEDIATE"));
  // Another process may have been first.
  ASSIGN_OR_RETURN(const int64_t format, ReadFormat(database));
  if (format == kSchemaVersion) return absl::OkStatus();
  if (format < 1) RETURN_IF_ERROR(database.Execute(kSchema1));
  RETURN_IF_ERROR(database.Execute(kSchema2));
  RETURN_IF_ERROR(database.Execute(fmt::format("PRAGMA application_id={}", kApplicationId).c_str()));
  RETURN_IF_ERROR(database.Execute(fmt::format("PRAGMA user_version={}", kSchemaVersion).c_str()));
  return transaction.Commit();
}

// Journal mode first: it belongs to the file and cannot change within a transaction. SQLite does not wait for a lock
// here, so that two processes that make the same store need this loop.
absl::Status UseWriteAheadLog(const Database& database, std::chrono::milliseconds patience) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  for (auto waited = std::chrono::milliseconds(0);; waited += kPause) {
    absl::Status status = database.Execute("PRAGMA journal_mode=WAL");
    if (absl::IsUnavailable(status) && waited < patience) {
      sqlite3_sleep(static_cast<int>(kPause.count()));
      continue;
    }
    RETURN_IF_ERROR(status);
    ASSIGN_OR_RETURN(Statement mode, database.Prepare("PRAGMA journal_mode"));
    RETURN_IF_ERROR(mode.Step().status());
    if (mode.Bytes(0) == "wal") return absl::OkStatus();
    return absl::FailedPreconditionError(
        fmt::format("store sqlite:{}: the file system does not support SQLite's write-ahead log (is it a network file "
                    "system?); use a local disk",
                    database.path()));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenConnection(const SqliteOptions& options) {
  ASSIGN_OR_RETURN(auto database, Database::Open(options.path, options.create_if_missing, options.busy_timeout));
  ASSIGN_OR_RETURN(const int64_t format, ReadFormat(*database));
  if (format == 0 && !options.create_if_missing) {
    return absl::FailedPreconditionError(fmt::format("store sqlite:{}: not a store: the file is empty", options.path));
  }
  // Only now: a database of another application must be left as it is.
  RETURN_IF_ERROR(UseWriteAheadLog(*database, options.busy_timeout));
  RETURN_IF_ERROR(Configure(*database, options));
  if (format != kSchemaVersion) RETURN_IF_ERROR(MakeOrMigrate(*database));
  return database;
}

FileIdentity FileIdentity::Of(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

absl::Status CheckSameFile(const std::string& path, const FileIdentity& opened) {
  if (FileIdentity::Of(path) == opened) return absl::OkStatus();
  return absl::UnavailableError(fmt::format(
      "store sqlite:{}: the file was removed or replaced while it was open; start this process again", path));
}

}  // namespace signalbox::store
