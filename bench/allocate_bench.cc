// What it costs a worker that an experiment is allocated remotely, once the cell is known.
//
//   build/release/bench/allocate_bench
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "allocate/worker_cells.h"
#include "base/allocation_count.h"

namespace signalbox::allocate {
namespace {

class Nobody : public Waiter {
 public:
  bool OnAnswer(std::string_view) override { return true; }
};

// The cell of one of so many sessions that the worker remembers.
void BM_KnownCell(benchmark::State& state) {
  PlatformOptions platform;
  platform.name = "growthbook";
  const std::vector<PlatformOptions> platforms = {platform};
  WorkerCells cells(0, platforms, [] {});
  const Time now = std::chrono::steady_clock::now();
  const std::array<Field, 3> context = {{{"country", "US"}, {"device", "tv"}, {"traffic_type", "live"}}};
  Question question{.platform = "growthbook",
                    .flag = "ranker-test",
                    .unit = {},
                    .context = context,
                    .attributes = {},
                    .ttl = std::chrono::minutes(5),
                    .deadline = std::chrono::milliseconds(20)};
  std::vector<std::string> users;
  std::string_view cell;
  Nobody nobody;
  for (int64_t i = 0; i < state.range(0); ++i) {
    question.unit = users.emplace_back("user-" + std::to_string(i));
    cells.Find(question, now, nobody, cell);
    cells.GiveUp(nobody, Outcome::kAbandoned);
    std::unique_ptr<Inquiry> inquiry = cells.to_ask().Pop();
    inquiry->answer = {.result = Result::kCell, .cell = "treatment", .retry_after = {}};
    inquiry->answered_at = now;
    cells.answered().Push(inquiry);
    cells.Deliver(now);
  }
  size_t next = 0;
  constexpr size_t kStride = 7919;  // a prime: all users, in no order that a cache likes
  const uint64_t allocations = AllocationCountOfThisThread();
  for (auto _ : state) {
    question.unit = users[next];
    next = (next + kStride) % users.size();
    if (cells.Find(question, now, nobody, cell) != WorkerCells::Found::kCell) state.SkipWithError("not known");
    benchmark::DoNotOptimize(cell);
  }
  state.counters["allocations"] = static_cast<double>(AllocationCountOfThisThread() - allocations);
}
BENCHMARK(BM_KnownCell)->Arg(1'000)->Arg(100'000);

}  // namespace
}  // namespace signalbox::allocate

BENCHMARK_MAIN();
