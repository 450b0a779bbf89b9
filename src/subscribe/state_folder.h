// The last good snapshot on disk. Internal.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "signalbox/v1/distribution.pb.h"

namespace signalbox::subscribe {

// A folder that one process uses at a time. For one thread at a time.
class StateFolder {
 public:
  // Makes the folder when it is missing, and takes its lock, which ends with the process. FAILED_PRECONDITION when
  // another process has it; else what making the folder says. A folder that cannot be written is no error here: what
  // lies in it is still good to start from.
  static absl::StatusOr<std::unique_ptr<StateFolder>> Open(std::string path);
  ~StateFolder();
  StateFolder(const StateFolder&) = delete;
  StateFolder& operator=(const StateFolder&) = delete;

  // nullopt: nothing was kept yet. DATA_LOSS: what is there is no SnapshotUpdate. Its content is not checked here.
  absl::StatusOr<std::optional<v1::SnapshotUpdate>> Load() const;
  // Atomic: a crash at any moment leaves the old snapshot or the new one.
  absl::Status Keep(const v1::SnapshotUpdate& update) const;

  std::string file() const { return path_ + "/snapshot.pb"; }

 private:
  StateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  const std::string path_;
  const int lock_;  // descriptor; negative when the folder cannot be written
};

}  // namespace signalbox::subscribe
