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

void AppendField(std::string_view key, std::string_view value, std::string& out) {
  fmt::format_to(std::back_inserter(out), "\"{}\":", key);
  telemetry::AppendJsonString(value, out);
  out.push_back(',');
}

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

void AppendDecisionJson(const decide::Decision& decision, std::string& out) {
  const decide::Answer& answer = *decision.answer;
  out.push_back('{');
  AppendField("objective", answer.objective, out);
  AppendField("model", answer.model->id, out);
  AppendField("routing_key", answer.model->routing_key, out);
  if (const decide::Enrolment main = decision.main_enrolment(); !main.experiment.empty()) {
    AppendField("experiment", main.experiment, out);
    AppendField("cell", main.cell, out);
  } else {
    out += R"("experiment":null,"cell":null,)";
  }
  out += "\"fallbacks\":[";
  for (const decide::Answer* fallback : decision.fallbacks) {
    if (fallback != decision.fallbacks.front()) out.push_back(',');
    telemetry::AppendJsonString(fallback->model->id, out);
  }
  fmt::format_to(std::back_inserter(out), "],\"reason\":\"{}\"}}", Name(answer.reason));
}

}  // namespace

std::string DecisionJson(const decide::Decision& decision) {
  std::string text;
  AppendDecisionJson(decision, text);
  return text;
}

LineResolver::LineResolver(const decide::Snapshot& snapshot) : snapshot_(snapshot), texts_(snapshot.answers().size()) {}

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
  AppendText(decision, out);
  return true;
}

void LineResolver::AppendText(const decide::Decision& decision, std::string& out) {
  // What else differs between two decisions for one answer: experiments that did not choose it, the policy's fallbacks.
  const bool follows_from_answer = decision.enrolments.size() == (decision.answer->experiment.empty() ? 0U : 1U);
  KnownText& known = texts_[decision.answer->index];
  if (!follows_from_answer || (!known.text.empty() && known.fallbacks != decision.fallbacks.data())) {
    AppendDecisionJson(decision, out);
    out.push_back('\n');
    return;
  }
  if (known.text.empty()) {
    known.text = DecisionJson(decision) + "\n";
    known.fallbacks = decision.fallbacks.data();
  }
  out += known.text;
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
