// The file of an SQLite store: what is in it, how it is made, brought from an older format to this one, and told from
// files of others. Internal to src/store.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/sqlite_database.h"
#include "store/sqlite_store.h"

namespace signalbox::store {

// A connection to the store's file, made or migrated where that is needed.
absl::StatusOr<std::unique_ptr<Database>> OpenConnection(const SqliteOptions& options);

// Which file a path stood for when it was opened. SQLite would go on writing to a file that somebody has deleted.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  static FileIdentity Of(const std::string& path);
  bool operator==(const FileIdentity&) const = default;
};

// UNAVAILABLE unless `path` is still the file that was opened.
absl::Status CheckSameFile(const std::string& path, const FileIdentity& opened);

}  // namespace signalbox::store
