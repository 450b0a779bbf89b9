#include "cli/resolve_batch.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>

#include "base/status.h"
#include "cli/line_reader.h"
#include "decide/explain.h"
#include "telemetry/log_record.h"

namespace signalbox::cli {
namespace {

static_assert(LineReader::kPaddingBytes >= 64);

// Written when there is so much. Small enough to stay in the cache between being made and being written.
constexpr size_t kOutputBytes = 128U << 10;
// The longest line there is room for before the buffer would have to grow: a decision with 8 fallbacks of 400 bytes.
constexpr size_t kOutputSlackBytes = 16U << 10;

void AppendError(uint64_t number, std::string_view message, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{{\"line\":{},\"error\":", number);
  telemetry::AppendJsonString(message, out);
  out += "}\n";
}

// What was made and is not written yet.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) { text_.reserve(kOutputBytes + kOutputSlackBytes); }

  std::string& text() { return text_; }
  bool IsFull() const { return text_.size() >= kOutputBytes; }

  absl::Status Flush() {
    std::string_view rest = text_;
    while (!rest.empty()) {
      const ssize_t written = write(fd_, rest.data(), rest.size());
      if (written >= 0) {
        rest.remove_prefix(static_cast<size_t>(written));
      } else if (errno == EAGAIN) {
        pollfd output{.fd = fd_, .events = POLLOUT, .revents = 0};
        poll(&output, 1, -1);
      } else if (errno != EINTR) {
        return absl::InternalError(fmt::format("writing decisions: {}", std::strerror(errno)));
      }
    }
    text_.clear();
    return absl::OkStatus();
  }

 private:
  const int fd_;
  std::string text_;
};

}  // namespace

LineResolver::LineResolver(const decide::Snapshot& snapshot) : snapshot_(snapshot) {}

bool LineResolver::Resolve(std::string_view line, uint64_t number, std::string& out) {
  const absl::StatusOr<decide::RequestContext> context = reader_.Read(line);
  if (!context.ok()) {
    AppendError(number, Message(context.status()), out);
    return false;
  }
  const decide::Decision decision = decide::Decide(snapshot_, *context);
  if (decision.answer == nullptr) {
    AppendError(number, decide::WhyNoAnswer(snapshot_, context->objective), out);
    return false;
  }
  out += texts_.TextOf(decision);
  return true;
}

absl::StatusOr<BatchCounts> ResolveBatch(const decide::Snapshot& snapshot, int input_fd, int output_fd) {
  LineResolver resolver(snapshot);
  Output output(output_fd);
  LineReader input(input_fd, ContextReader::kBytesMax, [&] { return output.Flush(); });
  BatchCounts counts;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<LineReader::Line> line, input.Next());
    if (!line.has_value()) break;
    ++counts.lines;
    bool is_resolved = false;
    if (line->is_too_long) {
      AppendError(counts.lines, fmt::format("more than {} bytes, expected at most so many", ContextReader::kBytesMax),
                  output.text());
    } else {
      is_resolved = resolver.Resolve(line->text, counts.lines, output.text());
    }
    if (!is_resolved) ++counts.failed;
    if (output.IsFull()) RETURN_IF_ERROR(output.Flush());
  }
  RETURN_IF_ERROR(output.Flush());
  return counts;
}

}  // namespace signalbox::cli
