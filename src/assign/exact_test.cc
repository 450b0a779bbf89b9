// How near Assign comes to the best there is.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "assign/assignment.h"
#include "assign/test_cases.h"
#include "assign/test_exact_solver.h"

namespace signalbox::assign {
namespace {

constexpr uint64_t kCases = 3000;
constexpr int64_t kNodesMax = 20'000'000;

TEST(AssignmentAgainstExact, ReachesNinetyFiveHundredthsOfTheObjective) {
  std::vector<double> ratios;
  std::array<int, 8> differs = {};
  int given_up = 0;
  std::vector<std::pair<double, uint64_t>> worst;
  for (uint64_t seed = 1; seed <= kCases; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const Case made = RandomCase(seed, {.steady = seed % 3 == 0});
    Objective best;
    if (!SolveExactly(made.shards, made.models, made.current, kNodesMax, best)) {
      ++given_up;
      continue;
    }
    const Assignment assignment = Assign(made.shards, made.models, made.current).assignment;
    ASSERT_EQ(Violations(made.shards, made.models, made.current, assignment), "") << TextOf(made);
    const Objective ours = Measure(made.shards, made.models, made.current, assignment);
    ASSERT_FALSE(ours.BetterThan(best)) << "the exact solver is not exact\n" << TextOf(made);
    // Where nothing good can be had the best is 0 or below; then equal is all, and less is nothing.
    const int at = ours.DiffersAt(best);
    const double ratio = at == 0 ? 1 : best.Value() > 0 ? std::clamp(ours.Value() / best.Value(), 0.0, 1.0) : 0;
    ++differs[static_cast<size_t>(at)];
    ratios.push_back(ratio);
    worst.emplace_back(ratio, seed);
  }
  std::sort(ratios.begin(), ratios.end());
  std::sort(worst.begin(), worst.end());
  const auto percentile = [&](double part) {
    return ratios[static_cast<size_t>(part * static_cast<double>(ratios.size() - 1))];
  };
  double sum = 0;
  for (const double ratio : ratios) sum += ratio;
  const auto reached = static_cast<double>(ratios.end() - std::lower_bound(ratios.begin(), ratios.end(), 0.95)) /
                       static_cast<double>(ratios.size());
  std::printf("of %zu cases (%d too large for the exact solver), value : best value\n", ratios.size(), given_up);
  std::printf("  least %.4f  p0.1 %.4f  p1 %.4f  p5 %.4f  median %.4f  mean %.4f; at least 0.95: %.2f %%\n",
              ratios.front(), percentile(0.001), percentile(0.01), percentile(0.05), percentile(0.5),
              sum / static_cast<double>(ratios.size()), reached * 100);
  std::printf(
      "  the best %d; else first worse in: running %d, lost %d, trouble %d, placed new %d, which new %d, moves %d, "
      "balance %d\n",
      differs[0], differs[1], differs[2], differs[3], differs[4], differs[5], differs[6], differs[7]);
  std::printf("  worst:");
  for (size_t i = 0; i < 8 && i < worst.size(); ++i)
    std::printf(" seed %llu %.3f", static_cast<unsigned long long>(worst[i].second), worst[i].first);
  std::printf("\n");
  EXPECT_GE(ratios.size(), 2000u);
  EXPECT_GE(sum / static_cast<double>(ratios.size()), 0.998);
  EXPECT_GE(reached, 0.99);
}

}  // namespace
}  // namespace signalbox::assign
