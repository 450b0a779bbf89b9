// One batch, written to etcd. Internal to src/store.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "store/etcd_client.h"
#include "store/etcd_layout.h"
#include "store/etcd_reader.h"
#include "store/store.h"

namespace signalbox::store {

struct EtcdParts {
  const std::string& store;  // for messages
  EtcdClient& client;
  EtcdReader& reader;
  const EtcdKeys& keys;
  std::chrono::milliseconds patience;
};

// A batch that CheckBatch has passed. Everything that it depends on is read, and compared in the transaction that
// writes it: where something has changed in between it is read again, and what does not hold any more is ABORTED.
// UNAVAILABLE says whether something may have been written.
absl::StatusOr<BatchResult> WriteToEtcd(const EtcdParts& parts, const Batch& batch);

// As Store::Import, with versions that follow each other.
absl::Status ImportToEtcd(const EtcdParts& parts, const std::vector<Version>& versions);

// 32 hex digits that nobody else has.
std::string NewWriteId();

}  // namespace signalbox::store
