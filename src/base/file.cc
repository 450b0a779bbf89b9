#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace signalbox {
namespace {

absl::Status ErrnoStatus(int error, std::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(error, fmt::format("{} {}", action, path));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t written = write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write", path);
    }
    content.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, "fsync", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max) {
  // Non-blocking: opening a FIFO by mistake must not hang.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return ErrnoStatus(errno, "open", path);
  struct stat info;
  if (fstat(file.get(), &info) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(fmt::format("{}: not a regular file", path));
  auto too_large = [&](size_t bytes) {
    return absl::InvalidArgumentError(fmt::format("{}: {} bytes, the limit is {}", path, bytes, bytes_max));
  };
  if (static_cast<size_t>(info.st_size) > bytes_max) return too_large(static_cast<size_t>(info.st_size));

  std::string content;
  content.resize(static_cast<size_t>(info.st_size));
  size_t filled = 0;
  while (true) {
    if (filled == content.size()) {
      // The file may have grown since fstat, or be one of /proc, which says 0.
      if (filled > bytes_max) return too_large(filled);
      content.resize(filled + 4096);
    }
    ssize_t got = read(file.get(), content.data() + filled, content.size() - filled);
    if (got < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "read", path);
    }
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  if (filled > bytes_max) return too_large(filled);
  content.resize(filled);
  return content;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content) {
  std::string temporary = fmt::format("{}.tmp-{}", path, getpid());
  {
    Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return ErrnoStatus(errno, "create", temporary);
    if (absl::Status status = WriteAll(file.get(), content, temporary); !status.ok()) {
      unlink(temporary.c_str());
      return status;
    }
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    int error = errno;
    unlink(temporary.c_str());
    return ErrnoStatus(error, "rename to", path);
  }
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0 && fsync(directory.get()) != 0) return ErrnoStatus(errno, "fsync", folder.string());
  return absl::OkStatus();
}

}  // namespace signalbox
