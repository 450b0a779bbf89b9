#include "proxy/context_headers.h"

#include <fmt/format.h>

#include <string_view>

#include "api/headers.h"
#include "base/status.h"

namespace signalbox::proxy {
namespace {

// Values with escapes would have to be copied; what contexts hold (countries, devices, surfaces) has none.
bool IsKeyStart(char c) { return (c >= 'a' && c <= 'z') || c == '*'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsKeyChar(char c) { return IsKeyStart(c) || IsDigit(c) || c == '_' || c == '-' || c == '.'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsTokenChar(char c) {
  return IsAlpha(c) || IsDigit(c) || std::string_view(":/!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// One pass over an RFC 8941 dictionary.
class DictionaryReader {
 public:
  explicit DictionaryReader(std::string_view text) : text_(text) {}

  bool done() {
    SkipSpaces();
    return at_ == text_.size();
  }

  absl::Status ReadMember(std::string_view& key, std::string_view& value) {
    RETURN_IF_ERROR(ReadKey(key));
    value = "?1";  // a key alone means true
    if (Peek() == '=') {
      ++at_;
      RETURN_IF_ERROR(ReadValue(value));
    }
    if (value == "?1") value = "true";
    if (value == "?0") value = "false";
    return ReadSeparator();
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipSpaces() {
    while (Peek() == ' ' || Peek() == '\t') ++at_;
  }

  absl::Status ReadKey(std::string_view& key) {
    const size_t start = at_;
    if (!IsKeyStart(Peek())) return Refuse("a key, which begins with a lower-case letter");
    while (IsKeyChar(Peek())) ++at_;
    key = text_.substr(start, at_ - start);
    return absl::OkStatus();
  }

  absl::Status ReadValue(std::string_view& value) {
    const size_t start = at_;
    const char first = Peek();
    if (first == '"') return ReadString(value);
    if (first == '?') {
      ++at_;
      if (Peek() != '0' && Peek() != '1') return Refuse("?0 or ?1");
      ++at_;
    } else if (first == '-' || IsDigit(first)) {
      ++at_;
      while (IsDigit(Peek()) || Peek() == '.') ++at_;
    } else if (IsAlpha(first) || first == '*') {
      while (IsTokenChar(Peek())) ++at_;
    } else {
      return Refuse("a token, a \"string\", a number, ?0 or ?1");
    }
    value = text_.substr(start, at_ - start);
    return absl::OkStatus();
  }

  absl::Status ReadString(std::string_view& value) {
    const size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') return Refuse("a string without escapes");
      if (text_[at_] < ' ' || text_[at_] > '~') return Refuse("printable ASCII in a string");
      ++at_;
    }
    if (at_ == text_.size()) return Refuse("the closing '\"' of a string");
    value = text_.substr(start, at_++ - start);
    return absl::OkStatus();
  }

  absl::Status ReadSeparator() {
    SkipSpaces();
    if (at_ == text_.size()) return absl::OkStatus();
    if (Peek() != ',') return Refuse("',' or the end");
    ++at_;
    SkipSpaces();
    return at_ == text_.size() ? Refuse("another member after the last ','") : absl::OkStatus();
  }

  absl::Status Refuse(std::string_view expected) const {
    return absl::InvalidArgumentError(fmt::format(
        "header sb-context, column {}: expected {}, as in `country=US, device=tv, surface=home`", at_ + 1, expected));
  }

  std::string_view text_;
  size_t at_ = 0;
};

absl::Status ReadDictionary(std::string_view text, ContextHeaders& out) {
  size_t attributes = 0;
  std::string_view key;
  std::string_view value;
  for (DictionaryReader reader(text); !reader.done();) {
    RETURN_IF_ERROR(reader.ReadMember(key, value));
    // RFC 8941: of members with the same key the last one counts.
    if (key == "country") {
      out.context.country = value;
    } else if (key == "locale") {
      out.context.locale = value;
    } else if (key == "device") {
      out.context.device = value;
    } else if (key == "surface") {
      out.context.surface = value;
    } else {
      size_t slot = 0;
      while (slot < attributes && out.attributes[slot].key != key) ++slot;
      if (slot == kAttributesMax) {
        return absl::InvalidArgumentError(fmt::format("header sb-context has more than {} attributes", kAttributesMax));
      }
      out.attributes[slot] = {key, value};
      attributes = std::max(attributes, slot + 1);
    }
  }
  out.context.attributes = {out.attributes.data(), attributes};
  return absl::OkStatus();
}

absl::Status SetOnce(const Header& header, std::string_view& field) {
  if (field.data() != nullptr) return absl::InvalidArgumentError(fmt::format("header {} is there twice", header.name));
  field = header.value;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadContext(const HeaderList& headers, ContextHeaders& out) {
  std::string_view dictionary;
  std::string_view traffic;
  out.context = {};
  for (const Header& header : headers.headers()) {
    if (!header.name.starts_with(headers::kPrefix)) continue;
    if (header.name == headers::kObjective) RETURN_IF_ERROR(SetOnce(header, out.context.objective));
    if (header.name == headers::kUser) RETURN_IF_ERROR(SetOnce(header, out.context.user));
    if (header.name == headers::kTenant) RETURN_IF_ERROR(SetOnce(header, out.context.tenant));
    if (header.name == headers::kContext) RETURN_IF_ERROR(SetOnce(header, dictionary));
    if (header.name == headers::kTraffic) RETURN_IF_ERROR(SetOnce(header, traffic));
  }
  if (!traffic.empty()) {
    const std::optional<decide::TrafficType> type = decide::ParseTrafficType(traffic);
    if (!type) {
      return absl::InvalidArgumentError(
          fmt::format("header sb-traffic is \"{}\", expected live, synthetic, replay or shadow", traffic));
    }
    out.context.traffic_type = *type;
  }
  return dictionary.empty() ? absl::OkStatus() : ReadDictionary(dictionary, out);
}

}  // namespace signalbox::proxy
