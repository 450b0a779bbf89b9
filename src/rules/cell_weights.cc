#include "rules/cell_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace signalbox::rules {
namespace {
constexpr uint32_t kWhole = 1'000'000;
}

std::vector<uint32_t> WeightsAsPpm(const std::vector<double>& weights) {
  std::vector<uint32_t> parts;
  std::vector<double> lost;
  uint32_t given = 0;
  for (const double weight : weights) {
    // 0.3 * 1e6 is 299999.99999999994: what is a rounding error of the product is not a lost part.
    const double exact = weight * kWhole;
    const double nearest = std::round(exact);
    const double whole = std::abs(exact - nearest) < 1e-6 ? nearest : std::floor(exact);
    parts.push_back(static_cast<uint32_t>(whole));
    lost.push_back(exact - whole);
    given += parts.back();
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lost[a] > lost[b]; });
  for (size_t i = 0; given < kWhole && !order.empty(); i = (i + 1) % order.size(), ++given) ++parts[order[i]];
  return parts;
}

}  // namespace signalbox::rules
