#include "rules/suggestion.h"

#include <fmt/format.h>

#include <algorithm>

namespace signalbox::rules {
namespace {

// Longer names are not compared: the work grows with the product of the lengths.
constexpr size_t kLetters = 200;
// The first ones have to do: a rule set may have a hundred thousand names.
constexpr size_t kCandidatesMax = 2000;
constexpr size_t kLetterCost = 2;
constexpr size_t kCaseCost = 1;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

size_t Difference(char a, char b) { return a == b ? 0 : Lower(a) == Lower(b) ? kCaseCost : kLetterCost; }

// Edit distance in which two neighbours that changed places count once (optimal string alignment).
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j * kLetterCost;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i * kLetterCost;
    for (size_t j = 1; j <= b.size(); ++j) {
      current[j] =
          std::min({last[j] + kLetterCost, current[j - 1] + kLetterCost, last[j - 1] + Difference(a[i - 1], b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before_last[j - 2] + kLetterCost);
    }
    std::swap(before_last, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view name, const std::vector<std::string>& known) {
  const std::string* nearest = nullptr;
  size_t nearest_distance = 0;
  for (size_t i = 0; i < std::min(known.size(), kCandidatesMax); ++i) {
    const std::string& candidate = known[i];
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t shorter = std::min(name.size(), candidate.size());
    const size_t distance_max = longer * kLetterCost / 3;
    if (longer > kLetters || (longer - shorter) * kLetterCost > distance_max) continue;
    const size_t distance = Distance(name, candidate);
    if (distance > distance_max) continue;
    if (nearest != nullptr && distance >= nearest_distance) continue;
    nearest = &candidate;
    nearest_distance = distance;
  }
  return nearest == nullptr ? "" : fmt::format(", did you mean \"{}\"?", *nearest);
}

}  // namespace signalbox::rules
