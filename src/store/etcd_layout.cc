#include "store/etcd_layout.h"

#include <fmt/format.h>

#include <utility>

namespace signalbox::store {

std::string EtcdKeys::Version(std::string_view topic, int64_t version) const {
  return VersionOf(PointerTo(topic, version));
}

std::string EtcdKeys::Sequence(int64_t sequence) const { return fmt::format("{}s/{:016}", prefix_, sequence); }

std::string EtcdKeys::Chunk(std::string_view content, size_t number) const {
  return fmt::format("{}c/{}/{:04}", prefix_, content, number);
}

// '@' is in no topic: the versions of "active/home" and of "active/home/region=eu" are not mixed.
std::string PointerTo(std::string_view topic, int64_t version) { return fmt::format("{}@{:016}", topic, version); }

std::string EndOf(std::string prefix) {
  // The last byte of our prefixes is printable: it can always be one more.
  ++prefix.back();
  return prefix;
}

etcd::RangeRequest GetKey(std::string key) {
  etcd::RangeRequest range;
  range.set_key(std::move(key));
  return range;
}

etcd::RangeRequest GetPrefix(std::string prefix) {
  etcd::RangeRequest range;
  range.set_range_end(EndOf(prefix));
  range.set_key(std::move(prefix));
  return range;
}

void AddGet(etcd::TxnRequest& transaction, etcd::RangeRequest range) {
  *transaction.add_success()->mutable_request_range() = std::move(range);
}

etcd::PutRequest& AddPut(etcd::TxnRequest& transaction, std::string key, std::string value) {
  etcd::PutRequest& put = *transaction.add_success()->mutable_request_put();
  put.set_key(std::move(key));
  put.set_value(std::move(value));
  return put;
}

void AddDelete(etcd::TxnRequest& transaction, std::string key) {
  transaction.add_success()->mutable_request_delete_range()->set_key(std::move(key));
}

void AddDeletePrefix(etcd::TxnRequest& transaction, std::string prefix) {
  etcd::DeleteRangeRequest& range = *transaction.add_success()->mutable_request_delete_range();
  range.set_range_end(EndOf(prefix));
  range.set_key(std::move(prefix));
}

void CompareChanged(etcd::TxnRequest& transaction, std::string key, int64_t revision) {
  etcd::Compare& compare = *transaction.add_compare();
  compare.set_target(etcd::Compare::Mod);
  compare.set_key(std::move(key));
  compare.set_mod_revision(revision);
}

void CompareCreated(etcd::TxnRequest& transaction, std::string key, int64_t revision) {
  etcd::Compare& compare = *transaction.add_compare();
  compare.set_target(etcd::Compare::Create);
  compare.set_key(std::move(key));
  compare.set_create_revision(revision);
}

void Nest(etcd::TxnRequest& transaction) {
  if (transaction.success_size() <= kOperationsMax) return;
  google::protobuf::RepeatedPtrField<etcd::RequestOp> operations;
  operations.Swap(transaction.mutable_success());
  etcd::TxnRequest* inner = nullptr;
  for (etcd::RequestOp& operation : operations) {
    if (inner == nullptr || inner->success_size() == kOperationsMax)
      inner = transaction.add_success()->mutable_request_txn();
    *inner->add_success() = std::move(operation);
  }
}

VersionInfo InfoOf(const StoredVersion& stored) {
  VersionInfo info;
  info.topic = stored.topic();
  info.version = stored.version();
  info.sequence = stored.sequence();
  info.content_hash = stored.content_hash();
  info.content_bytes = stored.content_bytes();
  info.author = stored.author();
  info.message = stored.message();
  info.unix_ms = stored.unix_ms();
  info.rollback_of = stored.rollback_of();
  info.pruned = stored.pruned();
  return info;
}

StoredVersion ToStored(const VersionInfo& info) {
  StoredVersion stored;
  stored.set_topic(info.topic);
  stored.set_version(info.version);
  stored.set_sequence(info.sequence);
  stored.set_content_hash(info.content_hash);
  stored.set_content_bytes(info.content_bytes);
  stored.set_author(info.author);
  stored.set_message(info.message);
  stored.set_unix_ms(info.unix_ms);
  stored.set_rollback_of(info.rollback_of);
  stored.set_pruned(info.pruned);
  return stored;
}

Record RecordOf(const EtcdKeys& keys, const mvccpb::KeyValue& pair, const StoredRecord& stored) {
  Record record;
  record.key = keys.KeyOfRecord(pair.key());
  record.value = stored.value();
  record.revision = pair.mod_revision();
  record.created_revision = pair.create_revision();
  record.expires_after = std::chrono::milliseconds(stored.expires_after_ms());
  return record;
}

}  // namespace signalbox::store
