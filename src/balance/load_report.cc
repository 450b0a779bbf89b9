#include "balance/load_report.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace signalbox::balance {
namespace {

// A report has a dozen numbers; a host that sends more must not keep a worker busy.
constexpr size_t kReportBytesMax = 4 << 10;

class Report {
 public:
  void Add(std::string_view name, double value) {
    if (!std::isfinite(value) || value < 0) return;
    if (name == "application_utilization") application_ = value;
    if (name == "mem_utilization") return;  // of a host with its models loaded it says little
    if (name.ends_with("_utilization") || name.ends_with("_usage_perc"))
      greatest_ = std::max(greatest_.value_or(0), value);
  }
  void AddNumber(std::string_view name, std::string_view number) {
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc() && end == number.data() + number.size()) Add(name, value);
  }
  std::optional<double> saturation() const { return application_ ? application_ : greatest_; }

 private:
  std::optional<double> application_;
  std::optional<double> greatest_;
};

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

void ReadText(std::string_view text, Report& report) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    report.AddNumber(Trim(pair.substr(0, equals)), Trim(pair.substr(equals + 1)));
  }
}

// Every `"name": number`, however deep: all names that matter say what they are.
void ReadJson(std::string_view text, Report& report) {
  for (;;) {
    const size_t open = text.find('"');
    if (open == std::string_view::npos) return;
    const size_t close = text.find('"', open + 1);
    if (close == std::string_view::npos) return;
    const std::string_view name = text.substr(open + 1, close - open - 1);
    text = text.substr(close + 1);
    const size_t colon = text.find_first_not_of(" \t\r\n");
    if (colon == std::string_view::npos || text[colon] != ':') continue;
    const size_t end = text.find_first_of(",}{\"", colon);
    report.AddNumber(name, Trim(text.substr(colon + 1, end == std::string_view::npos ? end : end - colon - 1)));
  }
}

// The fields of a protobuf message, as far as they are whole.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}
  bool Next() {
    uint64_t tag = 0;
    if (!Varint(tag)) return false;
    number_ = static_cast<uint32_t>(tag >> 3);
    bytes_ = {};
    switch (tag & 7) {
      case 0: {
        uint64_t ignored = 0;
        return Varint(ignored);
      }
      case 1:
        return Take(8);
      case 2: {
        uint64_t size = 0;
        return Varint(size) && Take(size);
      }
      case 5:
        return Take(4);
      default:
        return false;
    }
  }
  uint32_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }
  // Of a field of 8 bytes; NaN for others.
  double number_value() const {
    if (bytes_.size() != sizeof(double)) return std::nan("");
    double value = 0;
    std::memcpy(&value, bytes_.data(), sizeof(value));
    return value;
  }

 private:
  bool Varint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool Take(uint64_t size) {
    if (size > rest_.size()) return false;
    bytes_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  std::string_view bytes_;
  uint32_t number_ = 0;
};

// xds.data.orca.v3.OrcaLoadReport: cpu_utilization 1, utilization 5 and named_metrics 8 (maps), application_utilization
// 9.
void ReadMessage(std::string_view message, Report& report) {
  Fields fields(message);
  while (fields.Next()) {
    if (fields.number() == 1) report.Add("cpu_utilization", fields.number_value());
    // A message says 0 where nobody has set it.
    if (fields.number() == 9 && fields.number_value() > 0) report.Add("application_utilization", fields.number_value());
    if (fields.number() != 5 && fields.number() != 8) continue;
    Fields entry(fields.bytes());
    std::string_view name;
    double value = std::nan("");
    while (entry.Next()) {
      if (entry.number() == 1) name = entry.bytes();
      if (entry.number() == 2) value = entry.number_value();
    }
    // What is in `utilization` is one, whatever it is called.
    report.Add(fields.number() == 5 ? "named_utilization" : name, value);
  }
}

// With or without padding, as gRPC allows. False for what is no base64.
bool DecodeBase64(std::string_view text, char* out, size_t& size) {
  uint32_t bits = 0;
  int count = 0;
  size = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    int value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = c - 'A';
    } else if (c >= 'a' && c <= 'z') {
      value = c - 'a' + 26;
    } else if (c >= '0' && c <= '9') {
      value = c - '0' + 52;
    } else if (c == '+' || c == '-') {
      value = 62;
    } else if (c == '/' || c == '_') {
      value = 63;
    } else {
      return false;
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[size++] = static_cast<char>(bits >> count);
  }
  return true;
}

}  // namespace

std::optional<double> ReadLoadReport(std::string_view header_name, std::string_view value) {
  if (value.size() > kReportBytesMax) return std::nullopt;
  Report report;
  if (header_name == kLoadBinaryHeader) {
    std::array<char, kReportBytesMax> message;
    size_t size = 0;
    if (DecodeBase64(value, message.data(), size)) ReadMessage({message.data(), size}, report);
    return report.saturation();
  }
  constexpr std::string_view kText = "TEXT ";
  constexpr std::string_view kJson = "JSON ";
  if (value.starts_with(kText)) ReadText(value.substr(kText.size()), report);
  if (value.starts_with(kJson)) ReadJson(value.substr(kJson.size()), report);
  return report.saturation();
}

}  // namespace signalbox::balance
