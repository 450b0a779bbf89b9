#include "store/store_copy.h"

#include <fmt/format.h>

#include <set>
#include <utility>
#include <vector>

#include "base/status.h"

namespace signalbox::store {
namespace {

constexpr std::string_view kHowToEmpty =
    "a copy needs an empty store; if nothing in this one is needed, remove the file and its -wal and -shm, or of etcd "
    "the keys (`etcdctl del --prefix signalbox/`)";

absl::Status CheckEmpty(Store& to) {
  ASSIGN_OR_RETURN(std::vector<VersionInfo> first, to.Changes(0, 1));
  ASSIGN_OR_RETURN(std::vector<Record> records, to.Records(""));
  if (first.empty() && records.empty()) return absl::OkStatus();
  return absl::AbortedError(
      fmt::format("store {}: something is in it already, nothing was copied; {}", to.name(), kHowToEmpty));
}

// What follows `after_sequence` and fits into one import.
absl::StatusOr<std::vector<Version>> ReadNext(Store& from, int64_t after_sequence) {
  ASSIGN_OR_RETURN(std::vector<VersionInfo> infos, from.Changes(after_sequence, kImportVersionsMax));
  std::vector<Version> versions;
  size_t bytes = 0;
  for (VersionInfo& info : infos) {
    bytes += info.pruned ? 0 : info.content_bytes;
    if (!versions.empty() && bytes > kBatchContentBytesMax) break;
    Version& version = versions.emplace_back();
    if (!info.pruned) {
      ASSIGN_OR_RETURN(Version whole, from.Get(info.topic, info.version));
      version.content = std::move(whole.content);
    }
    version.info = std::move(info);
  }
  return versions;
}

absl::Status CopyRecords(const std::vector<Record>& records, Store& to) {
  Batch batch;
  size_t bytes = 0;
  for (const Record& record : records) {
    const size_t record_bytes = record.key.size() + record.value.size();
    if (batch.records.size() == kBatchRecordsMax || bytes + record_bytes > kRecordBytesMax) {
      RETURN_IF_ERROR(to.Write(batch).status());
      batch.records.clear();
      bytes = 0;
    }
    batch.records.push_back({record.key, record.value, 0});
    bytes += record_bytes;
  }
  return to.Write(batch).status();
}

absl::StatusOr<std::vector<Record>> LastingRecords(Store& store) {
  ASSIGN_OR_RETURN(std::vector<Record> records, store.Records(""));
  std::erase_if(records, [](const Record& record) { return record.expires_after.count() != 0; });
  return records;
}

bool IsSame(const VersionInfo& a, const VersionInfo& b) {
  return a.topic == b.topic && a.version == b.version && a.sequence == b.sequence && a.content_hash == b.content_hash &&
         a.content_bytes == b.content_bytes && a.author == b.author && a.message == b.message &&
         a.unix_ms == b.unix_ms && a.rollback_of == b.rollback_of && a.pruned == b.pruned;
}

absl::Status Differs(Store& from, Store& to, std::string_view what) {
  return absl::AbortedError(
      fmt::format("store {}: {} is not as in {}: somebody has written to one of them meanwhile; "
                  "stop who does, and copy again; {}",
                  to.name(), what, from.name(), kHowToEmpty));
}

// Both read from the start, and the contents of `to` against their hashes.
absl::Status Compare(Store& from, Store& to) {
  for (int64_t sequence = 0;;) {
    ASSIGN_OR_RETURN(std::vector<VersionInfo> source, from.Changes(sequence, kHistoryVersionsMax));
    ASSIGN_OR_RETURN(std::vector<VersionInfo> copy, to.Changes(sequence, kHistoryVersionsMax));
    if (source.empty() && copy.empty()) break;
    for (size_t i = 0; i < source.size() || i < copy.size(); ++i) {
      ++sequence;
      if (i >= source.size() || i >= copy.size() || !IsSame(source[i], copy[i]))
        return Differs(from, to, fmt::format("sequence {}", sequence));
      if (!copy[i].pruned) RETURN_IF_ERROR(to.Get(copy[i].topic, copy[i].version).status());
    }
  }
  ASSIGN_OR_RETURN(std::vector<Record> source, LastingRecords(from));
  ASSIGN_OR_RETURN(std::vector<Record> copy, LastingRecords(to));
  bool is_same = source.size() == copy.size();
  for (size_t i = 0; is_same && i < source.size(); ++i)
    is_same = source[i].key == copy[i].key && source[i].value == copy[i].value;
  return is_same ? absl::OkStatus() : Differs(from, to, "a record");
}

}  // namespace

absl::StatusOr<CopyResult> CopyStore(Store& from, Store& to) {
  RETURN_IF_ERROR(CheckEmpty(to));
  CopyResult result;
  std::set<std::string> topics;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<Version> versions, ReadNext(from, result.sequence));
    if (versions.empty()) break;
    RETURN_IF_ERROR(to.Import(versions));
    for (const Version& version : versions) {
      topics.insert(version.info.topic);
      if (version.info.pruned) ++result.pruned;
    }
    result.sequence = versions.back().info.sequence;
  }
  ASSIGN_OR_RETURN(std::vector<Record> records, LastingRecords(from));
  RETURN_IF_ERROR(CopyRecords(records, to));
  RETURN_IF_ERROR(Compare(from, to));
  result.topics = topics.size();
  result.records = records.size();
  return result;
}

}  // namespace signalbox::store
