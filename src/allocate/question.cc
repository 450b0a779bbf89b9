#include "allocate/question.h"

#include <algorithm>
#include <array>

#include "telemetry/utf8.h"

namespace signalbox::allocate {
namespace {

constexpr std::array<std::string_view, kResults> kResultNames = {
    "cell",     "no_cell",    "not_found", "refused", "unauthorised", "rate_limited", "server_error",
    "redirect", "bad_answer", "too_large", "timeout", "unreachable",  "paused",       "overloaded"};

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = telemetry::Utf8CharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

std::string_view Name(Result result) { return kResultNames[static_cast<size_t>(result)]; }

bool IsPlatformFailure(Result result) {
  switch (result) {
    case Result::kCell:
    case Result::kNoCell:
    case Result::kNotFound:
    case Result::kRefused:
    case Result::kPaused:
    case Result::kOverloaded:
      return false;
    default:
      return true;
  }
}

std::vector<std::string> WordsOf(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

bool CanBeSent(const Inquiry& inquiry) {
  // Servers and the URL library take both for a way through folders, also as %2E: another path would be asked.
  if (inquiry.flag == "." || inquiry.flag == "..") return false;
  return IsUtf8(inquiry.unit) && IsUtf8(inquiry.flag) &&
         std::all_of(inquiry.context.begin(), inquiry.context.end(),
                     [](const auto& field) { return IsUtf8(field.first) && IsUtf8(field.second); });
}

}  // namespace signalbox::allocate
