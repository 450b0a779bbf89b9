#include "telemetry/log_record.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"
#include "telemetry/series.h"
#include "telemetry/utf8.h"

namespace signalbox::telemetry {
namespace {

constexpr size_t kLengthsBytes = 2 * sizeof(uint16_t);

uint8_t Small(uint32_t count) { return static_cast<uint8_t>(std::min<uint32_t>(count, UINT8_MAX)); }

void AppendKey(std::string_view key, std::string& out) {
  out += ",\"";
  out += key;
  out += "\":";
}

}  // namespace

const LogRecord& LogRecord::Write(const RequestRecord& record, char* place) {
  auto* written = new (place) LogRecord;
  written->Assign(record);
  return *written;
}

void LogRecord::Assign(const RequestRecord& record) {
  decision_id_ = record.decision_id;
  start_unix_us_ = record.start_unix_us;
  latency_us_ = record.latency_us;
  own_us_ = record.own_us;
  request_bytes_ = record.request_bytes;
  response_bytes_ = record.response_bytes;
  fallbacks_ = record.fallbacks;
  grpc_status_ = record.grpc_status;
  notes_ = static_cast<uint16_t>(record.notes);
  refusal_ = static_cast<uint8_t>(record.refusal);
  priority_ = static_cast<uint8_t>(record.priority);
  static_answer_ = record.static_answer;
  cut_ = false;
  attempts_ = Small(record.attempts);
  for (size_t i = 0; i < try_events_.size(); ++i) try_events_[i] = Small(record.try_events[i]);

  const std::array<std::string_view, kLogFieldCount> texts = {
      record.snapshot_hash, record.objective,      record.user,         record.experiment, record.cell,
      record.model,         record.reason,         record.traffic_type, record.tenant,     record.host,
      record.country,       record.locale,         record.device,       record.surface,    record.app_version,
      record.segments,      record.override_model, record.override_rule};
  size_t end = 0;
  auto append = [&](std::string_view part) {
    if (!part.empty()) std::memcpy(text() + end, part.data(), part.size());
    end += part.size();
  };
  for (size_t field = 0; field < kLogFieldCount; ++field) {
    size_t bytes_max = kLogFields[field].bytes_max;
    if (texts[field].size() <= bytes_max) {
      append(texts[field]);
    } else {
      append(Utf8Prefix(texts[field], bytes_max - kTruncationMark.size()));
      append(kTruncationMark);
      cut_ = true;
    }
    ends_[field] = static_cast<uint16_t>(end);
  }
  const std::array<std::span<const NamedText>, kLogListCount> lists = {record.attributes, record.override_cells,
                                                                       record.remote_cells, record.cells};
  for (size_t list = 0; list < kLogListCount; ++list) {
    end = AppendList(static_cast<LogList>(list), lists[list], end);
    ends_[kLogFieldCount + list] = static_cast<uint16_t>(end);
  }
  constexpr size_t kAlignment = alignof(LogRecord);
  bytes_ = static_cast<uint32_t>((sizeof(LogRecord) + end + kAlignment - 1) / kAlignment * kAlignment);
}

// Of each member: the lengths of name and value, then both.
size_t LogRecord::AppendList(LogList list, std::span<const NamedText> members, size_t end) {
  size_t room = kLogLists[list].bytes_max;
  for (const NamedText& member : members) {
    // Each by itself first: their sum could not be trusted.
    const bool fits = member.name.size() < room && member.value.size() < room &&
                      kLengthsBytes + member.name.size() + member.value.size() <= room;
    if (!fits) {
      cut_ = true;
      continue;
    }
    const std::array<uint16_t, 2> lengths = {static_cast<uint16_t>(member.name.size()),
                                             static_cast<uint16_t>(member.value.size())};
    std::memcpy(text() + end, lengths.data(), kLengthsBytes);
    end += kLengthsBytes;
    for (std::string_view part : {member.name, member.value}) end += part.copy(text() + end, part.size());
    room -= kLengthsBytes + member.name.size() + member.value.size();
  }
  return end;
}

std::string_view LogRecord::Text(size_t part) const {
  size_t begin = part == 0 ? 0 : ends_[part - 1];
  return {text() + begin, ends_[part] - begin};
}

void LogRecord::AppendJsonLine(std::string& out) const {
  bool whole = !cut_;
  out += "{\"time\":\"";
  AppendTime(start_unix_us_, out);
  char id[16];
  WriteHex64(decision_id_, id);
  out += "\",\"decision\":\"";
  out.append(id, sizeof(id));
  out += '"';
  for (size_t field = 0; field < kCountryField; ++field) {
    AppendKey(kLogFields[field].key, out);
    whole &= AppendJsonString(Text(field), out);
  }
  whole &= AppendContext(out);
  AppendNotes(out);
  AppendTries(out);
  if (static_answer_) out += ",\"static_answer\":true";
  if (refusal_ != 0) {
    fmt::format_to(std::back_inserter(out), ",\"refused_by\":\"{}\",\"priority\":\"{}\"", kRefusalNames[refusal_ - 1],
                   kPriorityNames[priority_]);
  }
  if (!whole) out += ",\"truncated\":true";
  fmt::format_to(std::back_inserter(out),
                 ",\"outcome\":\"{}\",\"latency_us\":{},\"own_us\":{},\"request_bytes\":{},\"response_bytes\":{},"
                 "\"fallbacks\":{}}}\n",
                 GrpcCodeName(grpc_status_), latency_us_, own_us_, request_bytes_, response_bytes_, fallbacks_);
}

// With the keys and in the form of a request context in JSON. False when a text had to be changed.
bool LogRecord::AppendContext(std::string& out) const {
  bool whole = true;
  auto append = [&](std::string_view key, LogField field) {
    if (Text(field).empty()) return;
    AppendKey(key, out);
    whole &= AppendJsonString(Text(field), out);
  };
  for (size_t field = kCountryField; field < kSegmentsField; ++field) {
    append(kLogFields[field].key, static_cast<LogField>(field));
  }
  if (std::string_view rest = Text(kSegmentsField); !rest.empty()) {
    AppendKey(kLogFields[kSegmentsField].key, out);
    char before = '[';
    while (!rest.empty()) {
      const std::string_view segment = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), segment.size() + 1));
      if (segment.empty()) continue;
      out += std::exchange(before, ',');
      whole &= AppendJsonString(segment, out);
    }
    if (before == '[') out += '[';
    out += ']';
  }
  whole &= AppendListJson("attributes", kAttributesList, out);
  const bool has_cells = !ListText(kOverrideCellsList).empty();
  if (has_cells || !Text(kOverrideModelField).empty()) {
    AppendKey("override", out);
    // Its first member gets no comma.
    const size_t begin = out.size();
    append("model", kOverrideModelField);
    whole &= AppendListJson("cells", kOverrideCellsList, out);
    out[begin] = '{';
    out += '}';
  }
  append("override_rule", kOverrideRuleField);
  whole &= AppendListJson("remote_cells", kRemoteCellsList, out);
  whole &= AppendListJson("cells", kCellsList, out);
  return whole;
}

bool LogRecord::AppendListJson(std::string_view key, LogList list, std::string& out) const {
  std::string_view rest = ListText(list);
  if (rest.empty()) return true;
  bool whole = true;
  AppendKey(key, out);
  char before = '{';
  while (!rest.empty()) {
    std::array<uint16_t, 2> lengths;
    std::memcpy(lengths.data(), rest.data(), kLengthsBytes);
    const std::string_view name = rest.substr(kLengthsBytes, lengths[0]);
    const std::string_view value = rest.substr(kLengthsBytes + lengths[0], lengths[1]);
    rest.remove_prefix(kLengthsBytes + name.size() + value.size());
    out += std::exchange(before, ',');
    whole &= AppendJsonString(name, out);
    out += ':';
    whole &= AppendJsonString(value, out);
  }
  out += '}';
  return whole;
}

// Left out of what needed but one host, as nearly all do.
void LogRecord::AppendTries(std::string& out) const {
  if (attempts_ > 1) fmt::format_to(std::back_inserter(out), ",\"attempts\":{}", attempts_);
  char before = '{';
  for (size_t i = 0; i < try_events_.size(); ++i) {
    if (try_events_[i] == 0) continue;
    if (before == '{') AppendKey("tries", out);
    out += std::exchange(before, ',');
    fmt::format_to(std::back_inserter(out), "\"{}\":{}", kTryEventNames[i], try_events_[i]);
  }
  if (before == ',') out += '}';
}

void LogRecord::AppendNotes(std::string& out) const {
  if (notes_ == 0) return;
  AppendKey("notes", out);
  char before = '[';
  for (size_t i = 0; i < kNoteNames.size(); ++i) {
    if ((notes_ >> i & 1) == 0) continue;
    out += std::exchange(before, ',');
    AppendJsonString(kNoteNames[i], out);
  }
  if (before == '[') out += '[';
  out += ']';
}

bool AppendJsonString(std::string_view text, std::string& out) {
  bool whole = true;
  out += '"';
  while (!text.empty()) {
    // Most text needs nothing done to it: copied in one piece up to the next character that does.
    auto special = std::find_if(text.begin(), text.end(), [](char c) {
      auto byte = static_cast<unsigned char>(c);
      return byte < 0x20 || byte >= 0x80 || c == '"' || c == '\\';
    });
    auto plain = static_cast<size_t>(special - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;

    size_t character_bytes = Utf8CharacterBytes(text);
    whole &= character_bytes != 0;
    if (character_bytes != 1) {
      AppendValidUtf8(text.substr(0, std::max<size_t>(character_bytes, 1)), out);
    } else if (text[0] == '"' || text[0] == '\\') {
      out += '\\';
      out += text[0];
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(text[0]));
    }
    text.remove_prefix(std::max<size_t>(character_bytes, 1));
  }
  out += '"';
  return whole;
}

void AppendTime(int64_t unix_us, std::string& out) {
  constexpr int64_t kMicrosPerSecond = 1'000'000;
  // Floor, so that a time before 1970 does not get a negative fraction.
  int64_t seconds = unix_us / kMicrosPerSecond - (unix_us % kMicrosPerSecond < 0 ? 1 : 0);
  std::time_t time = seconds;
  std::tm utc = {};
  // Fails only for years beyond 2^31: then the zero date says that the record's clock was wrong.
  if (gmtime_r(&time, &utc) == nullptr) utc = {};
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                 unix_us - seconds * kMicrosPerSecond);
}

}  // namespace signalbox::telemetry
