// Stands for the assignment where that is not linked: what is there stays, the rest goes where there is room.
#include <algorithm>
#include <map>
#include <utility>

#include "assign/assignment.h"

namespace signalbox::assign {

Result Assign(std::vector<Shard> shards, std::vector<Model> models, const Assignment& current, const Options& options) {
  Result result;
  std::sort(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) { return a.name < b.name; });
  std::map<std::string, uint64_t> memory;
  std::map<std::string, double> load;
  const auto fits = [&](const Shard& shard, const Model& model) {
    return (shard.memory_bytes == 0 || memory[shard.name] + model.memory_bytes <= shard.memory_bytes) &&
           load[shard.name] + model.load <= shard.capacity * options.utilisation_max + 1e-9 &&
           (model.pinned_shards.empty() ||
            std::find(model.pinned_shards.begin(), model.pinned_shards.end(), shard.name) != model.pinned_shards.end());
  };
  std::stable_sort(models.begin(), models.end(),
                   [&](const Model& a, const Model& b) { return current.contains(a.id) > current.contains(b.id); });
  for (const Model& model : models) {
    std::vector<const Shard*> order;
    const auto at = current.find(model.id);
    const auto was_there = [&](const Shard& shard) {
      return at != current.end() && std::find(at->second.begin(), at->second.end(), shard.name) != at->second.end();
    };
    for (const Shard& shard : shards) order.push_back(&shard);
    std::stable_sort(order.begin(), order.end(), [&](const Shard* a, const Shard* b) {
      return std::pair(a->draining, !was_there(*a)) < std::pair(b->draining, !was_there(*b));
    });
    std::vector<std::string> on;
    Explanation& explanation = result.explanations[model.id];
    for (const Shard* shard : order) {
      if (on.size() == model.replicas) break;
      if (shard->draining && !was_there(*shard)) continue;
      if (!fits(*shard, model)) {
        explanation.refusals.push_back({shard->name, "no room"});
        continue;
      }
      on.push_back(shard->name);
    }
    if (on.size() < model.replicas) {
      explanation.summary = "no shard has room for it";
      continue;
    }
    std::sort(on.begin(), on.end());
    for (const std::string& shard : on) {
      memory[shard] += model.memory_bytes;
      load[shard] += model.load / model.replicas;
    }
    explanation.shards = on;
    explanation.summary = "where there is room";
    result.assignment[model.id] = on;
  }
  return result;
}

}  // namespace signalbox::assign
