#include "host/title_order.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"
#include "base/string_map.h"

namespace signalbox::host {
namespace {

// Places that are diversified; nobody scrolls further, and the work grows with its square.
constexpr size_t kDiversifiedPlacesMax = 100;

bool ForKids(const Candidate& candidate) {
  return candidate.film != nullptr &&
         (candidate.film->audience_rating() == "G" || candidate.film->audience_rating() == "PG");
}

// Greedy: each place goes to the film with the best mix of its rank by score and of how new its genre is among the
// places above. Ranks instead of scores, because models score on different scales. Maximal marginal relevance
// (Carbonell and Goldstein, 1998) with the genre as similarity.
void Diversify(std::span<const Candidate> candidates, double weight, std::span<size_t> order) {
  order = order.first(std::min(order.size(), kDiversifiedPlacesMax));
  std::vector<size_t> rest(order.begin(), order.end());
  std::vector<double> worth(order.size());
  for (size_t i = 0; i < worth.size(); ++i) worth[i] = 1 - static_cast<double>(i) / static_cast<double>(worth.size());
  StringMap<double> shown;
  for (size_t place = 0; place < order.size(); ++place) {
    size_t best = 0;
    double best_value = -2;
    for (size_t i = 0; i < rest.size(); ++i) {
      auto same = shown.find(std::string_view(candidates[rest[i]].film->genre()));
      const double repeated = same == shown.end() ? 0 : same->second / static_cast<double>(place);
      const double value = (1 - weight) * worth[i] - weight * repeated;
      if (value > best_value) {
        best = i;
        best_value = value;
      }
    }
    order[place] = rest[best];
    shown[candidates[rest[best]].film->genre()] += 1;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(best));
    worth.erase(worth.begin() + static_cast<std::ptrdiff_t>(best));
  }
}

}  // namespace

absl::StatusOr<OrderPolicy> ReadOrderPolicy(const inference::ModelInferRequest& request,
                                            const RequestMetadata& metadata) {
  ASSIGN_OR_RETURN(std::optional<double> diversity, NumberParameter(request, "genre_diversity", 0, 1));
  return OrderPolicy{.genre_diversity = diversity.value_or(0),
                     .kids = ContextValue(metadata.context, "surface") == "kids"};
}

std::vector<size_t> Order(std::span<const Candidate> candidates, const OrderPolicy& policy) {
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  auto unknown =
      std::stable_partition(order.begin(), order.end(), [&](size_t i) { return candidates[i].film != nullptr; });
  std::stable_sort(order.begin(), unknown,
                   [&](size_t a, size_t b) { return candidates[a].score > candidates[b].score; });
  if (policy.genre_diversity > 0) Diversify(candidates, policy.genre_diversity, std::span(order.begin(), unknown));
  if (policy.kids) std::stable_partition(order.begin(), unknown, [&](size_t i) { return ForKids(candidates[i]); });
  return order;
}

}  // namespace signalbox::host
