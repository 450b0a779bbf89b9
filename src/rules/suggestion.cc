#include "rules/suggestion.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest_name.h"

namespace signalbox::rules {
namespace {

// An author waits for the answer, and may have a hundred thousand names.
constexpr NameSearch kSearch{.candidates_max = 2000, .name_bytes_max = kNameSearchBytesMax};

}  // namespace

std::string DidYouMean(std::string_view name, const std::vector<std::string>& known) {
  const size_t count = std::min(known.size(), kSearch.candidates_max);
  const std::vector<std::string_view> candidates(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(count));
  const std::string_view nearest = NearestName(name, candidates, kSearch);
  return nearest.empty() ? "" : fmt::format(", did you mean \"{}\"?", nearest);
}

}  // namespace signalbox::rules
