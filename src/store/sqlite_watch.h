// Follows what any process writes to an SQLite store. Internal to src/store.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "store/sqlite_database.h"
#include "store/sqlite_file.h"
#include "store/store.h"

namespace signalbox::store {

// `database` is a connection of the watch's own to `file`. It looks every `poll_interval`, and as soon as the kernel
// says that the write-ahead log was written; without inotify, which has limits per user, it goes on with the first
// alone.
absl::StatusOr<std::unique_ptr<Watch>> WatchSqlite(std::unique_ptr<Database> database, const FileIdentity& file,
                                                   std::chrono::milliseconds poll_interval, int64_t after_sequence);

}  // namespace signalbox::store
