// Which key holds what in etcd, and requests in few words. What the keys mean is said in etcd_content.proto. Internal
// to src/store.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "store/etcd_client.h"
#include "store/etcd_content.pb.h"
#include "store/store.h"

namespace signalbox::store {

inline constexpr int kEtcdFormat = 1;
// A content is laid down in parts of this size: etcd takes 1.5 MiB a request.
inline constexpr size_t kChunkBytes = 1U << 20;
// Operations of a list in a transaction. etcd's limit is 128, and from the limit of a nested list it takes what the
// outer one has of comparisons: those of the records of a batch.
inline constexpr int kOperationsMax = 60;

// The keys under one prefix.
class EtcdKeys {
 public:
  explicit EtcdKeys(std::string_view prefix) : prefix_(std::string(prefix) + "/") {}

  const std::string& prefix() const { return prefix_; }
  std::string Head() const { return prefix_ + "head"; }
  std::string Version(std::string_view topic, int64_t version) const;
  // What `s/SEQUENCE` holds, as the key that it stands for.
  std::string VersionOf(std::string_view pointer) const { return prefix_ + "v/" + std::string(pointer); }
  std::string Sequence(int64_t sequence) const;
  std::string Chunks(std::string_view content) const { return prefix_ + "c/" + std::string(content) + "/"; }
  std::string Chunk(std::string_view content, size_t number) const;
  std::string Record(std::string_view key) const { return prefix_ + "r/" + std::string(key); }
  // The reverse of Record.
  std::string KeyOfRecord(std::string_view key) const { return std::string(key.substr(prefix_.size() + 2)); }

 private:
  std::string prefix_;
};

// What `s/SEQUENCE` holds.
std::string PointerTo(std::string_view topic, int64_t version);

// The key after all keys that start with `prefix`.
std::string EndOf(std::string prefix);

etcd::RangeRequest GetKey(std::string key);
etcd::RangeRequest GetPrefix(std::string prefix);

void AddGet(etcd::TxnRequest& transaction, etcd::RangeRequest range);
etcd::PutRequest& AddPut(etcd::TxnRequest& transaction, std::string key, std::string value);
void AddDelete(etcd::TxnRequest& transaction, std::string key);
void AddDeletePrefix(etcd::TxnRequest& transaction, std::string prefix);
// That the key was last changed (was created) at this revision; 0: it is absent.
void CompareChanged(etcd::TxnRequest& transaction, std::string key, int64_t revision);
void CompareCreated(etcd::TxnRequest& transaction, std::string key, int64_t revision);
// Puts the operations of `transaction` into nested ones where they are more than etcd takes in one list.
void Nest(etcd::TxnRequest& transaction);

VersionInfo InfoOf(const StoredVersion& stored);
StoredVersion ToStored(const VersionInfo& info);
Record RecordOf(const EtcdKeys& keys, const mvccpb::KeyValue& pair, const StoredRecord& stored);

// DATA_LOSS when the value of `pair` cannot be read.
template <typename Message>
absl::StatusOr<Message> Parse(std::string_view store, const mvccpb::KeyValue& pair) {
  Message message;
  if (message.ParseFromString(pair.value())) return message;
  return absl::DataLossError(std::string(store) + ": key '" + pair.key() +
                             "' of etcd is damaged, or was written by something else; restore etcd from a backup");
}

}  // namespace signalbox::store
