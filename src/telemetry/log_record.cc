#include "telemetry/log_record.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <iterator>

#include <fmt/format.h>

#include "base/hash.h"
#include "telemetry/series.h"
#include "telemetry/utf8.h"

namespace signalbox::telemetry {

void LogRecord::Assign(const RequestRecord& record) {
  decision_id_ = record.decision_id;
  start_unix_us_ = record.start_unix_us;
  latency_us_ = record.latency_us;
  own_us_ = record.own_us;
  request_bytes_ = record.request_bytes;
  response_bytes_ = record.response_bytes;
  fallbacks_ = record.fallbacks;
  grpc_status_ = record.grpc_status;

  const std::array<std::string_view, kLogFieldCount> texts = {
      record.snapshot_hash, record.objective, record.user,         record.experiment, record.cell,
      record.model,         record.reason,    record.traffic_type, record.tenant,     record.host};
  size_t end = 0;
  auto append = [&](std::string_view text) {
    if (!text.empty()) std::memcpy(text_.data() + end, text.data(), text.size());
    end += text.size();
  };
  for (size_t field = 0; field < kLogFieldCount; ++field) {
    size_t bytes_max = kLogFields[field].bytes_max;
    if (texts[field].size() <= bytes_max) {
      append(texts[field]);
    } else {
      append(Utf8Prefix(texts[field], bytes_max - kTruncationMark.size()));
      append(kTruncationMark);
    }
    ends_[field] = static_cast<uint16_t>(end);
  }
}

std::string_view LogRecord::Text(LogField field) const {
  size_t begin = field == 0 ? 0 : ends_[field - 1];
  return {text_.data() + begin, ends_[field] - begin};
}

void LogRecord::AppendJsonLine(std::string& out) const {
  out += "{\"time\":\"";
  AppendTime(start_unix_us_, out);
  char id[16];
  WriteHex64(decision_id_, id);
  out += "\",\"decision\":\"";
  out.append(id, sizeof(id));
  out += '"';
  for (size_t field = 0; field < kLogFieldCount; ++field) {
    out += ",\"";
    out += kLogFields[field].key;
    out += "\":";
    AppendJsonString(Text(static_cast<LogField>(field)), out);
  }
  fmt::format_to(std::back_inserter(out),
                 ",\"outcome\":\"{}\",\"latency_us\":{},\"own_us\":{},\"request_bytes\":{},\"response_bytes\":{},"
                 "\"fallbacks\":{}}}\n",
                 GrpcCodeName(grpc_status_), latency_us_, own_us_, request_bytes_, response_bytes_, fallbacks_);
}

void AppendJsonString(std::string_view text, std::string& out) {
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
