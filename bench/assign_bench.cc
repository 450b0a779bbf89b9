// What it costs to say which model is on which shard: 1,000 models on 100 shards, explained.
//
//   build/release/bench/assign_bench
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "assign/assignment.h"

namespace signalbox::assign {
namespace {

constexpr int kShards = 100;
constexpr int kModels = 1000;
constexpr uint64_t kGiB = uint64_t{1} << 30;

struct Fleet {
  std::vector<Shard> shards;
  std::vector<Model> models;
};

// Shards in five zones, a fifth with an accelerator, a tenth for one namespace. A quarter of the models have two or
// three replicas, half of those in different zones; some need an accelerator, require a tokenizer, or are alone. `fill`
// is about what part of all memory, and of all load that may be planned with, the models need.
Fleet MakeFleet(double fill) {
  std::mt19937_64 random(1);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<uint64_t>(limit)); };
  Fleet fleet;
  for (int i = 0; i < kShards; ++i) {
    Shard shard;
    shard.name = fmt::format("shard-{:03}", i);
    shard.zone = fmt::format("zone-{}", i / 20);
    shard.memory_bytes = 64 * kGiB;
    shard.capacity = 32;
    if (i % 5 == 1) shard.accelerator = "gpu";
    if (i % 10 == 3) shard.namespaces = {"films"};
    fleet.shards.push_back(std::move(shard));
  }
  double memory = 0;
  double load = 0;
  for (int i = 0; i < kModels; ++i) {
    Model model;
    model.id = fmt::format("model-{:04}@1", i);
    model.namespaces = {i % 3 == 0 ? "films" : "home"};
    model.memory_bytes = static_cast<uint64_t>(1 + below(8)) * kGiB;
    model.load = 0.1 * (1 + below(30));
    if (i % 4 == 0) {
      model.replicas = static_cast<uint32_t>(2 + below(2));
      model.spread_zones = i % 8 == 0;
    }
    if (i % 20 == 7) model.accelerator = "gpu";
    if (i % 200 == 11) model.exclusive = true;
    if (i % 25 == 3) model.required = {fmt::format("model-{:04}@1", i - 1)};
    memory += static_cast<double>(model.memory_bytes) * model.replicas;
    load += model.load;
    fleet.models.push_back(std::move(model));
  }
  const double memory_scale = fill * kShards * 64 * static_cast<double>(kGiB) / memory;
  const double load_scale = fill * kShards * 32 * Options().utilisation_max / load;
  for (Model& model : fleet.models) {
    model.memory_bytes = static_cast<uint64_t>(static_cast<double>(model.memory_bytes) * memory_scale);
    model.load *= load_scale;
  }
  return fleet;
}

void Report(benchmark::State& state, const Result& result, size_t lost = 0) {
  state.counters["placed"] = static_cast<double>(result.assignment.size());
  state.counters["lost"] = static_cast<double>(lost);
  state.counters["moves"] = static_cast<double>(result.moves);
  state.counters["utilisation"] = result.utilisation_max;
}

void FromNothing(benchmark::State& state, double fill) {
  const Fleet fleet = MakeFleet(fill);
  Result result;
  for (auto _ : state) result = Assign(fleet.shards, fleet.models, {});
  Report(state, result);
}

void AShardLost(benchmark::State& state, double fill) {
  Fleet fleet = MakeFleet(fill);
  const Assignment current = Assign(fleet.shards, fleet.models, {}).assignment;
  constexpr int kLost = 42;
  size_t lost = 0;
  for (const auto& [id, shards] : current) {
    lost += std::count(shards.begin(), shards.end(), fleet.shards[kLost].name) > 0 ? 1 : 0;
  }
  fleet.shards.erase(fleet.shards.begin() + kLost);
  Result result;
  for (auto _ : state) result = Assign(fleet.shards, fleet.models, current);
  Report(state, result, lost);
}

void NothingChanged(benchmark::State& state, double fill) {
  const Fleet fleet = MakeFleet(fill);
  const Assignment current = Assign(fleet.shards, fleet.models, {}).assignment;
  Result result;
  for (auto _ : state) result = Assign(fleet.shards, fleet.models, current);
  Report(state, result);
}

void Time(benchmark::internal::Benchmark* benchmark, const char* name) {
  benchmark->Name(name)->Unit(benchmark::kMillisecond);
}

const int kRegistered = [] {
  Time(benchmark::RegisterBenchmark("", FromNothing, 0.5), "From nothing, half full");
  Time(benchmark::RegisterBenchmark("", FromNothing, 0.85), "From nothing, nearly full");
  Time(benchmark::RegisterBenchmark("", FromNothing, 1.3), "From nothing, more than fits");
  Time(benchmark::RegisterBenchmark("", AShardLost, 0.5), "A shard lost, half full");
  Time(benchmark::RegisterBenchmark("", AShardLost, 0.85), "A shard lost, nearly full");
  Time(benchmark::RegisterBenchmark("", NothingChanged, 0.5), "Nothing changed");
  return 0;
}();

}  // namespace
}  // namespace signalbox::assign

BENCHMARK_MAIN();
