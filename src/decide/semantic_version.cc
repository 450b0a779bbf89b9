#include "decide/semantic_version.h"

#include <algorithm>

namespace signalbox::decide {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsIdentifierCharacter(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

bool IsNumber(std::string_view text) { return std::all_of(text.begin(), text.end(), IsDigit); }

// Takes the digits off the front of `rest`. False: there are none, or too many. By hand, because nearly every request
// has a version, of some five bytes, and the calls of general functions take longer than reading it.
bool TakeNumber(std::string_view& rest, uint64_t& number) {
  size_t digits = 0;
  for (; digits < rest.size() && IsDigit(rest[digits]); ++digits) {
    const auto digit = static_cast<uint64_t>(rest[digits] - '0');
    if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, digit, &number)) return false;
  }
  rest.remove_prefix(digits);
  return digits > 0;
}

// Takes the text before the first `separator` off the front of `rest`, and the separator.
std::string_view TakeUntil(char separator, std::string_view& rest) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

// Identifiers separated by dots, none of them empty.
bool AreIdentifiers(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || IsIdentifierCharacter(c); });
}

// Numbers of any length: leading zeros do not count.
std::strong_ordering CompareNumbers(std::string_view a, std::string_view b) {
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

std::strong_ordering CompareIdentifiers(std::string_view a, std::string_view b) {
  const bool a_is_number = IsNumber(a);
  if (a_is_number != IsNumber(b)) return a_is_number ? std::strong_ordering::less : std::strong_ordering::greater;
  return a_is_number ? CompareNumbers(a, b) : a <=> b;
}

std::strong_ordering ComparePreReleases(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.empty() <=> b.empty();
  while (!a.empty() && !b.empty()) {
    const auto order = CompareIdentifiers(TakeUntil('.', a), TakeUntil('.', b));
    if (order != 0) return order;
  }
  return b.empty() <=> a.empty();
}

}  // namespace

std::optional<SemanticVersion> ParseSemanticVersion(std::string_view text) {
  SemanticVersion version;
  std::string_view rest = text;
  for (size_t i = 0;; ++i) {
    if (i == version.numbers.size() || !TakeNumber(rest, version.numbers[i])) return std::nullopt;
    if (!rest.starts_with('.')) break;
    rest.remove_prefix(1);
  }
  if (!rest.empty() && rest.front() != '-' && rest.front() != '+') return std::nullopt;
  if (rest.starts_with('-')) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('+'), rest.size());
    version.pre_release = rest.substr(0, end);
    if (!AreIdentifiers(version.pre_release)) return std::nullopt;
    rest.remove_prefix(end);
  }
  if (!rest.empty() && !AreIdentifiers(rest.substr(1))) return std::nullopt;
  return version;
}

std::strong_ordering operator<=>(const SemanticVersion& a, const SemanticVersion& b) {
  if (a.numbers != b.numbers) return a.numbers <=> b.numbers;
  return ComparePreReleases(a.pre_release, b.pre_release);
}

}  // namespace signalbox::decide
