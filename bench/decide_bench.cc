// Decisions in process. Aim: 5 million a second on one core with 100 Objectives and 100 experiments, without heap
// allocation.
#include <benchmark/benchmark.h>

#include "base/allocation_count.h"
#include "bench/bench_snapshot.h"
#include "decide/decide.h"

namespace signalbox::bench {
namespace {

// Reports what a decision costs and how often it allocates, over all Objectives and users.
void RunDecisions(benchmark::State& state, const decide::Snapshot& snapshot) {
  const std::vector<std::string> users = Users();
  std::vector<std::string> objectives;
  objectives.reserve(kObjectives);
  for (int i = 0; i < kObjectives; ++i) objectives.push_back(ObjectiveName(i));
  size_t request = 0;
  uint64_t by_experiment = 0;
  const uint64_t allocations = AllocationCount();
  for (auto _ : state) {
    // Two strides, so that every Objective meets every user.
    const decide::Decision decision =
        decide::Decide(snapshot, {.objective = objectives[request % kObjectives], .user = users[request % kUsers]});
    by_experiment += decision.answer->reason == decide::Reason::kExperiment;
    benchmark::DoNotOptimize(decision);
    ++request;
  }
  const auto decisions = static_cast<double>(state.iterations());
  state.counters["allocations"] = static_cast<double>(AllocationCount() - allocations);
  state.counters["by_experiment"] = static_cast<double>(by_experiment) / decisions;
  state.counters["decisions/s"] = benchmark::Counter(decisions, benchmark::Counter::kIsRate);
}

// One experiment on each Objective: the figure to reach.
void Decide(benchmark::State& state) { RunDecisions(state, *MakeSnapshot(1)); }
BENCHMARK(Decide);

// All 100 experiments on every Objective, each for 1 % of the users: what a heavily used Objective costs.
void DecideWithAllExperimentsOnEachObjective(benchmark::State& state) {
  RunDecisions(state, *MakeSnapshot(kObjectives));
}
BENCHMARK(DecideWithAllExperimentsOnEachObjective);

// What a new snapshot costs a data plane, away from its requests.
void CompileSnapshot(benchmark::State& state) {
  const v1::Snapshot proto = MakeSnapshot(1)->proto();
  for (auto _ : state) benchmark::DoNotOptimize(decide::Snapshot::Compile(proto));
}
BENCHMARK(CompileSnapshot)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace signalbox::bench

BENCHMARK_MAIN();
