#include "base/nearest_name.h"

#include <algorithm>
#include <array>
#include <utility>

namespace signalbox {
namespace {

constexpr size_t kLetterCost = 2;
constexpr size_t kCaseCost = 1;

using Row = std::array<size_t, kNameSearchBytesMax + 1>;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

size_t Difference(char a, char b) { return a == b ? 0 : Lower(a) == Lower(b) ? kCaseCost : kLetterCost; }

// Row by row; `distance_max` + 1 when it is more than that.
size_t Distance(std::string_view a, std::string_view b, size_t distance_max) {
  std::array<Row, 3> rows;
  Row* before_last = &rows[0];
  Row* last = &rows[1];
  Row* row = &rows[2];
  for (size_t j = 0; j <= b.size(); ++j) (*last)[j] = j * kLetterCost;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t least = (*row)[0] = i * kLetterCost;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t distance = std::min(
          {(*last)[j] + kLetterCost, (*row)[j - 1] + kLetterCost, (*last)[j - 1] + Difference(a[i - 1], b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        distance = std::min(distance, (*before_last)[j - 2] + kLetterCost);
      (*row)[j] = distance;
      least = std::min(least, distance);
    }
    if (least > distance_max) return distance_max + 1;
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return (*last)[b.size()];
}

}  // namespace

std::string_view NearestName(std::string_view name, std::span<const std::string_view> candidates,
                             const NameSearch& search) {
  const size_t bytes_max = std::min(search.name_bytes_max, kNameSearchBytesMax);
  std::string_view nearest;
  size_t nearest_distance = 0;
  for (std::string_view candidate : candidates.first(std::min(candidates.size(), search.candidates_max))) {
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t shorter = std::min(name.size(), candidate.size());
    const size_t distance_max = longer * kLetterCost / 3;
    if (longer > bytes_max || (longer - shorter) * kLetterCost > distance_max) continue;
    const size_t distance = Distance(name, candidate, distance_max);
    if (distance > distance_max || (!nearest.empty() && distance >= nearest_distance)) continue;
    nearest = candidate;
    nearest_distance = distance;
  }
  return nearest;
}

}  // namespace signalbox
