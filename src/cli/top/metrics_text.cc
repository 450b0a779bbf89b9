#include "cli/top/metrics_text.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <system_error>

#include "base/printable.h"
#include "base/status.h"
#include "telemetry/utf8.h"

namespace signalbox::cli {
namespace {

constexpr size_t kQuotedBytesMax = 40;

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':'; }
bool IsNamePart(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

// From one end of a line to the other. The first thing that is not as expected is remembered.
class LineCursor {
 public:
  explicit LineCursor(std::string_view line) : line_(line) {}

  bool at_end() const { return at_ == line_.size(); }
  char next() const { return at_end() ? '\0' : line_[at_]; }
  void Skip() { ++at_; }
  void SkipSpaces() {
    while (next() == ' ' || next() == '\t') ++at_;
  }
  bool Take(char c) {
    if (at_end() || next() != c) return false;
    ++at_;
    return true;
  }
  std::string_view Name() {
    const size_t begin = at_;
    if (!at_end() && IsNameStart(next())) {
      while (!at_end() && IsNamePart(next())) ++at_;
    }
    return line_.substr(begin, at_ - begin);
  }
  std::string_view Word() {
    const size_t begin = at_;
    while (!at_end() && next() != ' ' && next() != '\t') ++at_;
    return line_.substr(begin, at_ - begin);
  }
  void Back(size_t bytes) { at_ -= bytes; }

  absl::Status Expected(std::string_view what) const {
    std::string rest;
    telemetry::AppendValidUtf8(line_.substr(at_, kQuotedBytesMax), rest);
    const std::string there = rest.empty() ? "the end of the line" : fmt::format("'{}'", EscapeControlCharacters(rest));
    return absl::InvalidArgumentError(fmt::format("{}: expected {}, there is {}", at_ + 1, what, there));
  }

 private:
  std::string_view line_;
  size_t at_ = 0;
};

// After the opening quotation mark.
absl::Status ReadLabelValue(LineCursor& cursor, std::string& value) {
  while (!cursor.Take('"')) {
    if (cursor.at_end()) return cursor.Expected("the closing quotation mark of a label's value");
    char c = cursor.next();
    if (c == '\\') {
      cursor.Skip();
      switch (cursor.next()) {
        case 'n':
          c = '\n';
          break;
        case '\\':
        case '"':
          c = cursor.next();
          break;
        default:
          return cursor.Expected("\\, \" or n after a backslash");
      }
    }
    value += c;
    cursor.Skip();
  }
  return absl::OkStatus();
}

// After the opening brace.
absl::Status ReadLabels(LineCursor& cursor, std::vector<MetricLabel>& labels) {
  while (true) {
    cursor.SkipSpaces();
    if (cursor.Take('}')) return absl::OkStatus();
    const std::string_view name = cursor.Name();
    if (name.empty()) return cursor.Expected("the name of a label or }");
    if (labels.size() == MetricsTextReader::kLabelsMax) {
      return cursor.Expected(fmt::format("at most {} labels", MetricsTextReader::kLabelsMax));
    }
    labels.push_back({std::string(name), ""});
    cursor.SkipSpaces();
    if (!cursor.Take('=')) return cursor.Expected("= after the name of a label");
    cursor.SkipSpaces();
    if (!cursor.Take('"')) return cursor.Expected("a label's value in quotation marks");
    RETURN_IF_ERROR(ReadLabelValue(cursor, labels.back().value));
    cursor.SkipSpaces();
    if (cursor.Take(',')) continue;
    if (!cursor.Take('}')) return cursor.Expected(", or } after a label's value");
    return absl::OkStatus();
  }
}

std::optional<double> NumberOf(std::string_view text) {
  // What from_chars does not know. It takes inf, -inf and nan in any case.
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.starts_with('+')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string_view MetricSample::label(std::string_view label_name) const {
  for (const MetricLabel& one : labels) {
    if (one.name == label_name) return one.value;
  }
  return {};
}

absl::Status MetricsTextReader::Add(std::string_view bytes) {
  page_bytes_ += bytes.size();
  if (page_bytes_ > kPageBytesMax) {
    return absl::InvalidArgumentError(fmt::format("the page has more than {} MiB", kPageBytesMax >> 20));
  }
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (begun_line_.size() + piece.size() > kLineBytesMax) {
      return absl::InvalidArgumentError(
          fmt::format("line {}: has more than {} KiB", line_number_ + 1, kLineBytesMax >> 10));
    }
    if (end == std::string_view::npos) {
      begun_line_ += piece;
      return absl::OkStatus();
    }
    if (begun_line_.empty()) {
      RETURN_IF_ERROR(ReadLine(piece));
    } else {
      begun_line_ += piece;
      RETURN_IF_ERROR(ReadLine(begun_line_));
      begun_line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return absl::OkStatus();
}

absl::Status MetricsTextReader::Finish() {
  if (begun_line_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("line {}: the page ends within it, expected a line end", line_number_ + 1));
}

absl::Status MetricsTextReader::ReadLine(std::string_view line) {
  ++line_number_;
  const auto with_place = [this](const absl::Status& error) {
    return absl::Status(error.code(), fmt::format("line {}:{}", line_number_, Message(error)));
  };
  LineCursor cursor(line);
  cursor.SkipSpaces();
  if (cursor.at_end()) return absl::OkStatus();
  if (cursor.Take('#')) {
    cursor.SkipSpaces();
    if (cursor.Word() != "TYPE") return absl::OkStatus();
    cursor.SkipSpaces();
    if (const std::string_view family = cursor.Name(); !family.empty()) on_family_(family);
    return absl::OkStatus();
  }
  const std::string_view name = cursor.Name();
  if (name.empty()) return with_place(cursor.Expected("the name of a metric"));
  labels_.clear();
  cursor.SkipSpaces();
  if (cursor.Take('{')) {
    if (absl::Status status = ReadLabels(cursor, labels_); !status.ok()) return with_place(status);
    cursor.SkipSpaces();
  }
  const std::string_view number = cursor.Word();
  const std::optional<double> value = NumberOf(number);
  if (!value) {
    cursor.Back(number.size());
    return with_place(cursor.Expected("a number"));
  }
  cursor.SkipSpaces();
  if (!cursor.at_end()) {
    const std::string_view timestamp = cursor.Word();
    if (!NumberOf(timestamp)) {
      cursor.Back(timestamp.size());
      return with_place(cursor.Expected("a time stamp or the end of the line"));
    }
    cursor.SkipSpaces();
    if (!cursor.at_end()) return with_place(cursor.Expected("the end of the line"));
  }
  if (absl::Status status = on_sample_({.name = name, .labels = labels_, .value = *value}); !status.ok()) {
    return absl::Status(status.code(), fmt::format("line {}: {}", line_number_, Message(status)));
  }
  return absl::OkStatus();
}

}  // namespace signalbox::cli
