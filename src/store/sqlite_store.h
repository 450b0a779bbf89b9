// The store in one SQLite file. For one machine: several processes on it may use the file at the same time, a network
// file system must not hold it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "store/store.h"
#include "store/store_clock.h"

namespace signalbox::store {

struct SqliteOptions {
  std::string path;
  bool create_if_missing = true;
  // How long a publish waits for one of another process to end. A publish takes milliseconds.
  std::chrono::milliseconds busy_timeout{5000};
  // How often a watch looks whether another connection has written (`PRAGMA data_version`: some microseconds) when the
  // kernel does not tell it.
  std::chrono::milliseconds poll_interval{20};
  // The file grows no further; a publish beyond it is RESOURCE_EXHAUSTED. Ten thousand versions of 1 MiB.
  int64_t file_bytes_max = int64_t{10} << 30;
  // Unset: StoreClock::OfMachine(). Every process that uses the file has the same.
  std::optional<StoreClock> clock = std::nullopt;
};

// Journal mode WAL with synchronous=FULL: readers never wait for writers, and a commit has reached the disk when it
// returns. Published versions are protected against change by triggers in the file itself, and every content that is
// read is compared with its hash. A file of an older release is brought to this one's format when it is opened.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteOptions options);

}  // namespace signalbox::store
