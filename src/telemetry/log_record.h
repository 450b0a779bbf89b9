// One line of the decision log: first in a form of fixed size that a worker can hand over without allocating, then as
// JSON.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "telemetry/telemetry.h"

namespace signalbox::telemetry {

// The text fields, in the order of kLogFields.
enum LogField : size_t {
  kSnapshotField,
  kObjectiveField,
  kUserField,
  kExperimentField,
  kCellField,
  kModelField,
  kReasonField,
  kTrafficTypeField,
  kTenantField,
  kHostField,
  kLogFieldCount
};

struct LogFieldLimit {
  std::string_view key;  // in JSON
  uint16_t bytes_max;
};
// Longer text is cut and ends with kTruncationMark. What rules name (Objective, model, cell) fits in practice; what
// clients send (user, tenant) is cut where only an attack is longer. The sum keeps a record at 1 KiB.
inline constexpr std::array<LogFieldLimit, kLogFieldCount> kLogFields = {{{"snapshot", 64},
                                                                          {"objective", 128},
                                                                          {"user", 160},
                                                                          {"experiment", 64},
                                                                          {"cell", 64},
                                                                          {"model", 224},
                                                                          {"reason", 32},
                                                                          {"traffic_type", 16},
                                                                          {"tenant", 96},
                                                                          {"host", 72}}};
inline constexpr std::string_view kTruncationMark = "\xE2\x80\xA6";  // U+2026, "..." as one character

class LogRecord {
 public:
  // Copies what `record` points to, cutting what is over its limit. No allocation.
  void Assign(const RequestRecord& record);
  // Appends one JSON object and '\n'. Any bytes in the fields give valid JSON in valid UTF-8.
  void AppendJsonLine(std::string& out) const;

 private:
  static constexpr size_t kTextBytes = [] {
    size_t sum = 0;
    for (const LogFieldLimit& field : kLogFields) sum += field.bytes_max;
    return sum;
  }();

  std::string_view Text(LogField field) const;

  uint64_t decision_id_;
  int64_t start_unix_us_;
  uint64_t latency_us_;
  uint64_t own_us_;
  uint64_t request_bytes_;
  uint64_t response_bytes_;
  uint32_t fallbacks_;
  int32_t grpc_status_;
  // Where each field ends in text_; it begins where the one before ends. Packed, so that a record of usual size touches
  // few cache lines.
  std::array<uint16_t, kLogFieldCount> ends_;
  std::array<char, kTextBytes> text_;
};
static_assert(sizeof(LogRecord) <= 1024);

// Appends `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);

// Appends `unix_us` as RFC 3339 in UTC with microseconds, "2026-03-01T12:00:00.000001Z".
void AppendTime(int64_t unix_us, std::string& out);

}  // namespace signalbox::telemetry
