#include "cli/line_reader.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace signalbox::cli {

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
