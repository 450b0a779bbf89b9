#include "rules/version_text.h"

#include <algorithm>
#include <array>

namespace signalbox::rules {
namespace {

constexpr size_t kVersionBytesMax = 100;
// So that they fit into 64 bits, whoever reads them.
constexpr size_t kDigitsMax = 18;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIdentifierChar(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; }
bool IsNumber(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit); }

// What stands before the first `separator`; takes it and the separator off `text`.
std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::string_view WithoutLeadingZeros(std::string_view number) {
  while (number.size() > 1 && number[0] == '0') number.remove_prefix(1);
  return number;
}

bool IsDotted(std::string_view text) {
  if (text.empty() || text.back() == '.') return false;
  while (!text.empty()) {
    const std::string_view part = TakeUntil(text, '.');
    if (part.empty() || !std::all_of(part.begin(), part.end(), IsIdentifierChar)) return false;
    if (IsNumber(part) && part.size() > kDigitsMax) return false;
  }
  return true;
}

int Compare(std::string_view a, std::string_view b) { return a == b ? 0 : (a < b ? -1 : 1); }

// Both without leading zeros.
int CompareNumbers(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return Compare(a, b);
}

int ComparePreReleases(std::string_view a, std::string_view b) {
  // A pre-release comes before the version itself.
  if (a.empty() || b.empty()) return a.empty() == b.empty() ? 0 : (a.empty() ? 1 : -1);
  while (!a.empty() && !b.empty()) {
    const std::string_view x = TakeUntil(a, '.');
    const std::string_view y = TakeUntil(b, '.');
    int order = 0;
    if (IsNumber(x) && IsNumber(y)) {
      order = CompareNumbers(WithoutLeadingZeros(x), WithoutLeadingZeros(y));
    } else if (IsNumber(x) != IsNumber(y)) {
      order = IsNumber(x) ? -1 : 1;
    } else {
      order = Compare(x, y);
    }
    if (order != 0) return order;
  }
  return a.empty() == b.empty() ? 0 : (a.empty() ? -1 : 1);
}

}  // namespace

std::optional<std::string> CanonicalVersion(std::string_view text) {
  if (text.empty() || text.size() > kVersionBytesMax) return std::nullopt;
  const size_t build = text.find('+');
  if (build != std::string_view::npos) {
    if (!IsDotted(text.substr(build + 1))) return std::nullopt;
    text = text.substr(0, build);
  }
  const size_t dash = text.find('-');
  const bool has_pre_release = dash != std::string_view::npos;
  const std::string_view pre_release = has_pre_release ? text.substr(dash + 1) : "";
  if (has_pre_release && !IsDotted(pre_release)) return std::nullopt;
  std::string_view numbers = text.substr(0, dash);
  if (numbers.empty() || numbers.back() == '.') return std::nullopt;
  std::array<std::string_view, 3> parts = {"0", "0", "0"};
  for (size_t i = 0; !numbers.empty(); ++i) {
    const std::string_view part = TakeUntil(numbers, '.');
    if (i == parts.size() || !IsNumber(part) || part.size() > kDigitsMax) return std::nullopt;
    parts[i] = WithoutLeadingZeros(part);
  }
  std::string version;
  version.append(parts[0]).append(".").append(parts[1]).append(".").append(parts[2]);
  if (has_pre_release) version.append("-").append(pre_release);
  return version;
}

int CompareVersions(std::string_view a, std::string_view b) {
  std::string_view a_numbers = TakeUntil(a, '-');
  std::string_view b_numbers = TakeUntil(b, '-');
  while (!a_numbers.empty() && !b_numbers.empty()) {
    const int order = CompareNumbers(TakeUntil(a_numbers, '.'), TakeUntil(b_numbers, '.'));
    if (order != 0) return order;
  }
  return ComparePreReleases(a, b);
}

}  // namespace signalbox::rules
