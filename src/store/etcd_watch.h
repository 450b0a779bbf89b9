// Follows what any process writes to a store in etcd. Internal to src/store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "store/etcd_store.h"
#include "store/store.h"

namespace signalbox::store {

// Events of etcd are a hint to look; what is reported is what was read, and it is read every `reread_interval` without
// one. So neither lost nor repeated events, nor a history that was compacted away, nor a member that is gone do harm
// beyond that time.
absl::StatusOr<std::unique_ptr<Watch>> WatchEtcd(std::string store, EtcdOptions options, int64_t after_sequence);

}  // namespace signalbox::store
