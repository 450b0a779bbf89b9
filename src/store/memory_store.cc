#include "store/memory_store.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "store/batch_check.h"

namespace signalbox::store {
namespace {

struct StoredRecord {
  Record record;
  std::chrono::milliseconds expires_at{0};
  std::string boot;
};

struct Tables {
  std::vector<Version> versions;                                    // by sequence, from 1
  std::map<std::string, std::vector<int64_t>, std::less<>> topics;  // sequences, by version from 1
  std::map<std::string, StoredRecord, std::less<>> records;         // also expired ones, until the next write
  int64_t records_revision = 0;
};

}  // namespace

class MemoryContent {
 public:
  mutable std::mutex mutex;
  std::condition_variable changed;
  Tables tables;  // guarded by mutex
};

namespace {

class MemoryWatch : public Watch {
 public:
  MemoryWatch(std::shared_ptr<MemoryContent> content, int64_t after_sequence)
      : content_(std::move(content)), seen_(after_sequence) {
    std::lock_guard lock(content_->mutex);
    records_revision_ = content_->tables.records_revision;
  }

  absl::StatusOr<std::vector<VersionInfo>> Next(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(content_->mutex);
    const Tables& tables = content_->tables;
    auto is_ready = [&] {
      return stopped_ || std::ssize(tables.versions) > seen_ || tables.records_revision != records_revision_;
    };
    if (timeout.count() > 0) content_->changed.wait_for(lock, timeout, is_ready);
    if (stopped_) return absl::CancelledError("the watch was stopped");
    std::vector<VersionInfo> changes;
    for (; seen_ < std::ssize(tables.versions) && changes.size() < kWatchBatchMax; ++seen_)
      changes.push_back(tables.versions[static_cast<size_t>(seen_)].info);
    records_revision_ = tables.records_revision;
    return changes;
  }

  int64_t records_revision() const override { return records_revision_; }

  void Stop() override {
    std::lock_guard lock(content_->mutex);
    stopped_ = true;
    content_->changed.notify_all();
  }

 private:
  const std::shared_ptr<MemoryContent> content_;
  int64_t seen_;
  int64_t records_revision_ = 0;
  bool stopped_ = false;  // guarded by the content's mutex
};

class MemoryStore : public Store {
 public:
  MemoryStore(std::shared_ptr<MemoryContent> content, StoreClock clock, std::string name)
      : content_(std::move(content)), tables_(content_->tables), clock_(std::move(clock)), name_(std::move(name)) {}

  absl::StatusOr<BatchResult> Write(const Batch& batch) override {
    RETURN_IF_ERROR(CheckBatch(batch));
    std::lock_guard lock(content_->mutex);
    const auto now = clock_.since_boot();
    if (batch.fence) RETURN_IF_ERROR(CheckFence(*batch.fence, Find(batch.fence->key, now)));
    for (const RecordWrite& write : batch.records) RETURN_IF_ERROR(CheckExpected(write, Find(write.key, now)));
    for (const Publication& publication : batch.publications)
      RETURN_IF_ERROR(CheckExpected(name_, sequence(), publication, NewestIfAny(publication.topic)));
    BatchResult result;
    for (const Publication& publication : batch.publications) result.published.push_back(Append(publication));
    if (!batch.records.empty()) result.records_revision = WriteRecords(batch.records, now);
    content_->changed.notify_all();
    return result;
  }

  absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(content_->mutex);
    ASSIGN_OR_RETURN(const std::vector<int64_t>* sequences, SequencesOf(topic));
    const int64_t wanted = version.value_or(std::ssize(*sequences));
    if (wanted < 1 || wanted > std::ssize(*sequences)) return NoSuchVersion(topic, wanted, std::ssize(*sequences));
    const Version& found = VersionOf((*sequences)[static_cast<size_t>(wanted - 1)]);
    if (!found.info.pruned) return found;
    int64_t kept_from = 1;
    for (int64_t sequence : *sequences) {
      if (const VersionInfo& info = VersionOf(sequence).info; info.pruned) kept_from = info.version + 1;
    }
    return ContentWasDropped(topic, wanted, kept_from);
  }

  absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(content_->mutex);
    ASSIGN_OR_RETURN(const std::vector<int64_t>* sequences, SequencesOf(topic));
    std::vector<VersionInfo> history;
    versions_max = std::min(versions_max, kHistoryVersionsMax);
    for (auto next = sequences->rbegin(); next != sequences->rend() && history.size() < versions_max; ++next)
      history.push_back(VersionOf(*next).info);
    return history;
  }

  absl::StatusOr<std::vector<VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) override {
    std::lock_guard lock(content_->mutex);
    std::vector<VersionInfo> changes;
    changes_max = std::min(changes_max, kHistoryVersionsMax);
    for (int64_t next = std::max<int64_t>(after_sequence, 0) + 1; next <= sequence() && changes.size() < changes_max;
         ++next) {
      changes.push_back(VersionOf(next).info);
    }
    return changes;
  }

  absl::StatusOr<LatestVersions> Latest() override {
    std::lock_guard lock(content_->mutex);
    LatestVersions latest;
    latest.sequence = sequence();
    for (const auto& [topic, sequences] : tables_.topics) {
      const Version& version = VersionOf(sequences.back());
      latest.topics.push_back({version.info, version.content});
    }
    return latest;
  }

  absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) override {
    return std::make_unique<MemoryWatch>(content_, after_sequence);
  }

  absl::StatusOr<std::vector<Record>> Records(std::string_view prefix) override {
    if (!prefix.empty()) RETURN_IF_ERROR(CheckRecordKey(prefix));
    std::lock_guard lock(content_->mutex);
    const auto now = clock_.since_boot();
    std::vector<Record> records;
    for (auto next = tables_.records.lower_bound(prefix);
         next != tables_.records.end() && next->first.starts_with(prefix); ++next) {
      if (IsAlive(next->second, now)) records.push_back(next->second.record);
    }
    return records;
  }

  absl::StatusOr<std::optional<Record>> GetRecord(std::string_view key) override {
    RETURN_IF_ERROR(CheckRecordKey(key));
    std::lock_guard lock(content_->mutex);
    return Find(key, clock_.since_boot());
  }

  absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(content_->mutex);
    ASSIGN_OR_RETURN(const std::vector<int64_t>* sequences, SequencesOf(topic));
    size_t dropped = 0;
    for (int64_t version = 1; version <= PrunedUpTo(std::ssize(*sequences), keep_newest); ++version) {
      Version& old = VersionOf((*sequences)[static_cast<size_t>(version - 1)]);
      if (old.info.pruned || keep.contains(version)) continue;
      old.info.pruned = true;
      old.content = {};
      ++dropped;
    }
    return dropped;
  }

  absl::Status Import(const std::vector<Version>& versions) override {
    RETURN_IF_ERROR(CheckImportSize(versions));
    std::lock_guard lock(content_->mutex);
    const Tables before = tables_;
    for (const Version& version : versions) {
      const std::optional<VersionInfo> newest = NewestIfAny(version.info.topic);
      if (absl::Status status = CheckImport(name_, version, sequence(), newest ? newest->version : 0); !status.ok()) {
        tables_ = before;
        return status;
      }
      Add({version.info, version.info.pruned ? std::string() : version.content});
    }
    content_->changed.notify_all();
    return absl::OkStatus();
  }

  const std::string& name() const override { return name_; }

 private:
  int64_t sequence() const { return std::ssize(tables_.versions); }
  Version& VersionOf(int64_t sequence) { return tables_.versions[static_cast<size_t>(sequence - 1)]; }

  absl::StatusOr<const std::vector<int64_t>*> SequencesOf(std::string_view topic) {
    const auto found = tables_.topics.find(topic);
    if (found == tables_.topics.end()) return NoSuchTopic(name_, topic);
    return &found->second;
  }

  std::optional<VersionInfo> NewestIfAny(std::string_view topic) {
    const auto found = tables_.topics.find(topic);
    if (found == tables_.topics.end()) return std::nullopt;
    return VersionOf(found->second.back()).info;
  }

  void Add(Version version) {
    tables_.topics[version.info.topic].push_back(version.info.sequence);
    tables_.versions.push_back(std::move(version));
  }

  Published Append(const Publication& publication) {
    const std::optional<VersionInfo> newest = NewestIfAny(publication.topic);
    VersionInfo info = NextVersion(publication, newest, sequence(), clock_.unix_ms());
    if (newest && newest->content_hash == info.content_hash && !newest->pruned) return {*newest, /*unchanged=*/true};
    Add({info, publication.content});
    return {std::move(info), /*unchanged=*/false};
  }

  // What was written in another life of the machine and expires has expired.
  bool IsAlive(const StoredRecord& stored, std::chrono::milliseconds now) const {
    return stored.record.expires_after.count() == 0 || (stored.boot == clock_.boot && stored.expires_at > now);
  }

  std::optional<Record> Find(std::string_view key, std::chrono::milliseconds now) const {
    const auto found = tables_.records.find(key);
    if (found == tables_.records.end() || !IsAlive(found->second, now)) return std::nullopt;
    return found->second.record;
  }

  int64_t WriteRecords(const std::vector<RecordWrite>& writes, std::chrono::milliseconds now) {
    const int64_t revision = ++tables_.records_revision;
    std::erase_if(tables_.records, [&](const auto& entry) { return !IsAlive(entry.second, now); });
    for (const RecordWrite& write : writes) {
      if (!write.value) {
        tables_.records.erase(write.key);
        continue;
      }
      StoredRecord& stored = tables_.records[write.key];
      if (stored.record.created_revision == 0) stored.record.created_revision = revision;
      stored.record.key = write.key;
      stored.record.value = *write.value;
      stored.record.revision = revision;
      stored.record.expires_after = write.expires_after;
      stored.expires_at = now + write.expires_after;
      stored.boot = clock_.boot;
    }
    return revision;
  }

  const std::shared_ptr<MemoryContent> content_;
  Tables& tables_;  // of content_, guarded by its mutex
  const StoreClock clock_;
  const std::string name_;
};

}  // namespace

std::shared_ptr<MemoryContent> NewMemoryContent() { return std::make_shared<MemoryContent>(); }

std::shared_ptr<MemoryContent> CopyOf(const MemoryContent& content) {
  auto copy = std::make_shared<MemoryContent>();
  std::lock_guard lock(content.mutex);
  copy->tables = content.tables;
  return copy;
}

std::unique_ptr<Store> OpenMemoryStore(std::shared_ptr<MemoryContent> content, StoreClock clock, std::string name) {
  return std::make_unique<MemoryStore>(std::move(content), std::move(clock), std::move(name));
}

}  // namespace signalbox::store
