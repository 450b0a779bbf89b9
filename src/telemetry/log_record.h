// One line of the decision log: first in a form that a worker can hand over without allocating, then as JSON.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
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
  // From here on fields are left out of a line when they are empty.
  kCountryField,
  kLocaleField,
  kDeviceField,
  kSurfaceField,
  kAppVersionField,
  kSegmentsField,
  kOverrideModelField,
  kOverrideRuleField,
  kLogFieldCount
};

struct LogFieldLimit {
  std::string_view key;  // in JSON
  uint16_t bytes_max;
};
// Longer text is cut and ends with kTruncationMark, and the line says `"truncated":true`. Whatever rules can name fits;
// what clients send is cut where only an attack is longer.
inline constexpr std::array<LogFieldLimit, kLogFieldCount> kLogFields = {{{"snapshot", 64},
                                                                          {"objective", 200},
                                                                          {"user", 256},
                                                                          {"experiment", 200},
                                                                          {"cell", 200},
                                                                          {"model", 408},
                                                                          {"reason", 32},
                                                                          {"traffic_type", 16},
                                                                          {"tenant", 200},
                                                                          {"host", 280},
                                                                          {"country", 64},
                                                                          {"locale", 64},
                                                                          {"device", 128},
                                                                          {"surface", 128},
                                                                          {"app_version", 64},
                                                                          {"segments", 1024},
                                                                          {"override.model", 408},
                                                                          {"override_rule", 200}}};
inline constexpr std::string_view kTruncationMark = "\xE2\x80\xA6";  // U+2026, "..." as one character

// The lists, in the order of kLogLists. Left out of a line when they are empty.
enum LogList : size_t { kAttributesList, kOverrideCellsList, kRemoteCellsList, kCellsList, kLogListCount };
// Bytes of names and values, with four for each member. What does not fit is left out, and the line says so as above.
inline constexpr std::array<LogFieldLimit, kLogListCount> kLogLists = {
    {{"attributes", 4096}, {"override.cells", 1024}, {"remote_cells", 2048}, {"cells", 2048}}};

// Lies in memory that it is written into, with its text behind it.
class LogRecord {
 public:
  // What a record can take at most, text and all.
  static constexpr size_t kBytesMax = 16 << 10;

  // Copies what `record` points to to `place`, which has kBytesMax bytes and is aligned for 8, cutting what is over its
  // limit. No allocation.
  static const LogRecord& Write(const RequestRecord& record, char* place);
  // How many of the bytes were used, rounded up so that another record can follow.
  size_t bytes() const { return bytes_; }

  // Appends one JSON object and '\n'. Any bytes in the fields give valid JSON in valid UTF-8; where that took a change,
  // the line says `"truncated":true`, as it does where text was cut: the decision cannot be made again from it.
  void AppendJsonLine(std::string& out) const;

 private:
  LogRecord() = default;

  void Assign(const RequestRecord& record);
  size_t AppendList(LogList list, std::span<const NamedText> members, size_t end);
  // Of a field, and behind the fields of a list.
  std::string_view Text(size_t part) const;
  std::string_view ListText(LogList list) const { return Text(size_t{kLogFieldCount} + list); }
  bool AppendContext(std::string& out) const;
  bool AppendListJson(std::string_view key, LogList list, std::string& out) const;
  void AppendNotes(std::string& out) const;
  void AppendTries(std::string& out) const;
  char* text() { return reinterpret_cast<char*>(this + 1); }
  const char* text() const { return reinterpret_cast<const char*>(this + 1); }

  uint64_t decision_id_;
  int64_t start_unix_us_;
  uint64_t latency_us_;
  uint64_t own_us_;
  uint64_t request_bytes_;
  uint64_t response_bytes_;
  uint32_t fallbacks_;
  int32_t grpc_status_;
  uint32_t bytes_;
  uint16_t notes_;
  uint8_t refusal_;
  uint8_t priority_;
  bool static_answer_;
  bool cut_;
  uint8_t attempts_;
  std::array<uint8_t, kTryEventNames.size()> try_events_;
  // Where each field, then each list, ends in the text; it begins where the one before ends. Packed, so that a record
  // of usual size touches few cache lines.
  std::array<uint16_t, size_t{kLogFieldCount} + kLogListCount> ends_;
};
static_assert([] {
  size_t sum = sizeof(LogRecord);
  for (const LogFieldLimit& field : kLogFields) sum += field.bytes_max;
  for (const LogFieldLimit& list : kLogLists) sum += list.bytes_max;
  return sum + alignof(LogRecord) <= LogRecord::kBytesMax;
}());

// Appends `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD; false when there were any.
bool AppendJsonString(std::string_view text, std::string& out);

// Appends `unix_us` as RFC 3339 in UTC with microseconds, "2026-03-01T12:00:00.000001Z".
void AppendTime(int64_t unix_us, std::string& out);

}  // namespace signalbox::telemetry
