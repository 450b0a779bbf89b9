#include "base/percent.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace signalbox {
namespace {

constexpr uint32_t kPpmPerPercent = 10'000;
constexpr uint32_t kWholePpm = 1'000'000;
constexpr size_t kDecimalsMax = 4;
constexpr size_t kIntegerDigitsMax = 3;
constexpr size_t kShownBytesMax = 40;

bool AreDigits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

uint32_t Number(std::string_view digits) {
  uint32_t number = 0;
  for (const char digit : digits) number = 10 * number + static_cast<uint32_t>(digit - '0');
  return number;
}

}  // namespace

std::string Percent(uint32_t share_ppm) {
  std::string text = fmt::format("{}.{:04}", share_ppm / kPpmPerPercent, share_ppm % kPpmPerPercent);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + " %";
}

absl::StatusOr<uint32_t> ParsePercent(std::string_view text) {
  std::string_view number = text;
  if (number.ends_with('%')) number.remove_suffix(1);
  while (number.ends_with(' ')) number.remove_suffix(1);
  const size_t point = std::min(number.find('.'), number.size());
  const std::string_view integer = number.substr(0, point);
  const std::string_view decimals = point == number.size() ? "" : number.substr(point + 1);
  const bool has_form = !integer.empty() && integer.size() <= kIntegerDigitsMax && AreDigits(integer) &&
                        (point == number.size() || !decimals.empty()) && decimals.size() <= kDecimalsMax &&
                        AreDigits(decimals);
  if (has_form) {
    uint32_t ppm = Number(integer) * kPpmPerPercent;
    uint32_t fraction = Number(decimals);
    for (size_t i = decimals.size(); i < kDecimalsMax; ++i) fraction *= 10;
    ppm += fraction;
    if (ppm <= kWholePpm) return ppm;
  }
  return absl::InvalidArgumentError(
      fmt::format("'{}': expected a percentage from 0 to 100 with at most {} decimals, for example 12.5",
                  EscapeControlCharacters(text.substr(0, kShownBytesMax)), kDecimalsMax));
}

}  // namespace signalbox
