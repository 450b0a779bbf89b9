#include "assign/layout.h"

#include <algorithm>
#include <utility>

namespace signalbox::assign {

Layout::Layout(const Problem& problem)
    : problem_(&problem),
      on_(static_cast<size_t>(problem.shard_count())),
      shards_of_(static_cast<size_t>(problem.model_count())),
      marks_(static_cast<size_t>(problem.model_count()), 0) {}

bool Layout::On(int m, int s) const {
  const std::vector<int>& shards = ShardsOf(m);
  return std::find(shards.begin(), shards.end(), s) != shards.end();
}

double Layout::Utilisation(int s, Sum more) const {
  const int64_t capacity = problem_->shard(s).capacity;
  return capacity == 0 ? 0 : static_cast<double>(LoadOn(s) + more) / static_cast<double>(capacity);
}

double Layout::MemoryUse(int s, Sum more) const {
  const uint64_t memory = problem_->shard(s).memory;
  return memory == 0 ? 0 : static_cast<double>(MemoryOn(s) + more) / static_cast<double>(memory);
}

double Layout::HighestUtilisation() const {
  double highest = 0;
  for (int s = 0; s < problem_->shard_count(); ++s) highest = std::max(highest, Utilisation(s));
  return highest;
}

bool Layout::Overfull(int s) const {
  const ShardFacts& facts = problem_->shard(s);
  return (facts.memory != 0 && MemoryOn(s) > facts.memory) || LoadOn(s) > facts.load_limit;
}

void Layout::Apply(int m, int s, bool put) {
  const ModelFacts& facts = problem_->model(m);
  OnShard& on = on_[static_cast<size_t>(s)];
  std::vector<int>& shards = shards_of_[static_cast<size_t>(m)];
  const int sign = put ? 1 : -1;
  if (put) {
    on.models.push_back(m);
    shards.push_back(s);
  } else {
    const auto take = [](std::vector<int>& from, int what) {
      *std::find(from.begin(), from.end(), what) = from.back();
      from.pop_back();
    };
    take(on.models, m);
    take(shards, s);
  }
  on.memory += sign * static_cast<Sum>(facts.memory);
  on.load += sign * static_cast<Sum>(facts.share);
  if (facts.model->exclusive) on.exclusives += sign;
  if (facts.placed_before && !problem_->IsHome(m, s)) moves_ += sign;
}

void Layout::Put(int m, int s) {
  Apply(m, s, true);
  journal_.push_back({m, s, true});
}

void Layout::Take(int m, int s) {
  Apply(m, s, false);
  journal_.push_back({m, s, false});
}

void Layout::Put(const Bundle& bundle, int s) {
  for (const int m : bundle) Put(m, s);
}

void Layout::Take(const Bundle& bundle, int s) {
  for (const int m : bundle) Take(m, s);
}

void Layout::Rollback(size_t mark) {
  while (journal_.size() > mark) {
    const Change change = journal_.back();
    journal_.pop_back();
    Apply(change.model, change.shard, !change.put);
  }
}

bool Layout::ZoneIsFree(int m, int s) const {
  if (!problem_->model(m).model->spread_zones) return true;
  const int zone = problem_->shard(s).zone;
  for (const int other : ShardsOf(m)) {
    if (problem_->shard(other).zone == zone) return false;
  }
  return true;
}

bool Layout::MayBeOn(int m, int s) const {
  if (!problem_->RightKind(m, s) || !ZoneIsFree(m, s)) return false;
  const OnShard& on = on_[static_cast<size_t>(s)];
  if (on.exclusives == 0 && !problem_->model(m).model->exclusive) return true;
  return std::all_of(on.models.begin(), on.models.end(), [&](int other) { return problem_->MayShare(m, other); });
}

bool Layout::FitsKind(const Bundle& bundle, int s) const {
  const ShardFacts& shard = problem_->shard(s);
  if (shard.shard->draining || shard.capacity == 0) return false;
  ++newest_mark_;
  for (const int m : bundle) marks_[static_cast<size_t>(m)] = newest_mark_;
  for (const int m : bundle) {
    if (!problem_->RightKind(m, s) || On(m, s) || !ZoneIsFree(m, s)) return false;
    for (const int required : problem_->model(m).required) {
      if (marks_[static_cast<size_t>(required)] != newest_mark_ && !On(required, s)) return false;
    }
  }
  return true;
}

bool Layout::HasRoom(Sum memory, Sum load, int s) const {
  const ShardFacts& shard = problem_->shard(s);
  if (shard.memory != 0 && MemoryOn(s) + memory > shard.memory) return false;
  return LoadOn(s) + load <= shard.load_limit;
}

bool Layout::Fits(const Bundle& bundle, int s) const {
  if (!HasRoom(MemoryOf(*problem_, bundle), LoadOf(*problem_, bundle), s) || !FitsKind(bundle, s)) return false;
  for (const int m : bundle) {
    if (!MayBeOn(m, s)) return false;
    if (bundle.size() == 1 || !problem_->model(m).model->exclusive) continue;
    const auto may_share = [&](int other) { return other == m || problem_->MayShare(m, other); };
    if (!std::all_of(bundle.begin(), bundle.end(), may_share)) return false;
  }
  return true;
}

Bundle Layout::Slice(int m, int s) const {
  const std::vector<int>& component = problem_->components()[static_cast<size_t>(problem_->model(m).component)];
  if (component.size() == 1) return {m};
  const auto rank = [&](int a, int b) { return problem_->model(a).rank < problem_->model(b).rank; };
  Bundle slice;
  for (const int member : ModelsOn(s)) {
    if (problem_->model(member).component == problem_->model(m).component) slice.push_back(member);
  }
  std::sort(slice.begin(), slice.end(), rank);
  return slice;
}

std::vector<Bundle> Layout::SlicesOn(int s) const {
  std::vector<int> models = ModelsOn(s);
  const auto key = [&](int m) { return std::pair(problem_->model(m).component, problem_->model(m).rank); };
  std::sort(models.begin(), models.end(), [&](int a, int b) { return key(a) < key(b); });
  std::vector<Bundle> slices;
  int component = -1;
  for (const int m : models) {
    if (problem_->model(m).component != component) slices.emplace_back();
    component = problem_->model(m).component;
    slices.back().push_back(m);
  }
  return slices;
}

bool Layout::LacksRequired(int m, int s) const {
  const std::vector<int>& required = problem_->model(m).required;
  return std::any_of(required.begin(), required.end(), [&](int other) { return !On(other, s); });
}

int Layout::TroubleOn(int s) const {
  if (problem_->shard(s).shard->draining || Overfull(s)) return static_cast<int>(ModelsOn(s).size());
  int trouble = 0;
  for (const int m : ModelsOn(s)) trouble += LacksRequired(m, s) ? 1 : 0;
  return trouble;
}

int64_t Layout::Trouble() const {
  int64_t trouble = 0;
  for (int s = 0; s < problem_->shard_count(); ++s) trouble += TroubleOn(s);
  for (int m = 0; m < problem_->model_count(); ++m) {
    if (!ShardsOf(m).empty()) trouble += std::max(0, Missing(m));
  }
  return trouble;
}

Sum MemoryOf(const Problem& problem, const Bundle& bundle) {
  Sum sum = 0;
  for (const int m : bundle) sum += problem.model(m).memory;
  return sum;
}

Sum LoadOf(const Problem& problem, const Bundle& bundle) {
  Sum sum = 0;
  for (const int m : bundle) sum += problem.model(m).share;
  return sum;
}

}  // namespace signalbox::assign
