#include "balance/split.h"

#include <algorithm>
#include <numeric>

namespace signalbox::balance {
namespace {

// Parts of a thousandth are not seen.
constexpr uint64_t kTurnsMax = 1000;

// Over any stretch of turns each has its part, as even as whole turns allow (smooth weighted round robin, as nginx has
// it).
std::vector<uint16_t> InProportion(const std::vector<uint32_t>& weights) {
  uint64_t sum = 0;
  uint64_t divisor = 0;
  for (const uint32_t weight : weights) {
    sum += weight;
    divisor = std::gcd(divisor, weight);
  }
  if (sum == 0) return {};
  std::vector<int64_t> current(weights.size());
  std::vector<uint16_t> turns(std::min(kTurnsMax, sum / divisor));
  for (uint16_t& turn : turns) {
    for (size_t i = 0; i < weights.size(); ++i) current[i] += weights[i];
    const auto next = std::max_element(current.begin(), current.end());
    *next -= static_cast<int64_t>(sum);
    turn = static_cast<uint16_t>(next - current.begin());
  }
  return turns;
}

}  // namespace

Split::Split(std::vector<std::shared_ptr<Group>> groups, const std::vector<uint32_t>& weights)
    : groups_(std::move(groups)), weights_(weights), turns_(InProportion(weights)) {}

size_t Split::GroupOfKey(uint64_t key) const {
  const uint64_t sum = std::accumulate(weights_.begin(), weights_.end(), uint64_t{0});
  // Not the bits that say where on a ring the key is.
  uint64_t point = (key & 0xFFFF'FFFF) * sum >> 32;
  for (size_t i = 0; i + 1 < weights_.size(); ++i) {
    if (point < weights_[i]) return i;
    point -= weights_[i];
  }
  return weights_.size() - 1;
}

}  // namespace signalbox::balance
