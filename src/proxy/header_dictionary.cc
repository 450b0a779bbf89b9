#include "proxy/header_dictionary.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "base/status.h"

namespace signalbox::proxy {
namespace {

bool IsKeyStart(char c) { return (c >= 'a' && c <= 'z') || c == '*'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsKeyChar(char c) { return IsKeyStart(c) || IsDigit(c) || c == '_' || c == '-' || c == '.'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsTokenChar(char c) {
  return IsAlpha(c) || IsDigit(c) || std::string_view(":/!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

bool DictionaryReader::done() {
  SkipSpaces();
  return at_ == text_.size();
}

absl::Status DictionaryReader::Read(Member& member) {
  RETURN_IF_ERROR(ReadKey(member.key));
  if (Peek() == '=') {
    ++at_;
    RETURN_IF_ERROR(ReadValue(member));
  } else {
    // A key alone means true.
    member = {.key = member.key, .value = "true", .place = member.key, .is_boolean = true};
  }
  return ReadSeparator();
}

absl::Status DictionaryReader::ReadItem(Member& member, std::string_view& item) {
  // The text was read before, as a whole: what is wrong with it has been said.
  const size_t end = std::exchange(at_, static_cast<size_t>(member.value.data() - text_.data()));
  SkipSpaces();
  const size_t list_end = static_cast<size_t>(member.value.data() - text_.data()) + member.value.size();
  item = {};
  absl::Status status;
  if (at_ < list_end) status = ReadScalar(item);
  if (status.ok()) member.value = text_.substr(at_, list_end - at_);
  at_ = end;
  return status;
}

void DictionaryReader::SkipSpaces() {
  while (Peek() == ' ' || Peek() == '\t') ++at_;
}

absl::Status DictionaryReader::ReadKey(std::string_view& key) {
  const size_t start = at_;
  if (!IsKeyStart(Peek())) return RefuseHere("a key, which begins with a lower-case letter");
  while (IsKeyChar(Peek())) ++at_;
  key = text_.substr(start, at_ - start);
  return absl::OkStatus();
}

absl::Status DictionaryReader::ReadValue(Member& member) {
  const char first = Peek();
  member.is_list = first == '(';
  member.is_boolean = first == '?';
  RETURN_IF_ERROR(member.is_list ? ReadList(member.value) : ReadScalar(member.value));
  member.place = member.value;
  // By its type: the string "?1" is a string.
  if (member.is_boolean) member.value = member.place == "?1" ? "true" : "false";
  return absl::OkStatus();
}

absl::Status DictionaryReader::ReadScalar(std::string_view& value) {
  const size_t start = at_;
  const char first = Peek();
  if (first == '"') return ReadString(value);
  if (first == '?') {
    ++at_;
    if (Peek() != '0' && Peek() != '1') return RefuseHere("?0 or ?1");
    ++at_;
  } else if (first == '-' || IsDigit(first)) {
    RETURN_IF_ERROR(ReadNumber());
  } else if (IsAlpha(first) || first == '*') {
    while (IsTokenChar(Peek())) ++at_;
  } else {
    return RefuseHere("a token, a \"string\", a number, ?0 or ?1");
  }
  value = text_.substr(start, at_ - start);
  return absl::OkStatus();
}

absl::Status DictionaryReader::ReadString(std::string_view& value) {
  const size_t start = ++at_;
  while (at_ < text_.size() && text_[at_] != '"') {
    if (text_[at_] == '\\') return RefuseHere("a string without escapes");
    if (text_[at_] < ' ' || text_[at_] > '~') return RefuseHere("printable ASCII in a string");
    ++at_;
  }
  if (at_ == text_.size()) return RefuseHere("the closing '\"' of a string");
  value = text_.substr(start, at_++ - start);
  return absl::OkStatus();
}

absl::Status DictionaryReader::ReadNumber() {
  if (Peek() == '-') ++at_;
  for (;;) {
    if (!IsDigit(Peek())) return RefuseHere("a digit");
    while (IsDigit(Peek())) ++at_;
    if (Peek() != '.') return absl::OkStatus();
    ++at_;
  }
}

absl::Status DictionaryReader::ReadList(std::string_view& value) {
  const size_t start = ++at_;
  std::string_view item;
  for (SkipSpaces(); Peek() != ')'; SkipSpaces()) {
    RETURN_IF_ERROR(ReadScalar(item));
    if (Peek() != ' ' && Peek() != ')') return RefuseHere("' ' or ')' behind an item of an inner list");
  }
  value = text_.substr(start, at_++ - start);
  return absl::OkStatus();
}

absl::Status DictionaryReader::ReadSeparator() {
  SkipSpaces();
  if (at_ == text_.size()) return absl::OkStatus();
  if (Peek() != ',') return RefuseHere("',' or the end");
  ++at_;
  SkipSpaces();
  return at_ == text_.size() ? RefuseHere("another member after the last ','") : absl::OkStatus();
}

absl::Status DictionaryReader::Refuse(std::string_view place, std::string_view expected) const {
  assert(place.data() >= text_.data() && place.data() <= text_.data() + text_.size());
  return absl::InvalidArgumentError(fmt::format("header {}, column {}: expected {}, as in `{}`", header_,
                                                place.data() - text_.data() + 1, expected, example_));
}

}  // namespace signalbox::proxy
