#include "effect/share.h"

#include <fmt/format.h>

#include <algorithm>

namespace signalbox::effect {
namespace {

constexpr uint64_t kBase = 1'000'000;
constexpr size_t kDigitsOfLimb = 6;
constexpr size_t kPercentDecimalsMin = 2;
constexpr size_t kPercentDecimalsMax = 8;

// The first `count` of the digits, of which the first is 0 where there is something to round, half up.
std::string Rounded(const std::string& digits, size_t count) {
  if (digits.size() <= count) return digits;
  std::string rounded(digits, 0, count);
  if (digits[count] < '5') return rounded;
  for (size_t i = count; i > 0; --i) {
    if (rounded[i - 1] != '9') {
      ++rounded[i - 1];
      break;
    }
    rounded[i - 1] = '0';
  }
  return rounded;
}

}  // namespace

Share Share::Whole() { return Ppm(kBase); }

Share Share::Ppm(uint32_t parts) {
  Share share;
  share.limbs_ = {parts / kBase, parts % kBase};
  share.Normalise();
  return share;
}

Share Share::Times(uint32_t ppm) const {
  Share product;
  product.limbs_.assign(limbs_.size() + 1, 0);
  for (size_t i = 0; i < limbs_.size(); ++i) {
    const uint64_t both = limbs_[i] * ppm;
    product.limbs_[i] += both / kBase;
    product.limbs_[i + 1] += both % kBase;
  }
  product.Normalise();
  return product;
}

Share& Share::operator+=(const Share& other) {
  limbs_.resize(std::max(limbs_.size(), other.limbs_.size()));
  for (size_t i = 0; i < other.limbs_.size(); ++i) limbs_[i] += other.limbs_[i];
  Normalise();
  return *this;
}

void Share::Normalise() {
  for (size_t i = limbs_.size(); i > 1; --i) {
    limbs_[i - 2] += limbs_[i - 1] / kBase;
    limbs_[i - 1] %= kBase;
  }
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
}

double Share::Fraction() const {
  double fraction = 0;
  for (size_t i = limbs_.size(); i > 0; --i)
    fraction = fraction / static_cast<double>(kBase) + static_cast<double>(limbs_[i - 1]);
  return fraction;
}

std::string Share::Decimal() const {
  if (limbs_.empty()) return "0";
  std::string text = fmt::format("{}", limbs_[0]);
  if (limbs_.size() == 1) return text;
  text += ".";
  for (size_t i = 1; i < limbs_.size(); ++i) text += fmt::format("{:06}", limbs_[i]);
  return text.substr(0, text.find_last_not_of('0') + 1);
}

std::string Share::Percent() const {
  // Three digits before the point (ones of the whole, and the first two of the fraction), the others behind it.
  std::string digits = fmt::format("{}", limbs_.empty() ? 0 : limbs_[0]);
  for (size_t i = 1; i < std::max<size_t>(limbs_.size(), 2); ++i)
    digits += i < limbs_.size() ? fmt::format("{:06}", limbs_[i]) : std::string(kDigitsOfLimb, '0');
  while (digits.size() > 3 + kPercentDecimalsMin && digits.back() == '0') digits.pop_back();
  const bool is_rounded = digits.size() > 3 + kPercentDecimalsMax;
  digits = Rounded(digits, 3 + kPercentDecimalsMax);
  std::string before = digits.substr(0, 3);
  before.erase(0, std::min(before.find_first_not_of('0'), before.size() - 1));
  return fmt::format("{}{}.{} %", is_rounded ? "~" : "", before, digits.substr(3));
}

}  // namespace signalbox::effect
