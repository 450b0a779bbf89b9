#include "assign/assignment.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "assign/balance.h"
#include "assign/explanation.h"
#include "assign/keeping.h"
#include "assign/layout.h"
#include "assign/placing.h"
#include "assign/problem.h"

namespace signalbox::assign {
namespace {

// Comparisons of a model with a shard, some 40 ns each. The first strategy has what it needs to look at everything
// once, whatever this says.
constexpr int64_t kWorkMax = 3'000'000;
constexpr int64_t kWorkMin = 300'000;
constexpr int64_t kWorkOfPair = 30;
constexpr int64_t kWorkOfBalanceMax = 500'000;
constexpr int kDepthMax = 3;
// Where shards times models are no more than this, balance too is worth some more tries.
constexpr int64_t kSmall = 1000;
constexpr uint64_t kShuffles = 24;

std::vector<Strategy> Strategies() {
  using Order = Strategy::Order;
  using Target = Strategy::Target;
  std::vector<Strategy> all;
  for (const Target target : {Target::kLeastLoad, Target::kLeastRoom}) {
    for (const Order order : {Order::kLargestFirst, Order::kSmallestFirst, Order::kById})
      all.push_back({order, target, 0});
  }
  for (uint64_t seed = 1; seed <= kShuffles; ++seed) {
    all.push_back({Order::kShuffled, seed % 2 == 0 ? Target::kShuffled : Target::kLeastLoad, seed});
  }
  return all;
}

struct Score {
  int running = 0;  // placed, and on a shard before that is still there
  int lost = 0;     // placed, and on shards before that are all gone
  int64_t trouble = 0;
  int placed_new = 0;
  std::vector<bool> placed;  // by id
  int moves = 0;
  double utilisation = 0;

  bool BetterThan(const Score& other) const {
    constexpr double kSame = 1e-9;
    const std::tuple a(-running, -lost, trouble, -placed_new);
    const std::tuple b(-other.running, -other.lost, other.trouble, -other.placed_new);
    if (a != b) return a < b;
    if (placed != other.placed) return placed > other.placed;
    if (moves != other.moves) return moves < other.moves;
    return utilisation < other.utilisation - kSame;
  }
};

Score ScoreOf(const Layout& layout) {
  const Problem& problem = layout.problem();
  Score score;
  score.trouble = layout.Trouble();
  score.moves = layout.moves();
  score.utilisation = layout.HighestUtilisation();
  for (int m = 0; m < problem.model_count(); ++m) {
    const bool placed = !layout.ShardsOf(m).empty();
    score.placed.push_back(placed);
    if (!placed) continue;
    const ModelFacts& facts = problem.model(m);
    ++(!facts.homes.empty() ? score.running : facts.placed_before ? score.lost : score.placed_new);
  }
  return score;
}

void PlaceNew(Layout& layout, Placing& placing) {
  const Problem& problem = layout.problem();
  std::vector<Bundle> waiting;
  for (const std::vector<int>& component : problem.components()) {
    Bundle possible;
    for (const int m : component) {
      if (problem.model(m).impossible.empty() && layout.ShardsOf(m).empty()) possible.push_back(m);
    }
    if (!possible.empty()) waiting.push_back(std::move(possible));
  }
  placing.Sort(waiting);
  for (const Bundle& models : waiting) placing.PlaceComponent(models, kDepthMax);
}

// Of new models of which only some find a place, those with the first ids do.
void PreferFirstIds(Layout& layout, Placing& placing) {
  const Problem& problem = layout.problem();
  const auto stands_alone = [&](int m) {
    const ModelFacts& facts = problem.model(m);
    return facts.impossible.empty() && !facts.needed_before &&
           problem.components()[static_cast<size_t>(facts.component)].size() == 1;
  };
  for (int m = 0; m < problem.model_count() && placing.work_left() > 0; ++m) {
    if (!stands_alone(m) || !layout.ShardsOf(m).empty()) continue;
    for (int other = problem.model_count() - 1; other > m && placing.work_left() > 0; --other) {
      if (!stands_alone(other) || layout.ShardsOf(other).empty()) continue;
      const size_t mark = layout.Mark();
      for (const int s : std::vector<int>(layout.ShardsOf(other))) layout.Take(other, s);
      if (placing.PlaceWhole(m, 1)) break;
      layout.Rollback(mark);
    }
  }
}

Layout Find(const Layout& kept, const Strategy& strategy, int64_t& work_left) {
  Layout layout = kept;
  Placing placing(layout, strategy, work_left);
  Repair(layout, placing, kDepthMax);
  // What was put right may have made room for what could not be.
  if (layout.Trouble() > 0 && placing.work_left() > 0) Repair(layout, placing, kDepthMax);
  PlaceNew(layout, placing);
  PreferFirstIds(layout, placing);
  ReturnHome(layout, placing);
  Balance(layout, std::min(kWorkOfBalanceMax, std::max(kWorkOfBalanceMax / 10, placing.work_left())));
  work_left = placing.work_left();
  return layout;
}

// Nothing that another strategy could do better, but for the balance.
bool IsPerfect(const Layout& layout, const Layout& kept) {
  const Problem& problem = layout.problem();
  int64_t missing = 0;
  for (int m = 0; m < problem.model_count(); ++m) {
    if (layout.ShardsOf(m).empty() && problem.model(m).impossible.empty()) return false;
    if (problem.model(m).placed_before) missing += std::max(0, kept.Missing(m));
  }
  return layout.moves() <= missing && layout.Trouble() == 0;
}

}  // namespace

Result Assign(std::vector<Shard> shards, std::vector<Model> models, const Assignment& current, const Options& options) {
  const Problem problem(std::move(shards), std::move(models), current, options);
  Layout kept(problem);
  Keep(kept, false);
  Layout kept_otherwise(problem);
  Keep(kept_otherwise, true);

  const int64_t pairs = static_cast<int64_t>(problem.shard_count()) * problem.model_count();
  const bool small = pairs <= kSmall;
  int64_t work_left = std::min(kWorkMax, kWorkMin + kWorkOfPair * pairs);
  std::optional<Layout> best;
  Score best_score;
  for (const Strategy& strategy : Strategies()) {
    Layout layout = Find(strategy.seed % 3 == 1 ? kept_otherwise : kept, strategy, work_left);
    Score score = ScoreOf(layout);
    if (!best || score.BetterThan(best_score)) {
      best = std::move(layout);
      best_score = std::move(score);
    }
    if (work_left <= 0 || (!small && IsPerfect(*best, kept))) break;
  }

  Result result;
  for (int m = 0; m < problem.model_count(); ++m) {
    std::vector<int> on = best->ShardsOf(m);
    if (on.empty()) continue;
    std::sort(on.begin(), on.end());
    std::vector<std::string>& names = result.assignment[problem.model(m).model->id];
    for (const int s : on) names.push_back(problem.shard(s).shard->name);
  }
  result.explanations = Explain(*best, current);
  result.moves = static_cast<size_t>(best->moves());
  result.utilisation_max = best->HighestUtilisation();
  return result;
}

}  // namespace signalbox::assign
