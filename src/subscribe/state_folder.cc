#include "subscribe/state_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "api/distribution.h"
#include "base/file.h"
#include "base/status.h"

namespace signalbox::subscribe {
namespace {

// Version, hash and lengths around the snapshot.
constexpr size_t kFileBytesMax = distribution::kUpdateBytesMax + 4096;

// What a process that was killed while it wrote has left (base/file.cc). Nobody else writes here: the lock is ours.
void RemoveHalfWritten(const std::string& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().string().starts_with("snapshot.pb.tmp-")) {
      std::filesystem::remove(entry->path(), ignored);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(std::string path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), fmt::format("state folder {}: cannot be made", path));
  if (!std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(fmt::format("state folder {}: expected a folder, found a file", path));
  }
  const int lock = open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock);
    return absl::FailedPreconditionError(
        fmt::format("state folder {}: another process uses it; give each data plane a folder of its own", path));
  }
  if (lock >= 0) RemoveHalfWritten(path);
  return std::unique_ptr<StateFolder>(new StateFolder(std::move(path), lock));
}

StateFolder::~StateFolder() {
  if (lock_ >= 0) close(lock_);
}

absl::StatusOr<std::optional<v1::SnapshotUpdate>> StateFolder::Load() const {
  absl::StatusOr<std::string> bytes = ReadFile(file(), kFileBytesMax);
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  RETURN_IF_ERROR(bytes.status());
  v1::SnapshotUpdate update;
  if (bytes->empty() || !update.ParseFromString(*bytes)) {
    return absl::DataLossError(fmt::format("{}: {} bytes that are no snapshot: damaged", file(), bytes->size()));
  }
  return update;
}

absl::Status StateFolder::Keep(const v1::SnapshotUpdate& update) const {
  return WriteFileAtomically(file(), update.SerializeAsString());
}

}  // namespace signalbox::subscribe
