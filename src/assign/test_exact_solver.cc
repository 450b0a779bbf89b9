#include "assign/test_exact_solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <string>
#include <tuple>

namespace signalbox::assign {
namespace {

using Mask = uint32_t;  // of shards

constexpr double kUtilisationMax = 0.8;
constexpr double kTolerance = 1e-7;  // cores; more than what rounding can add up to

struct Facts {
  int replicas = 1;
  bool before = false;
  bool flawed = false;  // something that it names is not there
  Mask homes = 0;
  Mask allowed = 0;  // by kind
  std::vector<size_t> required;
  std::vector<size_t> required_and_theirs;  // all that it needs, directly or not
  double share = 0;
};

class World {
 public:
  World(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current)
      : shards_(shards), models_(models), facts_(models.size()) {
    std::sort(shards_.begin(), shards_.end(), [](const Shard& a, const Shard& b) { return a.name < b.name; });
    std::sort(models_.begin(), models_.end(), [](const Model& a, const Model& b) { return a.id < b.id; });
    for (size_t m = 0; m < models_.size(); ++m) ReadModel(m, current);
    for (size_t m = 0; m < models_.size(); ++m) FindAllRequired(m);
    // As often as what requires it; to a fixed point, since cycles are allowed.
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t m = 0; m < models_.size(); ++m) {
        const auto raise = [&](size_t needs, int to) {
          if (!models_[needs].pinned_shards.empty() || facts_[needs].replicas >= to) return;
          facts_[needs].replicas = to;
          changed = true;
        };
        for (const size_t needs : facts_[m].required) raise(needs, facts_[m].replicas);
        raise(m, std::popcount(PinnedUnder(m)));
      }
    }
    for (size_t m = 0; m < models_.size(); ++m) {
      facts_[m].share = models_[m].load / facts_[m].replicas;
      facts_[m].allowed = AllowedByKind(m);
      facts_[m].homes &= facts_[m].allowed;
    }
  }

  size_t shard_count() const { return shards_.size(); }
  size_t model_count() const { return models_.size(); }
  const Shard& shard(size_t s) const { return shards_[s]; }
  const Model& model(size_t m) const { return models_[m]; }
  const Facts& facts(size_t m) const { return facts_[m]; }

  bool Needs(size_t a, size_t b) const {
    const std::vector<size_t>& all = facts_[a].required_and_theirs;
    return std::find(all.begin(), all.end(), b) != all.end();
  }
  bool MayShare(size_t a, size_t b) const {
    return (!models_[a].exclusive && !models_[b].exclusive) || Needs(a, b) || Needs(b, a);
  }
  bool ZonesDiffer(size_t m, Mask on) const {
    if (!models_[m].spread_zones) return true;
    for (size_t s = 0; s < shards_.size(); ++s) {
      for (size_t t = 0; t < s; ++t) {
        if ((on >> s & 1) != 0 && (on >> t & 1) != 0 && shards_[s].zone == shards_[t].zone) return false;
      }
    }
    return true;
  }
  bool Overfull(size_t s, const std::vector<Mask>& on) const {
    double memory = 0;  // small cases: exact in a double
    double load = 0;
    for (size_t m = 0; m < models_.size(); ++m) {
      if ((on[m] >> s & 1) == 0) continue;
      memory += static_cast<double>(models_[m].memory_bytes);
      load += facts_[m].share;
    }
    if (shards_[s].memory_bytes != 0 && memory > static_cast<double>(shards_[s].memory_bytes)) return true;
    return load > shards_[s].capacity * kUtilisationMax + kTolerance;
  }
  double Utilisation(size_t s, const std::vector<Mask>& on) const {
    if (!(shards_[s].capacity > 0)) return 0;
    double load = 0;
    for (size_t m = 0; m < models_.size(); ++m) load += (on[m] >> s & 1) != 0 ? facts_[m].share : 0;
    return load / shards_[s].capacity;
  }
  std::string Violations(const std::vector<Mask>& on) const;
  Objective Measure(const std::vector<Mask>& on) const;

 private:
  void ReadModel(size_t m, const Assignment& current) {
    const Model& model = models_[m];
    Facts& facts = facts_[m];
    facts.replicas = static_cast<int>(std::max<uint32_t>(1, model.replicas));
    if (!model.pinned_shards.empty()) facts.replicas = static_cast<int>(model.pinned_shards.size());
    for (const std::string& id : model.required) {
      const auto found =
          std::find_if(models_.begin(), models_.end(), [&](const Model& other) { return other.id == id; });
      if (found == models_.end()) {
        facts.flawed = true;
      } else if (found->id != model.id) {
        facts.required.push_back(static_cast<size_t>(found - models_.begin()));
      }
    }
    for (const std::string& name : model.pinned_shards) facts.flawed = facts.flawed || MaskOf(name) == 0;
    if (const auto before = current.find(model.id); before != current.end()) {
      facts.before = !before->second.empty();
      for (const std::string& name : before->second) facts.homes |= MaskOf(name);
    }
  }
  Mask MaskOf(const std::string& name) const {
    for (size_t s = 0; s < shards_.size(); ++s) {
      if (shards_[s].name == name) return Mask{1} << s;
    }
    return 0;
  }
  void FindAllRequired(size_t m) {
    std::vector<size_t>& all = facts_[m].required_and_theirs;
    all = facts_[m].required;
    for (size_t i = 0; i < all.size(); ++i) {
      for (const size_t next : facts_[all[i]].required) {
        if (next != m && std::find(all.begin(), all.end(), next) == all.end()) all.push_back(next);
      }
    }
  }
  Mask PinnedUnder(size_t m) const {
    Mask pinned = 0;
    for (size_t other = 0; other < models_.size(); ++other) {
      if (!Needs(other, m)) continue;
      for (const std::string& name : models_[other].pinned_shards) pinned |= MaskOf(name);
    }
    return pinned;
  }
  Mask AllowedByKind(size_t m) const {
    const Model& model = models_[m];
    std::vector<std::string> namespaces = model.namespaces;
    for (size_t other = 0; other < models_.size(); ++other) {
      if (Needs(other, m)) {
        namespaces.insert(namespaces.end(), models_[other].namespaces.begin(), models_[other].namespaces.end());
      }
    }
    Mask allowed = 0;
    for (size_t s = 0; s < shards_.size(); ++s) {
      const Shard& shard = shards_[s];
      const std::vector<std::string>& pinned = model.pinned_shards;
      if (!pinned.empty() && std::find(pinned.begin(), pinned.end(), shard.name) == pinned.end()) continue;
      if (!model.accelerator.empty() && model.accelerator != shard.accelerator) continue;
      const auto is_for = [&](const std::string& name) {
        return std::find(shard.namespaces.begin(), shard.namespaces.end(), name) != shard.namespaces.end();
      };
      if (!shard.namespaces.empty() &&
          (namespaces.empty() || !std::all_of(namespaces.begin(), namespaces.end(), is_for))) {
        continue;
      }
      allowed |= Mask{1} << s;
    }
    return allowed;
  }

  std::vector<Shard> shards_;
  std::vector<Model> models_;
  std::vector<Facts> facts_;
};

std::string World::Violations(const std::vector<Mask>& on) const {
  std::string text;
  for (size_t m = 0; m < models_.size(); ++m) {
    const Facts& facts = facts_[m];
    const std::string& id = models_[m].id;
    if (on[m] == 0) continue;
    const Mask arrived = on[m] & ~facts.homes;
    if ((on[m] & ~facts.allowed) != 0) text += fmt::format("{}: on a shard of the wrong kind\n", id);
    if (std::popcount(on[m]) > facts.replicas) text += fmt::format("{}: on more shards than it has replicas\n", id);
    if (!facts.before && std::popcount(on[m]) < facts.replicas)
      text += fmt::format("{}: new, and on too few shards\n", id);
    if (!facts.before && facts.flawed) text += fmt::format("{}: new, and names what is not there\n", id);
    if (!ZonesDiffer(m, on[m])) text += fmt::format("{}: twice in a zone\n", id);
    for (size_t other = 0; other < m; ++other) {
      if ((on[m] & on[other]) != 0 && !MayShare(m, other))
        text += fmt::format("{}: with {}, not alone\n", id, models_[other].id);
    }
    for (const size_t required : facts.required) {
      if ((arrived & ~on[required]) != 0)
        text += fmt::format("{}: came to where {} is not\n", id, models_[required].id);
    }
    for (size_t s = 0; s < shards_.size(); ++s) {
      if ((arrived >> s & 1) == 0) continue;
      const std::string& name = shards_[s].name;
      if (shards_[s].draining) text += fmt::format("{}: came to {}, which is draining\n", id, name);
      if (!(shards_[s].capacity > 0)) text += fmt::format("{}: came to {}, which has no host\n", id, name);
      if (Overfull(s, on)) text += fmt::format("{}: came to {}, which has too little\n", id, name);
    }
  }
  return text;
}

Objective World::Measure(const std::vector<Mask>& on) const {
  Objective objective;
  for (size_t m = 0; m < models_.size(); ++m) {
    objective.placed.push_back(on[m] != 0);
    if (on[m] == 0) continue;
    ++(facts_[m].homes != 0 ? objective.running : facts_[m].before ? objective.lost : objective.placed_new);
    if (facts_[m].before) objective.moves += std::popcount(on[m] & ~facts_[m].homes);
    objective.trouble += facts_[m].replicas - std::popcount(on[m]);
  }
  for (size_t s = 0; s < shards_.size(); ++s) {
    objective.utilisation = std::max(objective.utilisation, Utilisation(s, on));
    const bool all = shards_[s].draining || Overfull(s, on);
    for (size_t m = 0; m < models_.size(); ++m) {
      if ((on[m] >> s & 1) == 0) continue;
      const std::vector<size_t>& required = facts_[m].required;
      const auto lacks = [&](size_t other) { return (on[other] >> s & 1) == 0; };
      objective.trouble += all || std::any_of(required.begin(), required.end(), lacks) ? 1 : 0;
    }
  }
  return objective;
}

std::vector<Mask> MasksOf(const World& world, const Assignment& assignment) {
  std::vector<Mask> on(world.model_count(), 0);
  for (size_t m = 0; m < world.model_count(); ++m) {
    const auto found = assignment.find(world.model(m).id);
    if (found == assignment.end()) continue;
    for (size_t s = 0; s < world.shard_count(); ++s) {
      const std::vector<std::string>& names = found->second;
      if (std::find(names.begin(), names.end(), world.shard(s).name) != names.end()) on[m] |= Mask{1} << s;
    }
  }
  return on;
}

// Depth first over the models, each on each set of shards that it may be on, or none.
class Search {
 public:
  Search(const World& world, int64_t nodes_max) : world_(world), nodes_left_(nodes_max), on_(world.model_count(), 0) {
    for (size_t m = 0; m < world.model_count(); ++m) {
      std::vector<Mask>& options = options_.emplace_back();
      const Facts& facts = world.facts(m);
      for (Mask mask = 1; mask < Mask{1} << world.shard_count(); ++mask) {
        const int count = std::popcount(mask);
        if ((mask & ~facts.allowed) != 0 || count > facts.replicas || !world.ZonesDiffer(m, mask)) continue;
        if (!facts.before && (count < facts.replicas || facts.flawed)) continue;
        const Mask arrived = mask & ~facts.homes;
        bool possible = true;
        for (size_t s = 0; s < world.shard_count(); ++s) {
          if ((arrived >> s & 1) == 0) continue;
          possible = possible && !world.shard(s).draining && world.shard(s).capacity > 0;
        }
        if (possible) options.push_back(mask);
      }
      // The ones with few moves first: a good solution early cuts most of the rest.
      std::stable_sort(options.begin(), options.end(), [&](Mask a, Mask b) {
        const auto rank = [&](Mask mask) {
          return std::tuple(-std::popcount(mask), std::popcount(mask & ~facts.homes));
        };
        return rank(a) < rank(b);
      });
      options.push_back(0);
    }
  }

  bool Run(Objective& best) {
    Visit(0);
    best = best_;
    return nodes_left_ > 0;
  }

 private:
  void Visit(size_t m) {
    if (--nodes_left_ <= 0) return;
    if (m == world_.model_count()) {
      if (!world_.Violations(on_).empty()) return;
      Objective objective = world_.Measure(on_);
      if (!found_ || objective.BetterThan(best_)) best_ = std::move(objective);
      found_ = true;
      return;
    }
    for (const Mask mask : options_[m]) {
      on_[m] = mask;
      if (Consistent(m) && (!found_ || Bound(m + 1).BetterThan(best_))) Visit(m + 1);
    }
    on_[m] = 0;
  }

  // What no model that is still to come can mend.
  bool Consistent(size_t m) const {
    for (size_t other = 0; other < m; ++other) {
      if ((on_[m] & on_[other]) != 0 && !world_.MayShare(m, other)) return false;
      const auto came_without = [&](size_t a, size_t b) {
        const std::vector<size_t>& required = world_.facts(a).required;
        return std::find(required.begin(), required.end(), b) != required.end() &&
               (on_[a] & ~world_.facts(a).homes & ~on_[b]) != 0;
      };
      if (came_without(m, other) || came_without(other, m)) return false;
    }
    std::vector<Mask> so_far(on_.begin(), on_.end());
    for (size_t later = m + 1; later < so_far.size(); ++later) so_far[later] = 0;
    for (size_t s = 0; s < world_.shard_count(); ++s) {
      bool arrived = false;
      for (size_t other = 0; other <= m; ++other) {
        arrived = arrived || ((on_[other] & ~world_.facts(other).homes) >> s & 1) != 0;
      }
      if (arrived && world_.Overfull(s, so_far)) return false;
    }
    return true;
  }

  // At least as good as all that the first `decided` models can become.
  Objective Bound(size_t decided) const {
    Objective bound;
    for (size_t m = 0; m < world_.model_count(); ++m) {
      const Facts& facts = world_.facts(m);
      if (m >= decided) {
        const bool can_be = options_[m].size() > 1;
        bound.placed.push_back(can_be);
        if (can_be) ++(facts.homes != 0 ? bound.running : facts.before ? bound.lost : bound.placed_new);
        continue;
      }
      bound.placed.push_back(on_[m] != 0);
      if (on_[m] == 0) continue;
      ++(facts.homes != 0 ? bound.running : facts.before ? bound.lost : bound.placed_new);
      if (facts.before) bound.moves += std::popcount(on_[m] & ~facts.homes);
      bound.trouble += facts.replicas - std::popcount(on_[m]);
      for (size_t s = 0; s < world_.shard_count(); ++s) {
        bound.trouble += (on_[m] >> s & 1) != 0 && world_.shard(s).draining ? 1 : 0;
      }
    }
    std::vector<Mask> so_far(on_.begin(), on_.end());
    for (size_t later = decided; later < so_far.size(); ++later) so_far[later] = 0;
    for (size_t s = 0; s < world_.shard_count(); ++s) {
      bound.utilisation = std::max(bound.utilisation, world_.Utilisation(s, so_far));
    }
    return bound;
  }

  const World& world_;
  int64_t nodes_left_;
  std::vector<Mask> on_;
  std::vector<std::vector<Mask>> options_;
  bool found_ = false;
  Objective best_;
};

}  // namespace

int Objective::DiffersAt(const Objective& other) const {
  if (running != other.running) return 1;
  if (lost != other.lost) return 2;
  if (trouble != other.trouble) return 3;
  if (placed_new != other.placed_new) return 4;
  if (placed != other.placed) return 5;
  if (moves != other.moves) return 6;
  return std::abs(utilisation - other.utilisation) > kTolerance ? 7 : 0;
}

bool Objective::BetterThan(const Objective& other) const {
  switch (DiffersAt(other)) {
    case 1:
      return running > other.running;
    case 2:
      return lost > other.lost;
    case 3:
      return trouble < other.trouble;
    case 4:
      return placed_new > other.placed_new;
    case 5:
      return placed > other.placed;
    case 6:
      return moves < other.moves;
    case 7:
      return utilisation < other.utilisation;
    default:
      return false;
  }
}

double Objective::Value() const { return 10.0 * (running + lost + placed_new) - 3.0 * trouble - moves - utilisation; }

Objective Measure(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                  const Assignment& assignment) {
  const World world(shards, models, current);
  return world.Measure(MasksOf(world, assignment));
}

std::string Violations(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                       const Assignment& assignment) {
  const World world(shards, models, current);
  return world.Violations(MasksOf(world, assignment));
}

bool SolveExactly(const std::vector<Shard>& shards, const std::vector<Model>& models, const Assignment& current,
                  int64_t nodes_max, Objective& best) {
  const World world(shards, models, current);
  return Search(world, nodes_max).Run(best);
}

}  // namespace signalbox::assign
