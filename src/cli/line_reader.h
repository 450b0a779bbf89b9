// Lines from a file descriptor: big reads, no copy, no allocation per line, and a limit for what a line may be.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace signalbox::cli {

class LineReader {
 public:
  struct Line {
    // Without its newline; the last line of the input may be without one. At least kPaddingBytes bytes behind it can
    // be read (their content means nothing), as vectorised parsers want. Good until the next call of Next.
    std::string_view text;
    // The line has more than `line_bytes_max` bytes. It was skipped; `text` is empty.
    bool is_too_long = false;
  };

  // Covers simdjson's.
  static constexpr size_t kPaddingBytes = 64;

  // Does not own `fd`, a file, pipe, socket or terminal, blocking or not. `before_waiting` runs whenever no input is
  // ready, right before waiting for some: the moment to hand over what has been made of the input so far.
  LineReader(int fd, size_t line_bytes_max, std::function<absl::Status()> before_waiting);

  // The next line, or nullopt at the end of the input. INTERNAL when reading fails, or what `before_waiting` said.
  absl::StatusOr<std::optional<Line>> Next();

 private:
  // What one read asks for. A pipe gives 64 KiB at most; more than this would only wash out the cache.
  static constexpr size_t kReadBytes = 256U << 10;

  // False at the end of the input.
  absl::StatusOr<bool> Fill();
  absl::Status WaitForInput();
  void MakeRoom();

  const int fd_;
  const size_t line_bytes_max_;
  const std::function<absl::Status()> before_waiting_;
  const size_t capacity_;
  const std::unique_ptr<char[]> buffer_;
  // Of the buffer: [begin_, scanned_) has no newline, [scanned_, end_) has not been looked at.
  size_t begin_ = 0;
  size_t scanned_ = 0;
  size_t end_ = 0;
  bool is_skipping_ = false;  // inside a line that is too long
  bool is_at_end_ = false;
};

// `path` to be read line by line; "-" is the standard input. UNAVAILABLE: it cannot be opened, or is a pipe in the file
// system that nobody has written to for 2 s. FAILED_PRECONDITION: it is a folder. CloseLines closes it.
absl::StatusOr<int> OpenLines(const std::string& path);
void CloseLines(int fd);

}  // namespace signalbox::cli
