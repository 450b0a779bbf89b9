// `signalbox resolve --batch` without its process: from a file of request contexts to /dev/null. Aim: 300,000 lines a
// second on one core. bench/run.mjs measures the command itself.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/allocation_count.h"
#include "bench/bench_snapshot.h"
#include "cli/resolve_batch.h"

namespace signalbox::bench {
namespace {

constexpr int kLines = 200'000;

std::FILE* WriteContexts() {
  std::FILE* file = std::tmpfile();
  if (file == nullptr) std::abort();
  const std::vector<std::string> users = Users();
  for (int i = 0; i < kLines; ++i) {
    fmt::print(file,
               R"({{"objective":"{}","user":"{}","country":"US","device":"tv","locale":"en-US","surface":"home",)"
               R"("tenant":"web","attributes":{{"plan":"basic","app":"7.12.{}"}}}})"
               "\n",
               ObjectiveName(i % kObjectives), users[i % kUsers], i % 10);
  }
  std::fflush(file);
  return file;
}

void ResolveBatch(benchmark::State& state) {
  const auto snapshot = MakeSnapshot(1);
  std::FILE* contexts = WriteContexts();
  const int input = fileno(contexts);
  const auto input_bytes = static_cast<double>(lseek(input, 0, SEEK_END));
  const int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
  uint64_t allocations = 0;
  for (auto _ : state) {
    lseek(input, 0, SEEK_SET);
    allocations = AllocationCount();
    const auto counts = cli::ResolveBatch(*snapshot, input, output);
    allocations = AllocationCount() - allocations;
    if (!counts.ok() || counts->lines != kLines || counts->failed != 0) state.SkipWithError("lines failed");
  }
  const double lines = static_cast<double>(state.iterations()) * kLines;
  state.counters["lines/s"] = benchmark::Counter(lines, benchmark::Counter::kIsRate);
  state.counters["bytes/line"] = input_bytes / kLines;
  state.counters["allocations/line"] = static_cast<double>(allocations) / kLines;
  close(output);
  std::fclose(contexts);
}
BENCHMARK(ResolveBatch)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace signalbox::bench

BENCHMARK_MAIN();
