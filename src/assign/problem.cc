#include "assign/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace signalbox::assign {
namespace {

constexpr double kUnitsPerCore = 1e9;
constexpr double kCoresMax = 1e9;  // more counts as this much; leaves room for sums in 64 bits where they are shown
// An exclusive model shares its shards with what it needs and what needs it; in larger nets with the nearest of these.
constexpr size_t kRelatedMax = 256;
// More count as this many. A shard holds one at most, so that these are never placed anyway.
constexpr uint32_t kReplicasMax = 1'000'000;

int64_t UnitsOf(double cores) {
  if (!(cores > 0)) return 0;  // NaN too
  return std::llround(std::min(cores, kCoresMax) * kUnitsPerCore);
}

void SortAndUnify(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

void SortAndUnify(std::vector<int>& numbers) {
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
}

// Of several with one name the first in this order counts, whatever order they came in.
auto KeyOf(const Shard& shard) {
  return std::tie(shard.name, shard.zone, shard.accelerator, shard.namespaces, shard.memory_bytes, shard.draining);
}
auto KeyOf(const Model& model) {
  return std::tie(model.id, model.namespaces, model.memory_bytes, model.accelerator, model.exclusive, model.replicas,
                  model.spread_zones, model.pinned_shards, model.required);
}

// Total, also where an amount is NaN.
bool LessAmount(double a, double b) { return UnitsOf(a) < UnitsOf(b); }

bool Before(const Shard& a, const Shard& b) {
  if (KeyOf(a) != KeyOf(b)) return KeyOf(a) < KeyOf(b);
  return LessAmount(a.capacity, b.capacity);
}
bool Before(const Model& a, const Model& b) {
  if (KeyOf(a) != KeyOf(b)) return KeyOf(a) < KeyOf(b);
  return LessAmount(a.load, b.load);
}

}  // namespace

Problem::Problem(std::vector<Shard> shards, std::vector<Model> models, const Assignment& current,
                 const Options& options)
    : given_shards_(std::move(shards)), given_models_(std::move(models)) {
  ReadShards(options);
  ReadModels(current);
  OrderByRequired();
  TieComponents();
  PassOnToRequired();
  FindKinds();
  FindRelated();
  FindHomes(current);
  FindImpossible();
}

bool Problem::IsHome(int m, int s) const {
  const std::vector<int>& homes = model(m).homes;
  return std::find(homes.begin(), homes.end(), s) != homes.end();
}

bool Problem::MayShare(int a, int b) const {
  const ModelFacts& one = model(a);
  const ModelFacts& other = model(b);
  if (one.model->exclusive && !std::binary_search(one.related.begin(), one.related.end(), b)) return false;
  if (other.model->exclusive && !std::binary_search(other.related.begin(), other.related.end(), a)) return false;
  return true;
}

int Problem::FindShard(std::string_view name) const {
  const auto found = std::lower_bound(shards_.begin(), shards_.end(), name,
                                      [](const ShardFacts& a, std::string_view b) { return a.shard->name < b; });
  if (found == shards_.end() || found->shard->name != name) return -1;
  return static_cast<int>(found - shards_.begin());
}

int Problem::FindModel(std::string_view id) const {
  const auto found = std::lower_bound(models_.begin(), models_.end(), id,
                                      [](const ModelFacts& a, std::string_view b) { return a.model->id < b; });
  if (found == models_.end() || found->model->id != id) return -1;
  return static_cast<int>(found - models_.begin());
}

void Problem::ReadShards(const Options& options) {
  for (Shard& shard : given_shards_) SortAndUnify(shard.namespaces);
  std::sort(given_shards_.begin(), given_shards_.end(), [](const Shard& a, const Shard& b) { return Before(a, b); });
  const auto last = std::unique(given_shards_.begin(), given_shards_.end(),
                                [](const Shard& a, const Shard& b) { return a.name == b.name; });
  given_shards_.erase(last, given_shards_.end());
  const double part = options.utilisation_max > 0 ? options.utilisation_max : Options().utilisation_max;
  std::map<std::string_view, int> zones;
  for (const Shard& shard : given_shards_) {
    ShardFacts facts;
    facts.shard = &shard;
    facts.zone = zones.emplace(shard.zone, static_cast<int>(zones.size())).first->second;
    facts.memory = shard.memory_bytes;
    facts.capacity = UnitsOf(shard.capacity);
    facts.load_limit = UnitsOf(static_cast<double>(facts.capacity) / kUnitsPerCore * part);
    shards_.push_back(facts);
  }
  for (const ShardFacts& facts : shards_) {
    memory_mean_ += static_cast<double>(facts.memory) / static_cast<double>(shards_.size());
    load_limit_mean_ += static_cast<double>(facts.load_limit) / static_cast<double>(shards_.size());
  }
}

void Problem::ReadModels(const Assignment& current) {
  for (Model& model : given_models_) {
    SortAndUnify(model.namespaces);
    SortAndUnify(model.pinned_shards);
    SortAndUnify(model.required);
  }
  std::sort(given_models_.begin(), given_models_.end(), [](const Model& a, const Model& b) { return Before(a, b); });
  const auto last = std::unique(given_models_.begin(), given_models_.end(),
                                [](const Model& a, const Model& b) { return a.id == b.id; });
  given_models_.erase(last, given_models_.end());
  models_.resize(given_models_.size());
  for (size_t m = 0; m < models_.size(); ++m) models_[m].model = &given_models_[m];
  for (size_t m = 0; m < models_.size(); ++m) {
    const Model& model = given_models_[m];
    ModelFacts& facts = models_[m];
    facts.memory = model.memory_bytes;
    facts.replicas = static_cast<int>(std::clamp<uint32_t>(model.replicas, 1, kReplicasMax));
    if (!model.pinned_shards.empty()) facts.replicas = static_cast<int>(model.pinned_shards.size());
    const auto before = current.find(model.id);
    facts.placed_before = before != current.end() && !before->second.empty();
    for (const std::string& id : model.required) {
      const int required = FindModel(id);
      if (required == static_cast<int>(m)) continue;  // what requires itself has it
      if (required < 0) {
        if (facts.flaw.empty()) facts.flaw = fmt::format("requires {}, which is not among the models", id);
        continue;
      }
      facts.required.push_back(required);
      models_[static_cast<size_t>(required)].dependents.push_back(static_cast<int>(m));
    }
    for (const std::string& name : model.pinned_shards) {
      if (FindShard(name) >= 0 || !facts.flaw.empty()) continue;
      facts.flaw = fmt::format("is pinned to shard {}, which there is not", name);
    }
  }
}

// Tarjan's strongly connected components, which come out required first; with a stack of its own, as chains may be
// long.
void Problem::OrderByRequired() {
  const size_t count = models_.size();
  constexpr int kNotSeen = -1;
  std::vector<int> index(count, kNotSeen);
  std::vector<int> low(count, 0);
  std::vector<bool> open(count, false);
  std::vector<int> path;
  struct Visit {
    int model;
    size_t next;
  };
  std::vector<Visit> visits;
  cycle_.assign(count, 0);
  int cycles = 0;
  int seen = 0;
  const auto enter = [&](int m) {
    index[static_cast<size_t>(m)] = low[static_cast<size_t>(m)] = seen++;
    open[static_cast<size_t>(m)] = true;
    path.push_back(m);
    visits.push_back({m, 0});
  };
  for (int start = 0; start < model_count(); ++start) {
    if (index[static_cast<size_t>(start)] != kNotSeen) continue;
    enter(start);
    while (!visits.empty()) {
      const int m = visits.back().model;
      const std::vector<int>& required = model(m).required;
      if (visits.back().next < required.size()) {
        const int next = required[visits.back().next++];
        if (index[static_cast<size_t>(next)] == kNotSeen) {
          enter(next);
        } else if (open[static_cast<size_t>(next)]) {
          low[static_cast<size_t>(m)] = std::min(low[static_cast<size_t>(m)], index[static_cast<size_t>(next)]);
        }
        continue;
      }
      visits.pop_back();
      if (!visits.empty()) {
        int& parent = low[static_cast<size_t>(visits.back().model)];
        parent = std::min(parent, low[static_cast<size_t>(m)]);
      }
      if (low[static_cast<size_t>(m)] != index[static_cast<size_t>(m)]) continue;
      for (int member = -1; member != m;) {
        member = path.back();
        path.pop_back();
        open[static_cast<size_t>(member)] = false;
        cycle_[static_cast<size_t>(member)] = cycles;
        required_first_.push_back(member);
      }
      ++cycles;
    }
  }
}

void Problem::TieComponents() {
  for (size_t i = 0; i < required_first_.size(); ++i) {
    models_[static_cast<size_t>(required_first_[i])].rank = static_cast<int>(i);
  }
  std::vector<bool> seen(models_.size(), false);
  int components = 0;
  std::vector<int> waiting;
  for (int start = 0; start < model_count(); ++start) {
    if (seen[static_cast<size_t>(start)]) continue;
    seen[static_cast<size_t>(start)] = true;
    waiting.assign(1, start);
    while (!waiting.empty()) {
      const int m = waiting.back();
      waiting.pop_back();
      models_[static_cast<size_t>(m)].component = components;
      for (const std::vector<int>* tied : {&model(m).required, &model(m).dependents}) {
        for (const int other : *tied) {
          if (seen[static_cast<size_t>(other)]) continue;
          seen[static_cast<size_t>(other)] = true;
          waiting.push_back(other);
        }
      }
    }
    ++components;
  }
  components_.resize(static_cast<size_t>(components));
  for (const int m : required_first_) components_[static_cast<size_t>(model(m).component)].push_back(m);
}

// A required model has to be wherever those are that require it: as often, and where they are pinned.
void Problem::PassOnToRequired() {
  for (size_t end = required_first_.size(); end > 0;) {
    size_t begin = end - 1;
    const int cycle = cycle_[static_cast<size_t>(required_first_[begin])];
    while (begin > 0 && cycle_[static_cast<size_t>(required_first_[begin - 1])] == cycle) --begin;
    int replicas = 1;
    std::vector<int> wanted;
    for (size_t i = begin; i < end; ++i) {
      const ModelFacts& facts = model(required_first_[i]);
      replicas = std::max(replicas, facts.replicas);
      wanted.insert(wanted.end(), facts.wanted.begin(), facts.wanted.end());
      for (const std::string& name : facts.model->pinned_shards) {
        if (const int s = FindShard(name); s >= 0) wanted.push_back(s);
      }
    }
    SortAndUnify(wanted);
    replicas = std::max(replicas, static_cast<int>(wanted.size()));
    for (size_t i = begin; i < end; ++i) {
      ModelFacts& facts = models_[static_cast<size_t>(required_first_[i])];
      if (facts.model->pinned_shards.empty()) facts.replicas = replicas;
      facts.wanted = wanted;
      for (const int required : facts.required) {
        if (cycle_[static_cast<size_t>(required)] == cycle) continue;
        ModelFacts& other = models_[static_cast<size_t>(required)];
        if (other.model->pinned_shards.empty()) other.replicas = std::max(other.replicas, replicas);
        other.wanted.insert(other.wanted.end(), wanted.begin(), wanted.end());
        SortAndUnify(other.wanted);
      }
    }
    end = begin;
  }
  for (auto m = required_first_.rbegin(); m != required_first_.rend(); ++m) {
    ModelFacts& facts = models_[static_cast<size_t>(*m)];
    facts.needed_before = facts.needed_before || facts.placed_before;
    if (!facts.needed_before) continue;
    for (const int required : facts.required) models_[static_cast<size_t>(required)].needed_before = true;
  }
  for (ModelFacts& facts : models_) facts.share = UnitsOf(facts.model->load / facts.replicas);
}

void Problem::FindKinds() {
  // Namespaces that no shard is for are all alike.
  std::map<std::string_view, int> reserved;
  for (const ShardFacts& shard : shards_) {
    for (const std::string& name : shard.shard->namespaces) reserved.emplace(name, 0);
  }
  constexpr int kAnyOther = 0;
  int number = kAnyOther;
  for (auto& [name, id] : reserved) id = ++number;
  std::vector<std::vector<int>> namespaces(models_.size());  // also of those that require it
  for (auto m = required_first_.rbegin(); m != required_first_.rend(); ++m) {
    std::vector<int>& own = namespaces[static_cast<size_t>(*m)];
    for (const std::string& name : model(*m).model->namespaces) {
      const auto found = reserved.find(name);
      own.push_back(found == reserved.end() ? kAnyOther : found->second);
    }
    SortAndUnify(own);
    for (const int required : model(*m).required) {
      std::vector<int>& other = namespaces[static_cast<size_t>(required)];
      if (std::includes(other.begin(), other.end(), own.begin(), own.end())) continue;
      other.insert(other.end(), own.begin(), own.end());
      SortAndUnify(other);
    }
  }
  std::map<std::tuple<std::string_view, std::vector<int>, std::vector<std::string>>, int> known;
  for (size_t m = 0; m < models_.size(); ++m) {
    const Model& wanted = *models_[m].model;
    const auto [entry, is_new] =
        known.emplace(std::tuple(std::string_view(wanted.accelerator), namespaces[m], wanted.pinned_shards),
                      static_cast<int>(kinds_.size()));
    models_[m].kind = entry->second;
    if (!is_new) continue;
    std::vector<uint8_t>& kinds = kinds_.emplace_back();
    for (const ShardFacts& facts : shards_) {
      const Shard& shard = *facts.shard;
      Kind kind = Kind::kRight;
      const std::vector<std::string>& pinned = wanted.pinned_shards;
      if (!pinned.empty() && !std::binary_search(pinned.begin(), pinned.end(), shard.name)) {
        kind = Kind::kPinnedElsewhere;
      } else if (!wanted.accelerator.empty() && wanted.accelerator != shard.accelerator) {
        kind = Kind::kAccelerator;
      } else if (!shard.namespaces.empty()) {
        bool allowed = !namespaces[m].empty();
        for (const int id : namespaces[m]) {
          const auto is_it = [&](const std::string& name) { return reserved.find(name)->second == id; };
          allowed = allowed && std::any_of(shard.namespaces.begin(), shard.namespaces.end(), is_it);
        }
        if (!allowed) kind = Kind::kNamespaces;
      }
      kinds.push_back(static_cast<uint8_t>(kind));
    }
  }
}

void Problem::FindRelated() {
  for (int m = 0; m < model_count(); ++m) {
    ModelFacts& facts = models_[static_cast<size_t>(m)];
    if (!facts.model->exclusive) continue;
    facts.related.push_back(m);
    for (std::vector<int> ModelFacts::*const tied : {&ModelFacts::required, &ModelFacts::dependents}) {
      std::unordered_set<int> seen = {m};
      std::vector<int> waiting = {m};
      for (size_t i = 0; i < waiting.size() && waiting.size() < kRelatedMax; ++i) {
        for (const int other : model(waiting[i]).*tied) {
          if (seen.insert(other).second) waiting.push_back(other);
        }
      }
      facts.related.insert(facts.related.end(), waiting.begin(), waiting.end());
    }
    SortAndUnify(facts.related);
  }
}

void Problem::FindHomes(const Assignment& current) {
  for (int m = 0; m < model_count(); ++m) {
    ModelFacts& facts = models_[static_cast<size_t>(m)];
    const auto before = current.find(facts.model->id);
    if (before == current.end()) continue;
    for (const std::string& name : before->second) {
      const int s = FindShard(name);
      if (s >= 0 && RightKind(m, s)) facts.homes.push_back(s);
    }
    SortAndUnify(facts.homes);
  }
}

// Shards that are of the right kind for the model and for all that it requires, and their zones.
void Problem::FindImpossible() {
  std::vector<std::vector<uint8_t>> also_of_required(models_.size());  // only of models that require others
  const auto right_for = [&](int m, int s) {
    const std::vector<uint8_t>& narrowed = also_of_required[static_cast<size_t>(m)];
    return narrowed.empty() ? RightKind(m, s) : narrowed[static_cast<size_t>(s)] != 0;
  };
  for (const int m : required_first_) {
    ModelFacts& facts = models_[static_cast<size_t>(m)];
    if (!facts.required.empty() && !facts.placed_before) {
      std::vector<uint8_t> narrowed;
      for (int s = 0; s < shard_count(); ++s) {
        const auto right = [&](int required) { return right_for(required, s); };
        narrowed.push_back(RightKind(m, s) && std::all_of(facts.required.begin(), facts.required.end(), right) ? 1 : 0);
      }
      also_of_required[static_cast<size_t>(m)] = std::move(narrowed);
    }
    if (!facts.placed_before && !facts.flaw.empty()) facts.impossible = facts.flaw;
    if (!facts.impossible.empty()) continue;
    // What was placed keeps what it can have of its replicas.
    const int least = facts.placed_before ? 1 : facts.replicas;
    int shards = 0;
    std::vector<int> zones;
    for (int s = 0; s < shard_count(); ++s) {
      if (!right_for(m, s)) continue;
      ++shards;
      if (facts.model->spread_zones) zones.push_back(shard(s).zone);
    }
    SortAndUnify(zones);
    const char* const also = facts.required.empty() ? "" : " with what it requires";
    if (shards_.empty()) {
      facts.impossible = "there are no shards";
    } else if (shards < least) {
      facts.impossible = fmt::format("needs {} {}, {} of {} may have it{}", facts.replicas,
                                     facts.replicas == 1 ? "shard" : "shards", shards, shards_.size(), also);
    } else if (facts.model->spread_zones && static_cast<int>(zones.size()) < least) {
      facts.impossible = fmt::format("spread over {} zones, there {} {}{}", facts.replicas,
                                     zones.size() == 1 ? "is" : "are", zones.size(), also);
    }
  }
  // What requires it cannot be placed either, in any number of steps.
  std::vector<int> impossible;
  for (int m = 0; m < model_count(); ++m) {
    if (!model(m).impossible.empty()) impossible.push_back(m);
  }
  for (size_t i = 0; i < impossible.size(); ++i) {
    const int required = impossible[i];
    for (const int m : model(required).dependents) {
      ModelFacts& facts = models_[static_cast<size_t>(m)];
      if (facts.placed_before || !facts.impossible.empty()) continue;
      facts.impossible = fmt::format("requires {}, which can be on no shard", model(required).model->id);
      impossible.push_back(m);
    }
  }
}

}  // namespace signalbox::assign
