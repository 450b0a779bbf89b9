#include "store/sqlite_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/time/time.h"
#include "base/hash.h"
#include "base/printable.h"
#include "base/status.h"
#include "store/sqlite_database.h"

namespace signalbox::store {
namespace {

// "sbox": tells our files from those of other applications (`PRAGMA application_id`).
constexpr int64_t kApplicationId = 0x73626f78;
constexpr int64_t kSchemaVersion = 1;
constexpr size_t kTopicBytesMax = 255;
// What a checkpoint leaves of the write-ahead log: some publishes of the largest size.
constexpr int64_t kLogBytesKept = 32 << 20;

// `content` comes last: SQLite reads a row's columns up to the one that is asked for, so lists need not read contents.
// The insert trigger refuses gaps, and REPLACE, which deletes without telling the delete trigger.
constexpr char kSchema[] = R"sql(
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

constexpr std::string_view kInfoColumns =
    "topic, version, sequence, content_hash, length(content), author, message, unix_ms, rollback_of";

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
  return info;
}

std::string FormatTime(int64_t unix_ms) {
  return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

absl::Status CheckTopic(std::string_view topic) {
  if (topic == kPlacementTopic) return absl::OkStatus();
  if (auto namespace_name = NamespaceOfTopic(topic)) return CheckNamespace(*namespace_name);
  if (auto namespace_name = NamespaceOfTrafficTopic(topic)) return CheckNamespace(*namespace_name);
  return absl::InvalidArgumentError(
      fmt::format("topic '{}': expected '{}', 'rules/<namespace>' or 'traffic/<namespace>'",
                  topic.substr(0, kTopicBytesMax), kPlacementTopic));
}

absl::Status CheckSize(std::string_view what, size_t bytes, size_t bytes_max) {
  if (bytes <= bytes_max) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}: {} bytes, the limit is {}", what, bytes, bytes_max));
}

// Which file a path stood for when it was opened. SQLite would go on writing to a file that somebody has deleted.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  static FileIdentity Of(const std::string& path) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return {};
    return {info.st_dev, info.st_ino};
  }
  bool operator==(const FileIdentity&) const = default;
};

absl::Status CheckSameFile(const std::string& path, const FileIdentity& opened) {
  if (FileIdentity::Of(path) == opened) return absl::OkStatus();
  return absl::UnavailableError(fmt::format(
      "store sqlite:{}: the file was removed or replaced while it was open; start this process again", path));
}

absl::Status Configure(const Database& database, const SqliteOptions& options) {
  RETURN_IF_ERROR(database.Execute("PRAGMA synchronous=FULL"));
  RETURN_IF_ERROR(database.Execute("PRAGMA cell_size_check=ON"));
  RETURN_IF_ERROR(database.Execute("PRAGMA trusted_schema=OFF"));
  RETURN_IF_ERROR(database.Execute(fmt::format("PRAGMA journal_size_limit={}", kLogBytesKept).c_str()));
  ASSIGN_OR_RETURN(int64_t page_bytes, database.QueryInteger("PRAGMA page_size"));
  return database.Execute(fmt::format("PRAGMA max_page_count={}", options.file_bytes_max / page_bytes).c_str());
}

enum class FileKind { kEmpty, kStore };

absl::StatusOr<FileKind> CheckFileKind(const Database& database) {
  // One statement, so that a process that is just making the store is seen as before or after.
  ASSIGN_OR_RETURN(Statement row, database.Prepare("SELECT application_id, user_version, (SELECT count(*) FROM "
                                                   "sqlite_schema) FROM pragma_application_id, pragma_user_version"));
  RETURN_IF_ERROR(row.Step().status());
  const int64_t application = row.Integer(0);
  const int64_t schema_version = row.Integer(1);
  const int64_t objects = row.Integer(2);
  if (application == 0 && schema_version == 0 && objects == 0) return FileKind::kEmpty;
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        fmt::format("store sqlite:{}: not a store: the file is a database of another application", database.path()));
  }
  if (schema_version != kSchemaVersion) {
    return absl::FailedPreconditionError(
        fmt::format("store sqlite:{}: its format is {}, this release reads format {}; use the release that wrote it",
                    database.path(), schema_version, kSchemaVersion));
  }
  return FileKind::kStore;
}

absl::Status CreateSchema(const Database& database) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database, "BEGIN IMMEDIATE"));
  // Another process may have been first.
  ASSIGN_OR_RETURN(FileKind kind, CheckFileKind(database));
  if (kind == FileKind::kStore) return absl::OkStatus();
  RETURN_IF_ERROR(database.Execute(kSchema));
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

absl::StatusOr<std::unique_ptr<Database>> OpenConnection(const SqliteOptions& options) {
  ASSIGN_OR_RETURN(auto database, Database::Open(options.path, options.create_if_missing, options.busy_timeout));
  ASSIGN_OR_RETURN(FileKind kind, CheckFileKind(*database));
  if (kind == FileKind::kEmpty && !options.create_if_missing) {
    return absl::FailedPreconditionError(fmt::format("store sqlite:{}: not a store: the file is empty", options.path));
  }
  // Only now: a database of another application must be left as it is.
  RETURN_IF_ERROR(UseWriteAheadLog(*database, options.busy_timeout));
  RETURN_IF_ERROR(Configure(*database, options));
  if (kind == FileKind::kEmpty) RETURN_IF_ERROR(CreateSchema(*database));
  return database;
}

class SqliteWatch : public Watch {
 public:
  SqliteWatch(std::unique_ptr<Database> database, const FileIdentity& file, std::chrono::milliseconds poll_interval,
              int64_t after_sequence)
      : database_(std::move(database)), file_(file), poll_interval_(poll_interval), seen_(after_sequence) {}

  absl::StatusOr<std::vector<VersionInfo>> Next(std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
      if (stopped()) return absl::CancelledError("the watch was stopped");
      RETURN_IF_ERROR(CheckSameFile(database_->path(), file_));
      ASSIGN_OR_RETURN(std::vector<VersionInfo> changes, Look());
      if (!changes.empty()) return changes;
      const auto now = std::chrono::steady_clock::now();
      if (now >= deadline) return changes;
      std::unique_lock lock(mutex_);
      stop_.wait_until(lock, std::min<std::chrono::steady_clock::time_point>(deadline, now + poll_interval_),
                       [this] { return stopped_; });
    }
  }

  void Stop() override {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    stop_.notify_all();
  }

 private:
  bool stopped() {
    std::lock_guard lock(mutex_);
    return stopped_;
  }

  // `data_version` changes when any other connection, of this process or another, has committed.
  absl::StatusOr<std::vector<VersionInfo>> Look() {
    ASSIGN_OR_RETURN(int64_t data_version, database_->QueryInteger("PRAGMA data_version"));
    if (data_version == data_version_) return std::vector<VersionInfo>();
    ASSIGN_OR_RETURN(Statement row,
                     database_->Prepare(fmt::format(
                         "SELECT {} FROM versions WHERE sequence > ? ORDER BY sequence LIMIT ?", kInfoColumns)));
    row.BindInteger(seen_).BindInteger(static_cast<int64_t>(kWatchBatchMax));
    std::vector<VersionInfo> changes;
    while (true) {
      ASSIGN_OR_RETURN(bool more, row.Step());
      if (!more) break;
      changes.push_back(ReadInfo(row));
    }
    // Where the batch is full there may be more: look again next time.
    if (changes.size() < kWatchBatchMax) data_version_ = data_version;
    if (!changes.empty()) seen_ = changes.back().sequence;
    return changes;
  }

  const std::unique_ptr<Database> database_;
  const FileIdentity file_;
  const std::chrono::milliseconds poll_interval_;
  int64_t seen_;
  int64_t data_version_ = -1;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopped_ = false;
};

// What is about to be appended, in the words of both Publish and Rollback.
struct Append {
  std::string_view topic;
  std::string_view content;
  std::string_view author;
  std::string_view message;
  int64_t rollback_of = 0;
};

class SqliteStore : public Store {
 public:
  SqliteStore(SqliteOptions options, std::unique_ptr<Database> database)
      : options_(std::move(options)),
        name_(fmt::format("sqlite:{}", options_.path)),
        file_(FileIdentity::Of(options_.path)),
        database_(std::move(database)) {}

  absl::StatusOr<Published> Publish(const Publication& publication) override {
    RETURN_IF_ERROR(CheckTopic(publication.topic));
    RETURN_IF_ERROR(CheckSize(publication.topic, publication.content.size(), kContentBytesMax));
    RETURN_IF_ERROR(CheckWords(publication.author, publication.message));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, BeginWriting());
    ASSIGN_OR_RETURN(std::optional<VersionInfo> newest, NewestIfAny(publication.topic));
    RETURN_IF_ERROR(CheckExpected(publication.topic, publication.expected, newest));
    return AppendTo(newest, {publication.topic, publication.content, publication.author, publication.message},
                    transaction);
  }

  absl::StatusOr<Published> Rollback(const Restoration& restoration) override {
    RETURN_IF_ERROR(CheckTopic(restoration.topic));
    RETURN_IF_ERROR(CheckWords(restoration.author, restoration.message));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, BeginWriting());
    ASSIGN_OR_RETURN(VersionInfo newest, Newest(restoration.topic));
    RETURN_IF_ERROR(CheckExpected(restoration.topic, restoration.expected, newest));
    ASSIGN_OR_RETURN(Version old, ReadVersion(newest, restoration.to_version));
    return AppendTo(newest,
                    {restoration.topic, old.content, restoration.author, restoration.message, restoration.to_version},
                    transaction);
  }

  absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(VersionInfo newest, Newest(topic));
    return ReadVersion(newest, version.value_or(newest.version));
  }

  absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Statement row,
                     database_->Prepare(fmt::format(
                         "SELECT {} FROM versions WHERE topic = ? ORDER BY version DESC LIMIT ?", kInfoColumns)));
    row.BindText(topic).BindInteger(static_cast<int64_t>(std::min(versions_max, kHistoryVersionsMax)));
    std::vector<VersionInfo> history;
    while (true) {
      ASSIGN_OR_RETURN(bool more, row.Step());
      if (!more) break;
      history.push_back(ReadInfo(row));
    }
    if (history.empty() && versions_max > 0) return NoSuchTopic(topic);
    return history;
  }

  absl::StatusOr<LatestVersions> Latest() override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction one_moment, Transaction::Begin(*database_, "BEGIN"));
    LatestVersions latest;
    ASSIGN_OR_RETURN(latest.sequence, Sequence());
    ASSIGN_OR_RETURN(Statement row, database_->Prepare(fmt::format(
                                        "SELECT {} FROM versions WHERE (topic, version) IN "
                                        "(SELECT topic, max(version) FROM versions GROUP BY topic) ORDER BY topic",
                                        kInfoColumns)));
    while (true) {
      ASSIGN_OR_RETURN(bool more, row.Step());
      if (!more) break;
      latest.topics.push_back({ReadInfo(row), absl::UnknownError("not read yet")});
    }
    for (LatestVersion& topic : latest.topics) topic.content = ReadContent(topic.info);
    return latest;
  }

  absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) override {
    RETURN_IF_ERROR(CheckSameFile(options_.path, file_));
    SqliteOptions options = options_;
    options.create_if_missing = false;
    ASSIGN_OR_RETURN(auto database, OpenConnection(options));
    return std::make_unique<SqliteWatch>(std::move(database), file_, options_.poll_interval, after_sequence);
  }

  const std::string& name() const override { return name_; }

 private:
  static absl::Status CheckWords(std::string_view author, std::string_view message) {
    if (author.empty()) return absl::InvalidArgumentError("author: expected a name, found none");
    RETURN_IF_ERROR(CheckSize("author", author.size(), kAuthorBytesMax));
    RETURN_IF_ERROR(CheckSize("message", message.size(), kMessageBytesMax));
    for (const auto& [what, text] : {std::pair("author", author), std::pair("message", message)}) {
      if (!HoldsControlCharacters(text)) continue;
      return absl::InvalidArgumentError(fmt::format("{}: expected one line without control characters, found \"{}\"",
                                                    what, EscapeControlCharacters(text)));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Transaction> BeginWriting() {
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_, "BEGIN IMMEDIATE"));
    // A publish into a file that has no name any more would be lost with this process.
    RETURN_IF_ERROR(CheckSameFile(options_.path, file_));
    return transaction;
  }

  absl::StatusOr<int64_t> Sequence() {
    return database_->QueryInteger("SELECT coalesce(max(sequence), 0) FROM versions");
  }

  absl::Status NoSuchTopic(std::string_view topic) {
    return absl::NotFoundError(fmt::format("{}: nothing was published under '{}' yet", name_, topic));
  }

  absl::StatusOr<std::optional<VersionInfo>> NewestIfAny(std::string_view topic) {
    ASSIGN_OR_RETURN(Statement row,
                     database_->Prepare(fmt::format(
                         "SELECT {} FROM versions WHERE topic = ? ORDER BY version DESC LIMIT 1", kInfoColumns)));
    ASSIGN_OR_RETURN(bool found, row.BindText(topic).Step());
    if (!found) return std::nullopt;
    return ReadInfo(row);
  }

  absl::StatusOr<VersionInfo> Newest(std::string_view topic) {
    ASSIGN_OR_RETURN(std::optional<VersionInfo> newest, NewestIfAny(topic));
    if (!newest) return NoSuchTopic(topic);
    return *std::move(newest);
  }

  absl::StatusOr<Version> ReadVersion(const VersionInfo& newest, int64_t version) {
    ASSIGN_OR_RETURN(Statement row, database_->Prepare(fmt::format(
                                        "SELECT {} FROM versions WHERE topic = ? AND version = ?", kInfoColumns)));
    ASSIGN_OR_RETURN(bool found, row.BindText(newest.topic).BindInteger(version).Step());
    if (!found) {
      return absl::NotFoundError(
          fmt::format("{}: there is no version {}; versions are 1 to {}", newest.topic, version, newest.version));
    }
    Version result{ReadInfo(row), {}};
    ASSIGN_OR_RETURN(result.content, ReadContent(result.info));
    return result;
  }

  absl::StatusOr<std::string> ReadContent(const VersionInfo& info) {
    ASSIGN_OR_RETURN(Statement row, database_->Prepare("SELECT content FROM versions WHERE sequence = ?"));
    ASSIGN_OR_RETURN(bool found, row.BindInteger(info.sequence).Step());
    std::string content = found ? row.Bytes(0) : "";
    if (std::string hash = Sha256Hex(content); hash != info.content_hash) {
      return absl::DataLossError(
          fmt::format("{}: {} version {} is damaged: its content has hash {}, {} was published; publish it again, or "
                      "restore the store from a backup",
                      name_, info.topic, info.version, hash, info.content_hash));
    }
    return content;
  }

  absl::Status CheckExpected(std::string_view topic, const Expected& expected,
                             const std::optional<VersionInfo>& newest) {
    if (expected.version && *expected.version != (newest ? newest->version : 0)) {
      if (!newest) {
        return absl::AbortedError(fmt::format(
            "{}: expected version {}, but nothing was published yet; nothing was written", topic, *expected.version));
      }
      return absl::AbortedError(
          fmt::format("{}: expected version {}, but version {} is there, by {} at {}: \"{}\"; nothing was written",
                      topic, *expected.version, newest->version, EscapeControlCharacters(newest->author),
                      FormatTime(newest->unix_ms), EscapeControlCharacters(newest->message)));
    }
    if (!expected.sequence) return absl::OkStatus();
    ASSIGN_OR_RETURN(int64_t sequence, Sequence());
    if (*expected.sequence == sequence) return absl::OkStatus();
    return absl::AbortedError(fmt::format("{}: expected the store at sequence {}, but it is at {}; nothing was written",
                                          name_, *expected.sequence, sequence));
  }

  absl::StatusOr<Published> AppendTo(const std::optional<VersionInfo>& newest, const Append& append,
                                     Transaction& transaction) {
    VersionInfo info;
    info.content_hash = Sha256Hex(append.content);
    if (newest && newest->content_hash == info.content_hash) {
      // A damaged newest version is repaired by publishing the same content again.
      absl::StatusOr<std::string> stored = ReadContent(*newest);
      if (stored.ok()) return Published{*newest, /*unchanged=*/true};
      if (!absl::IsDataLoss(stored.status())) return stored.status();
    }
    info.topic = append.topic;
    info.version = newest ? newest->version + 1 : 1;
    ASSIGN_OR_RETURN(int64_t sequence, Sequence());
    info.sequence = sequence + 1;
    info.content_bytes = append.content.size();
    info.author = append.author;
    info.message = append.message;
    info.unix_ms = absl::ToUnixMillis(absl::Now());
    info.rollback_of = append.rollback_of;
    RETURN_IF_ERROR(Insert(info, append.content));
    RETURN_IF_ERROR(transaction.Commit());
    return Published{std::move(info), /*unchanged=*/false};
  }

  absl::Status Insert(const VersionInfo& info, std::string_view content) {
    ASSIGN_OR_RETURN(
        Statement insert,
        database_->Prepare("INSERT INTO versions (sequence, topic, version, content_hash, author, message, "
                           "unix_ms, rollback_of, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.BindInteger(info.sequence).BindText(info.topic).BindInteger(info.version).BindText(info.content_hash);
    insert.BindText(info.author).BindText(info.message).BindInteger(info.unix_ms).BindInteger(info.rollback_of);
    return insert.BindBlob(content).Step().status();
  }

  const SqliteOptions options_;
  const std::string name_;
  const FileIdentity file_;
  std::mutex mutex_;
  const std::unique_ptr<Database> database_;  // guarded by mutex_
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteOptions options) {
  if (options.path.empty() || options.path == ":memory:") {
    return absl::InvalidArgumentError(
        fmt::format("store 'sqlite:{}': expected the path of a file, for example sqlite:/var/lib/signalbox/store.db",
                    options.path));
  }
  ASSIGN_OR_RETURN(auto database, OpenConnection(options));
  return std::make_unique<SqliteStore>(std::move(options), std::move(database));
}

}  // namespace signalbox::store
