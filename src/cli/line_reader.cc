#include "cli/line_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace signalbox::cli {
namespace {

// Who starts both ends of a pipe starts them together; a path typed wrongly is waited for no longer than this.
constexpr int kFirstWriterWaitMs = 2'000;

// Not what a shell opens for `<(command)`: that is a link to a pipe which has its writer.
bool IsPipeInFileSystem(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
}

absl::Status WaitForWriter(int fd, const std::string& path) {
  pollfd events = {.fd = fd, .events = POLLIN, .revents = 0};
  if (poll(&events, 1, kFirstWriterWaitMs) > 0) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("{}: is a pipe that nobody has written to for {} s, expected a file, or a pipe with a writer", path,
                  kFirstWriterWaitMs / 1000));
}

absl::Status CheckInput(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::UnavailableError(fmt::format("{}: {}", path, std::strerror(errno)));
  if (S_ISDIR(info.st_mode))
    return absl::FailedPreconditionError(fmt::format("{}: is a folder, expected a file of lines", path));
  return IsPipeInFileSystem(path) ? WaitForWriter(fd, path) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<int> OpenLines(const std::string& path) {
  if (path == "-") return STDIN_FILENO;
  // Non-blocking, because opening a pipe waits for its other end; LineReader waits for input by itself.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::UnavailableError(fmt::format("{}: {}", path, std::strerror(errno)));
  if (absl::Status status = CheckInput(fd, path); !status.ok()) {
    close(fd);
    return status;
  }
  return fd;
}

void CloseLines(int fd) {
  if (fd != STDIN_FILENO) close(fd);
}

LineReader::LineReader(int fd, size_t line_bytes_max, std::function<absl::Status()> before_waiting)
    : fd_(fd),
      line_bytes_max_(line_bytes_max),
      before_waiting_(std::move(before_waiting)),
      capacity_(line_bytes_max + 1 + kReadBytes),
      // Not value-initialised: pages that no line reaches are never touched.
      buffer_(new char[capacity_ + kPaddingBytes]) {}

absl::StatusOr<std::optional<LineReader::Line>> LineReader::Next() {
  while (true) {
    const void* newline = std::memchr(buffer_.get() + scanned_, '\n', end_ - scanned_);
    if (newline != nullptr) {
      const size_t line_end = static_cast<size_t>(static_cast<const char*>(newline) - buffer_.get());
      const std::string_view text(buffer_.get() + begin_, line_end - begin_);
      begin_ = scanned_ = line_end + 1;
      if (std::exchange(is_skipping_, false) || text.size() > line_bytes_max_)
        return Line{.text = {}, .is_too_long = true};
      return Line{.text = text};
    }
    scanned_ = end_;
    if (end_ - begin_ > line_bytes_max_) is_skipping_ = true;
    if (is_skipping_) begin_ = end_;
    ASSIGN_OR_RETURN(const bool has_more, Fill());
    if (has_more) continue;
    const std::string_view rest(buffer_.get() + begin_, end_ - begin_);
    begin_ = end_;
    if (std::exchange(is_skipping_, false)) return Line{.text = {}, .is_too_long = true};
    if (rest.empty()) return std::nullopt;
    return Line{.text = rest};
  }
}

absl::StatusOr<bool> LineReader::Fill() {
  if (is_at_end_) return false;
  MakeRoom();
  RETURN_IF_ERROR(WaitForInput());
  while (true) {
    const ssize_t got = read(fd_, buffer_.get() + end_, std::min(kReadBytes, capacity_ - end_));
    if (got > 0) {
      end_ += static_cast<size_t>(got);
      return true;
    }
    if (got == 0) {
      is_at_end_ = true;
      return false;
    }
    if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitForInput());
    } else if (errno != EINTR) {
      return absl::InternalError(fmt::format("reading the input: {}", std::strerror(errno)));
    }
  }
}

absl::Status LineReader::WaitForInput() {
  pollfd input{.fd = fd_, .events = POLLIN, .revents = 0};
  if (poll(&input, 1, 0) > 0) return absl::OkStatus();
  RETURN_IF_ERROR(before_waiting_());
  while (poll(&input, 1, -1) < 0) {
    if (errno != EINTR) return absl::InternalError(fmt::format("waiting for input: {}", std::strerror(errno)));
  }
  return absl::OkStatus();
}

// Moves the line that has begun to the front. It is shorter than a read where lines are short, so this costs little.
void LineReader::MakeRoom() {
  if (capacity_ - end_ >= kReadBytes && begin_ != end_) return;
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  scanned_ -= begin_;
  end_ -= begin_;
  begin_ = 0;
}

}  // namespace signalbox::cli
