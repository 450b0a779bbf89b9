#include "assign/balance.h"

#include <algorithm>
#include <tuple>

namespace signalbox::assign {
namespace {

// Whether it costs no move to have it elsewhere.
bool IsFree(const Layout& layout, const Bundle& bundle, int s) {
  const Problem& problem = layout.problem();
  return std::none_of(bundle.begin(), bundle.end(), [&](int m) {
    const std::vector<int>& wanted = problem.model(m).wanted;
    return problem.IsHome(m, s) || std::binary_search(wanted.begin(), wanted.end(), s);
  });
}

std::vector<Bundle> FreeOn(const Layout& layout, int s) {
  std::vector<Bundle> found;
  for (Bundle& slice : layout.SlicesOn(s)) {
    if (IsFree(layout, slice, s)) found.push_back(std::move(slice));
  }
  return found;
}

bool BringHome(Layout& layout, Placing& placing, const Bundle& slice, int from, int home) {
  const int moves = layout.moves();
  const int trouble = layout.TroubleOn(from) + layout.TroubleOn(home);
  const size_t mark = layout.Mark();
  const auto is_better = [&] {
    return layout.moves() < moves && layout.TroubleOn(from) + layout.TroubleOn(home) <= trouble;
  };
  layout.Take(slice, from);
  if (layout.Fits(slice, home)) {
    layout.Put(slice, home);
    if (is_better()) return true;
    layout.Rollback(mark);
    layout.Take(slice, from);
  }
  // One that is free makes room.
  for (const Bundle& other : FreeOn(layout, home)) {
    const size_t before = layout.Mark();
    layout.Take(other, home);
    if (layout.Fits(slice, home)) {
      layout.Put(slice, home);
      if (placing.Place(other, 1) && is_better()) return true;
    }
    layout.Rollback(before);
  }
  layout.Rollback(mark);
  return false;
}

bool LowerFullest(Layout& layout, int s, double highest, int64_t& work) {
  const Problem& problem = layout.problem();
  const std::vector<Bundle> free = FreeOn(layout, s);
  struct Best {
    double after;
    int target = -1;
    Bundle leaves;
    Bundle comes;
  } best{.after = highest, .leaves = {}, .comes = {}};
  const auto consider = [&](const Bundle& leaves, int target, const Bundle& comes) {
    const double after = std::max(layout.Utilisation(s), layout.Utilisation(target));
    if (after < best.after - 1e-12) best = {after, target, leaves, comes};
  };
  for (const Bundle& slice : free) {
    const Sum load = LoadOf(problem, slice);
    if (load == 0) continue;
    const size_t mark = layout.Mark();
    layout.Take(slice, s);
    for (int target = 0; target < problem.shard_count() && work > 0; ++target) {
      --work;
      if (target == s || layout.Utilisation(target, load) >= best.after || !layout.Fits(slice, target)) continue;
      layout.Put(slice, target);
      consider(slice, target, {});
      layout.Take(slice, target);
    }
    layout.Rollback(mark);
  }
  for (const Bundle& slice : free) {
    if (best.target >= 0) break;  // exchanges only where nothing simpler helps
    const Sum load = LoadOf(problem, slice);
    for (int target = 0; target < problem.shard_count() && work > 0; ++target) {
      --work;
      if (target == s || layout.Utilisation(target) >= highest || !layout.FitsKind(slice, target)) continue;
      for (const Bundle& other : FreeOn(layout, target)) {
        --work;
        const Sum difference = load - LoadOf(problem, other);
        if (difference <= 0 || layout.Utilisation(target, difference) >= best.after) continue;
        const size_t mark = layout.Mark();
        layout.Take(slice, s);
        layout.Take(other, target);
        if (layout.Fits(slice, target)) {
          layout.Put(slice, target);
          if (layout.Fits(other, s)) {
            layout.Put(other, s);
            consider(slice, target, other);
          }
        }
        layout.Rollback(mark);
      }
    }
  }
  if (best.target < 0) return false;
  layout.Take(best.leaves, s);
  if (!best.comes.empty()) layout.Take(best.comes, best.target);
  layout.Put(best.leaves, best.target);
  if (!best.comes.empty()) layout.Put(best.comes, s);
  return true;
}

}  // namespace

void ReturnHome(Layout& layout, Placing& placing) {
  const Problem& problem = layout.problem();
  bool changed = layout.moves() > 0;
  constexpr int kRoundsMax = 3;
  for (int round = 0; changed && round < kRoundsMax; ++round) {
    changed = false;
    for (int m = 0; m < problem.model_count() && placing.work_left() > 0; ++m) {
      if (!problem.model(m).placed_before) continue;
      std::vector<int> shards = layout.ShardsOf(m);
      std::sort(shards.begin(), shards.end());
      for (const int s : shards) {
        if (problem.IsHome(m, s) || !layout.On(m, s)) continue;
        const Bundle slice = layout.Slice(m, s);
        for (const int home : problem.model(m).homes) {
          if (layout.On(m, home) || !BringHome(layout, placing, slice, s, home)) continue;
          changed = true;
          break;
        }
      }
    }
  }
}

void Balance(Layout& layout, int64_t work_max) {
  const Problem& problem = layout.problem();
  int64_t work = work_max;
  const int rounds_max = 4 * problem.shard_count() + 16;
  for (int round = 0; round < rounds_max && work > 0; ++round) {
    int fullest = -1;
    double highest = 0;
    for (int s = 0; s < problem.shard_count(); ++s) {
      if (layout.Utilisation(s) <= highest) continue;
      highest = layout.Utilisation(s);
      fullest = s;
    }
    if (fullest < 0 || !LowerFullest(layout, fullest, highest, work)) return;
  }
}

}  // namespace signalbox::assign
