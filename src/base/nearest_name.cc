#include "base/nearest_name.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace signalbox {
namespace {

constexpr size_t kCandidatesMax = 256;
constexpr size_t kNameBytesMax = 64;

using Row = std::array<size_t, kNameBytesMax + 1>;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Optimal string alignment distance, row by row; `edits_max` + 1 when it is more than that.
size_t Edits(std::string_view a, std::string_view b, size_t edits_max) {
  std::array<Row, 3> rows;
  Row* before_last = &rows[0];
  Row* last = &rows[1];
  Row* row = &rows[2];
  for (size_t j = 0; j <= b.size(); ++j) (*last)[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t fewest = (*row)[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = Lower(a[i - 1]) == Lower(b[j - 1]);
      size_t edits = std::min({(*last)[j] + 1, (*row)[j - 1] + 1, (*last)[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) && Lower(a[i - 2]) == Lower(b[j - 1]);
      if (swapped) edits = std::min(edits, (*before_last)[j - 2] + 1);
      (*row)[j] = edits;
      fewest = std::min(fewest, edits);
    }
    if (fewest > edits_max) return edits_max + 1;
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return (*last)[b.size()];
}

}  // namespace

std::string_view NearestName(std::string_view name, std::span<const std::string_view> candidates) {
  if (name.empty() || name.size() > kNameBytesMax) return {};
  const size_t edits_max = std::max<size_t>(1, name.size() / 3);
  std::string_view nearest;
  size_t fewest = edits_max + 1;
  for (std::string_view candidate : candidates.first(std::min(candidates.size(), kCandidatesMax))) {
    const size_t longer = std::max(candidate.size(), name.size());
    if (candidate.size() > kNameBytesMax || longer - std::min(candidate.size(), name.size()) >= fewest) continue;
    const size_t edits = Edits(name, candidate, fewest - 1);
    if (edits < fewest) {
      fewest = edits;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace signalbox
