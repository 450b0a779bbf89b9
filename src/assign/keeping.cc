#include "assign/keeping.h"

#include <algorithm>
#include <tuple>

namespace signalbox::assign {
namespace {

// Keeps at most as many replicas as are wanted, and one in each zone where that is asked. Those stay that others on
// their shard require, and of the rest those that are best where they are.
void KeepBest(Layout& layout, int m) {
  const Problem& problem = layout.problem();
  const ModelFacts& facts = problem.model(m);
  std::vector<int> shards = layout.ShardsOf(m);
  if (!facts.model->spread_zones && layout.Missing(m) >= 0) return;
  const auto rank = [&](int s) {
    int dependents = 0;
    for (const int other : facts.dependents) dependents += layout.On(other, s) ? 1 : 0;
    const bool wanted = std::binary_search(facts.wanted.begin(), facts.wanted.end(), s);
    const bool leaves = problem.shard(s).shard->draining || layout.Overfull(s);
    return std::tuple(!wanted, -dependents, leaves, layout.Utilisation(s), layout.MemoryUse(s), s);
  };
  std::sort(shards.begin(), shards.end(), [&](int a, int b) { return rank(a) < rank(b); });
  for (const int s : shards) layout.Take(m, s);
  for (const int s : shards) {
    if (layout.Missing(m) > 0 && layout.ZoneIsFree(m, s)) layout.Put(m, s);
  }
}

// Where an exclusive model has company, it goes or the company does: whichever is fewer replicas.
void PartExclusive(Layout& layout, int s, bool exclusive_stays) {
  const Problem& problem = layout.problem();
  const auto conflicts = [&](int m) {
    Bundle others;
    for (const int other : layout.ModelsOn(s)) {
      if (!problem.MayShare(m, other)) others.push_back(other);
    }
    return others;
  };
  for (;;) {
    int worst = -1;
    Bundle company;
    for (const int m : layout.ModelsOn(s)) {
      Bundle others = conflicts(m);
      if (others.empty()) continue;
      if (worst < 0 ||
          std::tuple(-static_cast<int>(others.size()), m) < std::tuple(-static_cast<int>(company.size()), worst)) {
        worst = m;
        company = std::move(others);
      }
    }
    if (worst < 0) return;
    const bool is_exclusive = problem.model(worst).model->exclusive;
    if (exclusive_stays && is_exclusive) {
      std::sort(company.begin(), company.end());
      for (const int m : company) layout.Take(m, s);
      continue;
    }
    // Two that cannot be together: the one that is not exclusive stays, it may get other neighbours.
    if (company.size() == 1 && !is_exclusive && !exclusive_stays) worst = company[0];
    layout.Take(worst, s);
  }
}

void LeaveDraining(Layout& layout, Placing& placing, int s, int depth) {
  std::vector<Bundle> slices = layout.SlicesOn(s);
  placing.Sort(slices);
  for (const Bundle& slice : slices) {
    const size_t mark = layout.Mark();
    layout.Take(slice, s);
    if (placing.Place(slice, depth)) continue;
    layout.Rollback(mark);
    // Not all of it together; then those that nobody here requires, one after the other.
    for (auto m = slice.rbegin(); m != slice.rend(); ++m) {
      const std::vector<int>& dependents = layout.problem().model(*m).dependents;
      if (slice.size() == 1 ||
          std::any_of(dependents.begin(), dependents.end(), [&](int d) { return layout.On(d, s); })) {
        continue;
      }
      const size_t before = layout.Mark();
      layout.Take(*m, s);
      if (!placing.Place({*m}, depth)) layout.Rollback(before);
    }
  }
}

// Of what is on too full a shard and elsewhere too, takes away here what brings it within what it has, if all who are
// there are better off for it.
void Shed(Layout& layout, int s) {
  const Problem& problem = layout.problem();
  std::vector<int> models = layout.ModelsOn(s);
  std::sort(models.begin(), models.end(),
            [&](int a, int b) { return std::tuple(-SizeOf(problem, {a}), a) < std::tuple(-SizeOf(problem, {b}), b); });
  const size_t start = layout.Mark();
  const int trouble = layout.TroubleOn(s);
  int taken = 0;
  const auto may_go = [&](int m) {
    const std::vector<int>& dependents = problem.model(m).dependents;
    return problem.model(m).placed_before && layout.ShardsOf(m).size() > 1 &&
           std::none_of(dependents.begin(), dependents.end(), [&](int d) { return layout.On(d, s); });
  };
  // One that is enough by itself, the smallest such; else the largest first.
  for (auto m = models.rbegin(); m != models.rend() && layout.Overfull(s); ++m) {
    if (!may_go(*m)) continue;
    const size_t mark = layout.Mark();
    layout.Take(*m, s);
    ++taken;
    if (!layout.Overfull(s)) break;
    layout.Rollback(mark);
    --taken;
  }
  for (const int m : models) {
    if (!layout.Overfull(s)) break;
    if (!may_go(m)) continue;
    layout.Take(m, s);
    ++taken;
  }
  if (layout.TroubleOn(s) + taken >= trouble) layout.Rollback(start);
}

// Takes away the fewest that bring the shard within what it has: one that is just enough, else the largest first.
void LeaveOverfull(Layout& layout, Placing& placing, int s, int depth) {
  const Problem& problem = layout.problem();
  std::vector<Bundle> stuck;
  while (layout.Overfull(s)) {
    struct Choice {
      bool is_enough;
      double size;
      Bundle slice;
    };
    std::vector<Choice> choices;
    for (Bundle& slice : layout.SlicesOn(s)) {
      if (std::find(stuck.begin(), stuck.end(), slice) != stuck.end()) continue;
      const bool is_enough = layout.HasRoom(-MemoryOf(problem, slice), -LoadOf(problem, slice), s);
      // What weighs nothing of what there is too much of would move for nothing.
      const ShardFacts& shard = problem.shard(s);
      const bool memory_helps = shard.memory != 0 && layout.MemoryOn(s) > shard.memory && MemoryOf(problem, slice) > 0;
      const bool load_helps = layout.LoadOn(s) > shard.load_limit && LoadOf(problem, slice) > 0;
      if (!memory_helps && !load_helps) continue;
      const double size = SizeOf(problem, slice);
      choices.push_back({is_enough, is_enough ? size : -size, std::move(slice)});
    }
    std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
      return std::tuple(!a.is_enough, a.slice.size(), a.size, a.slice) <
             std::tuple(!b.is_enough, b.slice.size(), b.size, b.slice);
    });
    bool moved = false;
    for (const Choice& choice : choices) {
      const size_t mark = layout.Mark();
      layout.Take(choice.slice, s);
      moved = placing.Place(choice.slice, depth) && !layout.On(choice.slice[0], s);
      if (moved) break;
      layout.Rollback(mark);
      stuck.push_back(choice.slice);
    }
    if (!moved) break;
  }
  if (layout.Overfull(s)) Shed(layout, s);
}

// A model that stayed without what it requires follows it.
void FollowRequired(Layout& layout, Placing& placing, int depth) {
  const Problem& problem = layout.problem();
  for (const int m : problem.required_first()) {
    std::vector<int> shards = layout.ShardsOf(m);
    std::sort(shards.begin(), shards.end());
    for (const int s : shards) {
      if (!layout.On(m, s) || !layout.LacksRequired(m, s)) continue;
      const std::vector<int>& dependents = problem.model(m).dependents;
      if (std::any_of(dependents.begin(), dependents.end(), [&](int d) { return layout.On(d, s); })) continue;
      const size_t mark = layout.Mark();
      layout.Take(m, s);
      if (!placing.Place({m}, depth)) layout.Rollback(mark);
    }
  }
}

}  // namespace

void Keep(Layout& layout, bool exclusive_stays) {
  const Problem& problem = layout.problem();
  for (int m = 0; m < problem.model_count(); ++m) {
    for (const int s : problem.model(m).homes) layout.Put(m, s);
  }
  const std::vector<int>& order = problem.required_first();
  for (auto m = order.rbegin(); m != order.rend(); ++m) KeepBest(layout, *m);
  for (int s = 0; s < problem.shard_count(); ++s) PartExclusive(layout, s, exclusive_stays);
}

void Repair(Layout& layout, Placing& placing, int depth) {
  const Problem& problem = layout.problem();
  // Those that are nowhere first, then those that are not where they should be.
  std::vector<RepairTask> tasks;
  for (const std::vector<int>& component : problem.components()) {
    RepairTask task;
    for (const int m : component) {
      if (!problem.model(m).needed_before) continue;
      task.models.push_back(m);
      if (layout.Missing(m) <= 0) continue;
      task.kind = layout.ShardsOf(m).empty() ? RepairTask::kNowhere : std::min(task.kind, RepairTask::kFewer);
    }
    if (task.kind != RepairTask::kNone) tasks.push_back(std::move(task));
  }
  for (int s = 0; s < problem.shard_count(); ++s) {
    if (problem.shard(s).shard->draining) {
      tasks.push_back({RepairTask::kDraining, {}, s});
    } else if (layout.Overfull(s)) {
      tasks.push_back({RepairTask::kOverfull, {}, s});
    }
  }
  placing.Sort(tasks);
  for (const RepairTask& task : tasks) {
    switch (task.kind) {
      case RepairTask::kDraining:
        LeaveDraining(layout, placing, task.shard, depth);
        break;
      case RepairTask::kOverfull:
        LeaveOverfull(layout, placing, task.shard, depth);
        break;
      default:
        placing.PlaceComponent(task.models, depth);
    }
  }
  FollowRequired(layout, placing, depth);
}

}  // namespace signalbox::assign
