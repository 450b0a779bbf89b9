// What it costs to evaluate rule files, with an engine of their own each time: what a publish, a check and a proxy that
// reads files wait for.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "rules/rules.h"

namespace signalbox::bench {
namespace {

void RunEvaluations(benchmark::State& state, const std::vector<rules::SourceFile>& files) {
  for (auto _ : state) {
    const auto rule_set = rules::Evaluate("bench", files);
    if (!rule_set.ok()) return state.SkipWithError(std::string(Message(rule_set.status())).c_str());
  }
}

// The published example: an experiment and its Objective.
void EvaluateExample(benchmark::State& state) {
  const std::string path = SIGNALBOX_SOURCE_DIR "/examples/rules/netflix_example.js";
  const auto text = ReadFile(path, 1U << 20);
  if (!text.ok()) return state.SkipWithError(std::string(Message(text.status())).c_str());
  RunEvaluations(state, {{path, *text}});
}
BENCHMARK(EvaluateExample)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

// A large team: 1,000 Objectives with an experiment each, written out one function a rule.
void EvaluateThousandObjectives(benchmark::State& state) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += fmt::format(
        "function defineObjective{0}Rule() {{ return {{objective: Objectives.Ranking{0}, defaultModel: {{name: "
        "'ranker-{0}'}}}}; }}\n"
        "function defineAB{0}Rule() {{ return {{abTestId: {1}, targetObjectives: [Objectives.Ranking{0}], cellToModel: "
        "{{1: {{name: 'ranker-{0}'}}, 2: {{name: 'ranker-{0}-b'}}}}}}; }}\n",
        i, 10'000 + i);
  }
  RunEvaluations(state, {{"rules.js", text}});
}
BENCHMARK(EvaluateThousandObjectives)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace signalbox::bench

BENCHMARK_MAIN();
