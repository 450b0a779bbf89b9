// Reads versions and their contents from etcd. What was read of the newest version of each topic is remembered:
// versions do not change. Internal to src/store.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/string_map.h"
#include "store/etcd_client.h"
#include "store/etcd_layout.h"
#include "store/store.h"

namespace signalbox::store {

struct EtcdHead {
  StoredHead content;
  int64_t revision = 0;  // that it was last changed at; 0: there is no store under this prefix

  // The topic's newest version; 0: none.
  int64_t NewestOf(std::string_view topic) const;
};

// Thread-safe. `client` must outlive it.
class EtcdReader {
 public:
  EtcdReader(std::string store, EtcdClient& client, EtcdKeys keys)
      : store_(std::move(store)), client_(client), keys_(std::move(keys)) {}

  absl::StatusOr<EtcdHead> ReadHead();
  // From the answer to GetKey(keys.Head()).
  absl::StatusOr<EtcdHead> ToHead(const etcd::RangeResponse& answer) const;

  // DATA_LOSS when it is not there: ask the head for what is.
  absl::StatusOr<StoredVersion> ReadVersion(std::string_view topic, int64_t version);
  // The topic's newest versions, newest first.
  absl::StatusOr<std::vector<StoredVersion>> ReadHistory(std::string_view topic, size_t versions_max);
  absl::StatusOr<std::vector<VersionInfo>> ReadChanges(int64_t after_sequence, size_t changes_max);
  absl::StatusOr<std::string> ReadContent(const StoredVersion& version);
  absl::StatusOr<LatestVersions> ReadLatest();

 private:
  struct Newest {
    StoredVersion version;
    std::string content;
  };

  // Those that the keys `v/...` hold, in their order.
  absl::StatusOr<std::vector<StoredVersion>> ReadVersions(const std::vector<std::string>& keys);
  // Of each in its order. What is damaged is in the inner status.
  absl::StatusOr<std::vector<absl::StatusOr<std::string>>> ReadContents(const std::vector<StoredVersion>& versions);
  absl::StatusOr<std::string> ToContent(const StoredVersion& version, const etcd::RangeResponse& chunks) const;
  std::optional<Newest> Remembered(std::string_view topic, int64_t version);
  void Remember(const StoredVersion& version, const std::string& content);

  const std::string store_;
  EtcdClient& client_;
  const EtcdKeys keys_;
  std::mutex mutex_;
  StringMap<Newest> newest_;  // by topic; guarded by mutex_
};

}  // namespace signalbox::store
