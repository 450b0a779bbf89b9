// Shares of a hash space, without rounding.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace signalbox::effect {

// From nothing to the whole. Every draw of a decision is cut at whole parts per million, and draws are independent, so
// a share is a sum of products of parts per million: a decimal fraction with an end, kept as it is.
class Share {
 public:
  Share() = default;  // nothing
  static Share Whole();
  // parts / 1,000,000
  static Share Ppm(uint32_t parts);

  // Of this share so many parts per million, 0 to 1,000,000.
  Share Times(uint32_t ppm) const;
  // What they add up to is at most the whole.
  Share& operator+=(const Share& other);

  bool IsNothing() const { return limbs_.empty(); }
  double Fraction() const;
  // "3.00 %", "0.0001 %": all digits up to the eighth behind the point, at least two. What has more is rounded there
  // and begins with "~".
  std::string Percent() const;
  // "0.03", every digit.
  std::string Decimal() const;

  friend bool operator==(const Share&, const Share&) = default;
  friend std::strong_ordering operator<=>(const Share& a, const Share& b) { return a.limbs_ <=> b.limbs_; }

 private:
  void Normalise();

  // Digits to the base of a million, the highest first: limbs_[0] in ones, limbs_[1] in millionths. No zeros at the
  // end.
  std::vector<uint64_t> limbs_;
};

}  // namespace signalbox::effect
