#include "store/sqlite_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "store/batch_check.h"
#include "store/sqlite_database.h"
#include "store/sqlite_file.h"
#include "store/sqlite_rows.h"
#include "store/sqlite_watch.h"

namespace signalbox::store {
namespace {

class SqliteStore : public Store {
 public:
  SqliteStore(SqliteOptions options, StoreClock clock, std::unique_ptr<Database> database)
      : options_(std::move(options)),
        clock_(std::move(clock)),
        name_(fmt::format("sqlite:{}", options_.path)),
        file_(FileIdentity::Of(options_.path)),
        database_(std::move(database)) {}

  absl::StatusOr<BatchResult> Write(const Batch& batch) override {
    RETURN_IF_ERROR(CheckBatch(batch));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, BeginWriting());
    // Only now: the transaction may have waited for another one.
    const LeaseMoment now = LeaseMoment::Of(clock_);
    RETURN_IF_ERROR(CheckRecords(batch, now));
    ASSIGN_OR_RETURN(int64_t sequence, Sequence());
    std::vector<std::optional<VersionInfo>> newest;
    for (const Publication& publication : batch.publications) {
      ASSIGN_OR_RETURN(newest.emplace_back(), NewestIfAny(publication.topic));
      RETURN_IF_ERROR(CheckExpected(name_, sequence, publication, newest.back()));
    }
    BatchResult result;
    for (size_t i = 0; i < batch.publications.size(); ++i) {
      ASSIGN_OR_RETURN(Published published, Append(batch.publications[i], newest[i], sequence));
      if (!published.unchanged) ++sequence;
      result.published.push_back(std::move(published));
    }
    if (!batch.records.empty()) {
      ASSIGN_OR_RETURN(result.records_revision, WriteRecords(*database_, now, batch.records));
    }
    RETURN_IF_ERROR(transaction.Commit());
    return result;
  }

  absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction one_moment, Transaction::Begin(*database_, "BEGIN"));
    ASSIGN_OR_RETURN(VersionInfo newest, Newest(topic));
    return ReadVersion(newest, version.value_or(newest.version));
  }

  absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Statement rows, database_->Prepare(fmt::format("{} WHERE topic = ? ORDER BY version DESC LIMIT ?",
                                                                    kSelectVersions)));
    rows.BindText(topic).BindInteger(static_cast<int64_t>(std::min(versions_max, kHistoryVersionsMax)));
    ASSIGN_OR_RETURN(std::vector<VersionInfo> history, ReadInfos(rows));
    if (history.empty() && versions_max > 0) return NoSuchTopic(name_, topic);
    return history;
  }

  absl::StatusOr<std::vector<VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) override {
    std::lock_guard lock(mutex_);
    return ReadChanges(*database_, after_sequence, changes_max);
  }

  absl::StatusOr<LatestVersions> Latest() override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction one_moment, Transaction::Begin(*database_, "BEGIN"));
    LatestVersions latest;
    ASSIGN_OR_RETURN(latest.sequence, Sequence());
    ASSIGN_OR_RETURN(Statement rows, database_->Prepare(fmt::format(
                                         "{} WHERE (topic, version) IN (SELECT topic, max(version) FROM versions "
                                         "GROUP BY topic) ORDER BY topic",
                                         kSelectVersions)));
    ASSIGN_OR_RETURN(std::vector<VersionInfo> infos, ReadInfos(rows));
    for (VersionInfo& info : infos) {
      absl::StatusOr<std::string> content = ReadContent(info);
      latest.topics.push_back({std::move(info), std::move(content)});
    }
    return latest;
  }

  absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) override {
    RETURN_IF_ERROR(CheckSameFile(options_.path, file_));
    SqliteOptions options = options_;
    options.create_if_missing = false;
    ASSIGN_OR_RETURN(auto database, OpenConnection(options));
    return WatchSqlite(std::move(database), file_, options_.poll_interval, after_sequence);
  }

  absl::StatusOr<std::vector<Record>> Records(std::string_view prefix) override {
    if (!prefix.empty()) RETURN_IF_ERROR(CheckRecordKey(prefix));
    std::lock_guard lock(mutex_);
    return ReadRecords(*database_, LeaseMoment::Of(clock_), prefix);
  }

  absl::StatusOr<std::optional<Record>> GetRecord(std::string_view key) override {
    RETURN_IF_ERROR(CheckRecordKey(key));
    std::lock_guard lock(mutex_);
    return ReadRecord(*database_, LeaseMoment::Of(clock_), key);
  }

  absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, BeginWriting());
    ASSIGN_OR_RETURN(VersionInfo newest, Newest(topic));
    ASSIGN_OR_RETURN(Statement rows,
                     database_->Prepare(fmt::format("{} WHERE topic = ? AND version <= ? AND content_bytes IS NULL",
                                                    kSelectVersions)));
    rows.BindText(topic).BindInteger(PrunedUpTo(newest.version, keep_newest));
    ASSIGN_OR_RETURN(std::vector<VersionInfo> old, ReadInfos(rows));
    size_t dropped = 0;
    for (const VersionInfo& info : old) {
      if (keep.contains(info.version)) continue;
      RETURN_IF_ERROR(InsertDropped(info));
      ASSIGN_OR_RETURN(Statement empty, database_->Prepare("UPDATE versions SET content = x'' WHERE sequence = ?"));
      RETURN_IF_ERROR(empty.BindInteger(info.sequence).Step().status());
      ++dropped;
    }
    RETURN_IF_ERROR(transaction.Commit());
    return dropped;
  }

  absl::Status Import(const std::vector<Version>& versions) override {
    RETURN_IF_ERROR(CheckImportSize(versions));
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, BeginWriting());
    ASSIGN_OR_RETURN(int64_t sequence, Sequence());
    for (const Version& version : versions) {
      ASSIGN_OR_RETURN(std::optional<VersionInfo> newest, NewestIfAny(version.info.topic));
      RETURN_IF_ERROR(CheckImport(name_, version, sequence, newest ? newest->version : 0));
      if (version.info.pruned) RETURN_IF_ERROR(InsertDropped(version.info));
      RETURN_IF_ERROR(Insert(version.info, version.info.pruned ? std::string_view() : version.content));
      ++sequence;
    }
    return transaction.Commit();
  }

  const std::string& name() const override { return name_; }

 private:
  absl::StatusOr<Transaction> BeginWriting() {
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_, "BEGIN IMMEDIATE"));
    // A publish into a file that has no name any more would be lost with this process.
    RETURN_IF_ERROR(CheckSameFile(options_.path, file_));
    return transaction;
  }

  absl::Status CheckRecords(const Batch& batch, const LeaseMoment& now) {
    if (batch.fence) {
      ASSIGN_OR_RETURN(std::optional<Record> present, ReadRecord(*database_, now, batch.fence->key));
      RETURN_IF_ERROR(CheckFence(*batch.fence, present));
    }
    for (const RecordWrite& write : batch.records) {
      if (!write.expected_revision) continue;
      ASSIGN_OR_RETURN(std::optional<Record> present, ReadRecord(*database_, now, write.key));
      RETURN_IF_ERROR(CheckExpected(write, present));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> Sequence() {
    return database_->QueryInteger("SELECT coalesce(max(sequence), 0) FROM versions");
  }

  absl::StatusOr<std::optional<VersionInfo>> NewestIfAny(std::string_view topic) {
    ASSIGN_OR_RETURN(Statement row, database_->Prepare(fmt::format("{} WHERE topic = ? ORDER BY version DESC LIMIT 1",
                                                                   kSelectVersions)));
    ASSIGN_OR_RETURN(bool found, row.BindText(topic).Step());
    if (!found) return std::nullopt;
    return ReadInfo(row);
  }

  absl::StatusOr<VersionInfo> Newest(std::string_view topic) {
    ASSIGN_OR_RETURN(std::optional<VersionInfo> newest, NewestIfAny(topic));
    if (!newest) return NoSuchTopic(name_, topic);
    return *std::move(newest);
  }

  absl::StatusOr<Version> ReadVersion(const VersionInfo& newest, int64_t version) {
    ASSIGN_OR_RETURN(Statement row,
                     database_->Prepare(fmt::format("{} WHERE topic = ? AND version = ?", kSelectVersions)));
    ASSIGN_OR_RETURN(bool found, row.BindText(newest.topic).BindInteger(version).Step());
    if (!found) return NoSuchVersion(newest.topic, version, newest.version);
    Version result{ReadInfo(row), {}};
    if (result.info.pruned) {
      ASSIGN_OR_RETURN(int64_t kept_from, KeptFrom(newest.topic));
      return ContentWasDropped(newest.topic, version, kept_from);
    }
    ASSIGN_OR_RETURN(result.content, ReadContent(result.info));
    return result;
  }

  absl::StatusOr<int64_t> KeptFrom(std::string_view topic) {
    ASSIGN_OR_RETURN(Statement row, database_->Prepare("SELECT max(version) + 1 FROM versions JOIN dropped USING "
                                                       "(sequence) WHERE topic = ?"));
    RETURN_IF_ERROR(row.BindText(topic).Step().status());
    return row.Integer(0);
  }

  absl::StatusOr<std::string> ReadContent(const VersionInfo& info) {
    ASSIGN_OR_RETURN(Statement row, database_->Prepare("SELECT content FROM versions WHERE sequence = ?"));
    ASSIGN_OR_RETURN(bool found, row.BindInteger(info.sequence).Step());
    std::string content = found ? row.Bytes(0) : "";
    if (std::string hash = Sha256Hex(content); hash != info.content_hash) return ContentIsDamaged(name_, info, hash);
    return content;
  }

  absl::StatusOr<Published> Append(const Publication& publication, const std::optional<VersionInfo>& newest,
                                   int64_t sequence) {
    VersionInfo info = NextVersion(publication, newest, sequence, clock_.unix_ms());
    if (newest && newest->content_hash == info.content_hash) {
      // A damaged newest version is repaired by publishing the same content again.
      absl::StatusOr<std::string> stored = ReadContent(*newest);
      if (stored.ok()) return Published{*newest, /*unchanged=*/true};
      if (!absl::IsDataLoss(stored.status())) return stored.status();
    }
    RETURN_IF_ERROR(Insert(info, publication.content));
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

  absl::Status InsertDropped(const VersionInfo& info) {
    ASSIGN_OR_RETURN(Statement insert,
                     database_->Prepare("INSERT INTO dropped (sequence, content_bytes) VALUES (?, ?)"));
    return insert.BindInteger(info.sequence).BindInteger(static_cast<int64_t>(info.content_bytes)).Step().status();
  }

  const SqliteOptions options_;
  const StoreClock clock_;
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
  StoreClock clock;
  if (options.clock) {
    clock = *options.clock;
  } else {
    ASSIGN_OR_RETURN(clock, StoreClock::OfMachine());
  }
  ASSIGN_OR_RETURN(auto database, OpenConnection(options));
  return std::make_unique<SqliteStore>(std::move(options), std::move(clock), std::move(database));
}

}  // namespace signalbox::store
