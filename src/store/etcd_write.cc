#include "store/etcd_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "base/unix_time.h"
#include "store/batch_check.h"
#include "store/etcd_upload.h"

namespace signalbox::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of etcd's 1.5 MiB, with some for the keys.
constexpr size_t kRequestBytesMax = 1400U << 10;
// Between two attempts that another writer was faster than, a random part of it: so that all get their turn.
constexpr milliseconds kContentionPauseMax{20};

// In whole seconds, and never earlier than asked for though it counts from a moment before the write.
int64_t LeaseSeconds(milliseconds expires_after) {
  return std::chrono::ceil<std::chrono::seconds>(expires_after + milliseconds(500)).count();
}

void PauseForOthers() {
  thread_local std::minstd_rand random(std::random_device{}());
  std::this_thread::sleep_for(
      milliseconds(std::uniform_int_distribution<int64_t>(0, kContentionPauseMax.count())(random)));
}

class BatchWrite {
 public:
  BatchWrite(const EtcdParts& parts, const Batch& batch)
      : parts_(parts),
        batch_(batch),
        write_id_(NewWriteId()),
        upload_(parts.client, parts.keys, write_id_, Room(batch)) {
    for (const Publication& publication : batch.publications) contents_.push_back(upload_.Add(publication.content));
  }

  absl::StatusOr<BatchResult> Run() {
    const auto deadline = steady_clock::now() + parts_.patience;
    for (bool is_first = true;; is_first = false) {
      // Also a batch that is always too late ends.
      if (!is_first && steady_clock::now() >= deadline) return GiveUp();
      absl::Status status = ReadPresent();
      if (!status.ok()) return absl::IsUnavailable(status) && !trouble_.ok() ? GiveUp() : status;
      if (!trouble_.ok()) {
        // An answer was lost: perhaps this was done.
        ASSIGN_OR_RETURN(bool is_done, IsDone());
        if (is_done) return done_;
      }
      RETURN_IF_ERROR(CheckPresent());
      ASSIGN_OR_RETURN(etcd::TxnRequest transaction, MakeTransaction());
      if (transaction.success_size() == 0) return done_;
      Nest(transaction);
      absl::StatusOr<etcd::TxnResponse> answer = parts_.client.Commit(transaction);
      if (answer.ok() && answer->succeeded()) {
        if (!batch_.records.empty()) done_.records_revision = answer->header().revision();
        return done_;
      }
      if (answer.ok()) {
        PauseForOthers();
      } else if (absl::IsUnavailable(answer.status())) {
        trouble_ = answer.status();
      } else if (absl::IsNotFound(answer.status())) {
        // A lease has ended before its time came: with a new one.
        is_sent_ = false;
      } else {
        return answer.status();
      }
    }
  }

 private:
  // What the transaction has left for contents.
  static size_t Room(const Batch& batch) {
    size_t taken = 16U << 10;
    for (const RecordWrite& write : batch.records)
      taken += write.key.size() + 128 + (write.value ? write.value->size() : 0);
    for (const Publication& publication : batch.publications)
      taken += 4 * publication.topic.size() + publication.author.size() + publication.message.size() + 512;
    return taken < kRequestBytesMax ? kRequestBytesMax - taken : 0;
  }

  absl::Status GiveUp() const {
    if (trouble_.ok()) {
      return absl::UnavailableError(
          fmt::format("store {}: others wrote at the same time for more than {} ms; nothing was written; try again",
                      parts_.store, parts_.patience.count()));
    }
    return absl::UnavailableError(
        fmt::format("store {}: etcd did not answer within {} ms; the write may have been done, look before you try "
                    "again; {}",
                    parts_.store, parts_.patience.count(), Message(trouble_)));
  }

  // The head, and all records that the batch names, of one moment.
  absl::Status ReadPresent() {
    etcd::TxnRequest read;
    AddGet(read, GetKey(parts_.keys.Head()));
    for (const RecordWrite& write : batch_.records) AddGet(read, GetKey(parts_.keys.Record(write.key)));
    if (batch_.fence) AddGet(read, GetKey(parts_.keys.Record(batch_.fence->key)));
    ASSIGN_OR_RETURN(etcd::TxnResponse answer, parts_.client.Read(read));
    ASSIGN_OR_RETURN(head_, parts_.reader.ToHead(answer.responses(0).response_range()));
    if (head_.revision == 0) {
      return absl::UnavailableError(
          fmt::format("store {}: it is gone: etcd holds nothing under '{}' any more; start this process again",
                      parts_.store, parts_.keys.prefix()));
    }
    records_.clear();
    for (int i = 1; i < answer.responses_size(); ++i) {
      const etcd::RangeResponse& range = answer.responses(i).response_range();
      Present present;
      if (range.kvs_size() > 0) {
        ASSIGN_OR_RETURN(StoredRecord stored, Parse<StoredRecord>(parts_.store, range.kvs(0)));
        present.record = RecordOf(parts_.keys, range.kvs(0), stored);
        present.write_id = stored.write_id();
      }
      records_.push_back(std::move(present));
    }
    newest_.clear();
    for (const Publication& publication : batch_.publications) {
      std::optional<StoredVersion>& newest = newest_.emplace_back();
      if (const int64_t version = head_.NewestOf(publication.topic); version > 0) {
        ASSIGN_OR_RETURN(newest, parts_.reader.ReadVersion(publication.topic, version));
      }
    }
    return absl::OkStatus();
  }

  // Of a transaction whose answer was lost. Another writer's has taken its place where none of this is found, and the
  // comparisons then keep it from being done later.
  absl::StatusOr<bool> IsDone() {
    for (Published& published : done_.published) {
      if (published.unchanged) continue;
      const VersionInfo& info = published.info;
      if (head_.NewestOf(info.topic) < info.version) return false;
      ASSIGN_OR_RETURN(StoredVersion stored, parts_.reader.ReadVersion(info.topic, info.version));
      if (stored.write_id() != write_id_) return false;
    }
    const bool publishes = std::any_of(done_.published.begin(), done_.published.end(),
                                       [](const Published& published) { return !published.unchanged; });
    bool has_found = publishes;
    bool all_absent = true;
    for (size_t i = 0; i < batch_.records.size(); ++i) {
      if (records_[i].record) all_absent = false;
      if (!batch_.records[i].value || records_[i].write_id != write_id_) continue;
      done_.records_revision = records_[i].record->revision;
      has_found = true;
    }
    const bool only_deletes =
        !publishes && std::none_of(batch_.records.begin(), batch_.records.end(),
                                   [](const RecordWrite& write) { return write.value.has_value(); });
    if (only_deletes && all_absent) {
      // Gone, by this write or another: what was wanted.
      done_.records_revision = head_.revision;
      return true;
    }
    // Another writer has replaced the records since: a revision that is not theirs any more either.
    if (has_found && !batch_.records.empty() && done_.records_revision == 0) done_.records_revision = head_.revision;
    return has_found;
  }

  absl::Status CheckPresent() const {
    if (batch_.fence) RETURN_IF_ERROR(CheckFence(*batch_.fence, records_.back().record));
    for (size_t i = 0; i < batch_.records.size(); ++i)
      RETURN_IF_ERROR(CheckExpected(batch_.records[i], records_[i].record));
    for (size_t i = 0; i < batch_.publications.size(); ++i) {
      std::optional<VersionInfo> newest;
      if (newest_[i]) newest = InfoOf(*newest_[i]);
      RETURN_IF_ERROR(CheckExpected(parts_.store, head_.content.sequence(), batch_.publications[i], newest));
    }
    return absl::OkStatus();
  }

  // Fills in `done_` with what it will have done.
  absl::StatusOr<etcd::TxnRequest> MakeTransaction() {
    etcd::TxnRequest transaction;
    RETURN_IF_ERROR(AddVersions(transaction));
    RETURN_IF_ERROR(AddRecords(transaction));
    // A batch that changes nothing needs no comparison: it was read of one moment.
    if (transaction.success_size() == 0) return transaction;
    if (batch_.fence)
      CompareCreated(transaction, parts_.keys.Record(batch_.fence->key), batch_.fence->created_revision);
    if (!batch_.publications.empty()) CompareChanged(transaction, parts_.keys.Head(), head_.revision);
    return transaction;
  }

  absl::Status AddVersions(etcd::TxnRequest& transaction) {
    done_.published.clear();
    StoredHead head = head_.content;
    for (size_t i = 0; i < batch_.publications.size(); ++i) {
      const Publication& publication = batch_.publications[i];
      std::optional<VersionInfo> newest;
      if (newest_[i]) newest = InfoOf(*newest_[i]);
      VersionInfo info = NextVersion(publication, newest, head.sequence(), unix_ms_);
      ASSIGN_OR_RETURN(bool is_unchanged, IsIntact(newest_[i], info.content_hash));
      if (is_unchanged) {
        done_.published.push_back({*std::move(newest), /*unchanged=*/true});
        continue;
      }
      StoredVersion stored = ToStored(info);
      stored.set_content(contents_[i]);
      stored.set_write_id(write_id_);
      AddPut(transaction, parts_.keys.Version(info.topic, info.version), stored.SerializeAsString());
      AddPut(transaction, parts_.keys.Sequence(info.sequence), PointerTo(info.topic, info.version));
      upload_.AddTo(transaction, contents_[i]);
      head.set_sequence(info.sequence);
      (*head.mutable_versions())[info.topic] = info.version;
      done_.published.push_back({std::move(info), /*unchanged=*/false});
    }
    if (transaction.success_size() == 0) return absl::OkStatus();
    AddPut(transaction, parts_.keys.Head(), head.SerializeAsString());
    return std::exchange(is_sent_, true) ? absl::OkStatus() : upload_.Send();
  }

  // Whether `version` has this content. A damaged one is repaired by publishing the same content again.
  absl::StatusOr<bool> IsIntact(const std::optional<StoredVersion>& version, const std::string& content_hash) {
    if (!version || version->content_hash() != content_hash || version->pruned()) return false;
    absl::StatusOr<std::string> content = parts_.reader.ReadContent(*version);
    if (content.ok() || absl::IsDataLoss(content.status())) return content.ok();
    return content.status();
  }

  absl::Status AddRecords(etcd::TxnRequest& transaction) {
    std::map<int64_t, int64_t> leases;  // by seconds, of this attempt: a lease's time runs from its grant
    for (size_t i = 0; i < batch_.records.size(); ++i) {
      const RecordWrite& write = batch_.records[i];
      const std::string key = parts_.keys.Record(write.key);
      // Also where nothing is expected: a transaction that etcd still has, and was given up, must not be done after the
      // one that follows it.
      CompareChanged(transaction, key, records_[i].record ? records_[i].record->revision : 0);
      if (!write.value) {
        AddDelete(transaction, key);
        continue;
      }
      StoredRecord stored;
      stored.set_value(*write.value);
      stored.set_expires_after_ms(write.expires_after.count());
      stored.set_write_id(write_id_);
      etcd::PutRequest& put = AddPut(transaction, key, stored.SerializeAsString());
      if (write.expires_after.count() == 0) continue;
      int64_t& lease = leases[LeaseSeconds(write.expires_after)];
      if (lease == 0) {
        ASSIGN_OR_RETURN(lease, parts_.client.GrantLease(LeaseSeconds(write.expires_after)));
      }
      put.set_lease(lease);
    }
    return absl::OkStatus();
  }

  struct Present {
    std::optional<Record> record;
    std::string write_id;
  };

  const EtcdParts& parts_;
  const Batch& batch_;
  const std::string write_id_;
  const int64_t unix_ms_ = NowUnixMs();
  EtcdUpload upload_;
  std::vector<std::string> contents_;  // by publication: the name of its chunks
  bool is_sent_ = false;               // of `upload_`
  // As they were last read.
  EtcdHead head_;
  std::vector<Present> records_;                      // by record, and the fence's
  std::vector<std::optional<StoredVersion>> newest_;  // by publication
  absl::Status trouble_;                              // of the last answer that was lost
  BatchResult done_;                                  // of the last transaction that was sent
};

}  // namespace

absl::StatusOr<BatchResult> WriteToEtcd(const EtcdParts& parts, const Batch& batch) {
  return BatchWrite(parts, batch).Run();
}

absl::Status ImportToEtcd(const EtcdParts& parts, const std::vector<Version>& versions) {
  ASSIGN_OR_RETURN(EtcdHead head, parts.reader.ReadHead());
  EtcdUpload upload(parts.client, parts.keys, NewWriteId(), kRequestBytesMax / 2);
  etcd::TxnRequest transaction;
  CompareChanged(transaction, parts.keys.Head(), head.revision);
  for (const Version& version : versions) {
    const VersionInfo& info = version.info;
    RETURN_IF_ERROR(CheckImport(parts.store, version, head.content.sequence(), head.NewestOf(info.topic)));
    StoredVersion stored = ToStored(info);
    stored.set_content(upload.Add(info.pruned ? std::string_view() : version.content));
    upload.AddTo(transaction, stored.content());
    AddPut(transaction, parts.keys.Version(info.topic, info.version), stored.SerializeAsString());
    AddPut(transaction, parts.keys.Sequence(info.sequence), PointerTo(info.topic, info.version));
    head.content.set_sequence(info.sequence);
    (*head.content.mutable_versions())[info.topic] = info.version;
  }
  AddPut(transaction, parts.keys.Head(), head.content.SerializeAsString());
  RETURN_IF_ERROR(upload.Send());
  Nest(transaction);
  ASSIGN_OR_RETURN(etcd::TxnResponse answer, parts.client.Commit(transaction));
  if (answer.succeeded()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "store {}: somebody else has written to it; copy to an empty store that nobody else writes to", parts.store));
}

std::string NewWriteId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

}  // namespace signalbox::store
