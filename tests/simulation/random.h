// The only source of chance in a simulated run: the same seed gives the same run on every machine and release.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace signalbox::simulation {

// SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixer, so that any seed is a good one.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Both ends included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  bool Chance(double probability) { return static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability; }
  size_t Index(size_t size) { return static_cast<size_t>(Next() % size); }
  template <typename T>
  const T& Pick(const std::vector<T>& list) {
    return list[Index(list.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace signalbox::simulation
