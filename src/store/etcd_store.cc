#include "store/etcd_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "store/batch_check.h"
#include "store/etcd_client.h"
#include "store/etcd_layout.h"
#include "store/etcd_reader.h"
#include "store/etcd_watch.h"
#include "store/etcd_write.h"

namespace signalbox::store {
namespace {

// Versions that retention drops in one transaction.
constexpr size_t kPrunedAtOnce = 25;

class EtcdStore : public Store {
 public:
  EtcdStore(std::string name, EtcdOptions options)
      : options_(std::move(options)),
        name_(std::move(name)),
        keys_(options_.prefix),
        client_(name_, options_),
        reader_(name_, client_, keys_) {}

  absl::Status Begin() {
    ASSIGN_OR_RETURN(EtcdHead head, reader_.ReadHead());
    if (head.revision != 0) return absl::OkStatus();
    if (!options_.create_if_missing) {
      return absl::NotFoundError(
          fmt::format("store {}: there is none: etcd holds nothing under '{}'; the first "
                      "`signalbox rules publish`, or a control plane, makes it",
                      name_, keys_.prefix()));
    }
    etcd::TxnRequest make;
    CompareChanged(make, keys_.Head(), 0);
    head.content.set_format(kEtcdFormat);
    AddPut(make, keys_.Head(), head.content.SerializeAsString());
    // Done or not, by this process or another: one is there.
    return client_.Repeat(make);
  }

  absl::StatusOr<BatchResult> Write(const Batch& batch) override {
    RETURN_IF_ERROR(CheckBatch(batch));
    std::lock_guard lock(write_mutex_);
    return WriteToEtcd(parts(), batch);
  }

  absl::StatusOr<Version> Get(std::string_view topic, std::optional<int64_t> version) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    ASSIGN_OR_RETURN(int64_t newest, Newest(topic));
    const int64_t wanted = version.value_or(newest);
    if (wanted < 1 || wanted > newest) return NoSuchVersion(topic, wanted, newest);
    ASSIGN_OR_RETURN(StoredVersion stored, reader_.ReadVersion(topic, wanted));
    if (stored.pruned()) return WasDropped(topic, wanted);
    absl::StatusOr<std::string> content = reader_.ReadContent(stored);
    if (content.ok()) return Version{InfoOf(stored), *std::move(content)};
    if (!absl::IsDataLoss(content.status())) return content.status();
    // Damaged, or dropped between the two reads.
    ASSIGN_OR_RETURN(stored, reader_.ReadVersion(topic, wanted));
    return stored.pruned() ? WasDropped(topic, wanted) : content.status();
  }

  absl::StatusOr<std::vector<VersionInfo>> History(std::string_view topic, size_t versions_max) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    if (versions_max == 0) return std::vector<VersionInfo>();
    ASSIGN_OR_RETURN(std::vector<StoredVersion> stored,
                     reader_.ReadHistory(topic, std::min(versions_max, kHistoryVersionsMax)));
    if (stored.empty()) return NoSuchTopic(name_, topic);
    std::vector<VersionInfo> history;
    for (const StoredVersion& version : stored) history.push_back(InfoOf(version));
    return history;
  }

  absl::StatusOr<std::vector<VersionInfo>> Changes(int64_t after_sequence, size_t changes_max) override {
    return reader_.ReadChanges(after_sequence, changes_max);
  }

  absl::StatusOr<LatestVersions> Latest() override { return reader_.ReadLatest(); }

  absl::StatusOr<std::unique_ptr<Watch>> WatchChanges(int64_t after_sequence) override {
    return WatchEtcd(name_, options_, after_sequence);
  }

  absl::StatusOr<std::vector<Record>> Records(std::string_view prefix) override {
    if (!prefix.empty()) RETURN_IF_ERROR(CheckRecordKey(prefix));
    ASSIGN_OR_RETURN(etcd::RangeResponse answer, client_.Range(GetPrefix(keys_.Record(prefix))));
    std::vector<Record> records;
    for (const mvccpb::KeyValue& pair : answer.kvs()) {
      ASSIGN_OR_RETURN(StoredRecord stored, Parse<StoredRecord>(name_, pair));
      records.push_back(RecordOf(keys_, pair, stored));
    }
    return records;
  }

  absl::StatusOr<std::optional<Record>> GetRecord(std::string_view key) override {
    RETURN_IF_ERROR(CheckRecordKey(key));
    ASSIGN_OR_RETURN(etcd::RangeResponse answer, client_.Range(GetKey(keys_.Record(key))));
    if (answer.kvs_size() == 0) return std::nullopt;
    ASSIGN_OR_RETURN(StoredRecord stored, Parse<StoredRecord>(name_, answer.kvs(0)));
    return RecordOf(keys_, answer.kvs(0), stored);
  }

  absl::StatusOr<size_t> Prune(std::string_view topic, size_t keep_newest, const std::set<int64_t>& keep) override {
    RETURN_IF_ERROR(CheckTopic(topic));
    std::lock_guard lock(write_mutex_);
    ASSIGN_OR_RETURN(int64_t newest, Newest(topic));
    ASSIGN_OR_RETURN(std::vector<StoredVersion> versions, reader_.ReadHistory(topic, static_cast<size_t>(newest)));
    const int64_t up_to = PrunedUpTo(newest, keep_newest);
    std::erase_if(versions, [&](const StoredVersion& version) {
      return version.version() > up_to || version.pruned() || keep.contains(version.version());
    });
    for (size_t begin = 0; begin < versions.size(); begin += kPrunedAtOnce) {
      etcd::TxnRequest drop;
      for (size_t i = begin; i < std::min(begin + kPrunedAtOnce, versions.size()); ++i) {
        AddDeletePrefix(drop, keys_.Chunks(versions[i].content()));
        versions[i].set_pruned(true);
        AddPut(drop, keys_.Version(topic, versions[i].version()), versions[i].SerializeAsString());
      }
      // What is old now stays old, and nothing else of a version ever changes: no comparison, and twice is as once.
      RETURN_IF_ERROR(client_.Repeat(drop));
    }
    return versions.size();
  }

  absl::Status Import(const std::vector<Version>& versions) override {
    RETURN_IF_ERROR(CheckImportSize(versions));
    std::lock_guard lock(write_mutex_);
    return ImportToEtcd(parts(), versions);
  }

  const std::string& name() const override { return name_; }

 private:
  EtcdParts parts() { return {name_, client_, reader_, keys_, options_.patience}; }

  absl::StatusOr<int64_t> Newest(std::string_view topic) {
    ASSIGN_OR_RETURN(EtcdHead head, reader_.ReadHead());
    const int64_t newest = head.NewestOf(topic);
    if (newest == 0) return NoSuchTopic(name_, topic);
    return newest;
  }

  absl::Status WasDropped(std::string_view topic, int64_t version) {
    ASSIGN_OR_RETURN(std::vector<StoredVersion> history, reader_.ReadHistory(topic, kHistoryVersionsMax));
    for (const StoredVersion& stored : history) {
      if (stored.pruned()) return ContentWasDropped(topic, version, stored.version() + 1);
    }
    return ContentWasDropped(topic, version, version + 1);
  }

  const EtcdOptions options_;
  const std::string name_;
  const EtcdKeys keys_;
  EtcdClient client_;
  EtcdReader reader_;
  std::mutex write_mutex_;  // threads of one process wait for each other here, and not by trying again
};

absl::Status SpecError(std::string_view text) {
  return absl::InvalidArgumentError(
      fmt::format("store 'etcd:{}': expected etcd:HOST:PORT[,HOST:PORT...][/PREFIX], for example "
                  "etcd:10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379",
                  text));
}

bool IsEndpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view port = text.substr(colon + 1);
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  auto is_printable = [](char c) { return c > ' ' && c <= '~'; };
  return !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit) &&
         std::all_of(text.begin(), text.end(), is_printable);
}

}  // namespace

absl::StatusOr<EtcdOptions> ParseEtcdSpec(std::string_view text) {
  EtcdOptions options;
  std::string_view endpoints = text;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    options.prefix = text.substr(slash + 1);
    endpoints = text.substr(0, slash);
    if (!CheckNamespace(options.prefix).ok()) return SpecError(text);
  }
  while (true) {
    const size_t comma = endpoints.find(',');
    const std::string_view endpoint = endpoints.substr(0, comma);
    if (!IsEndpoint(endpoint)) return SpecError(text);
    options.endpoints.emplace_back(endpoint);
    if (comma == std::string_view::npos) return options;
    endpoints.remove_prefix(comma + 1);
  }
}

absl::StatusOr<std::unique_ptr<Store>> OpenEtcdStore(EtcdOptions options) {
  std::string name = fmt::format("etcd:{}", fmt::join(options.endpoints, ","));
  if (options.prefix != EtcdOptions().prefix) name += "/" + options.prefix;
  auto store = std::make_unique<EtcdStore>(std::move(name), std::move(options));
  RETURN_IF_ERROR(store->Begin());
  return store;
}

}  // namespace signalbox::store
