// What 100,000 rules cost: a decision among them against one among 100 rules, in one run; and their compilation, in
// time and memory. JSON to standard output; bench/decision_scale.mjs makes the tables.
//
//   decision_scale [--quick]
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/allocation_count.h"
#include "base/status.h"
#include "bench/many_rules.h"
#include "decide/decide.h"

namespace signalbox::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSmallObjectives = 10;
constexpr int kLargeObjectives = 10'000;
// Users that take turns: their ids do not fit in the first-level cache, as those of real users do not.
constexpr int kRequests = 1 << 16;
// Decisions between two looks at the clock. A look takes some 20 ns; shared by so many it adds about 1 ns to each.
constexpr int kGroup = 16;
constexpr int kGroupsPerRound = 40'000;

double Nanoseconds(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

// Of this process: what else the machine does does not count.
double CpuSeconds() { return static_cast<double>(clock()) / CLOCKS_PER_SEC; }

// A line of /proc/self/status, in MiB.
double StatusMib(std::string_view key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stod(line.substr(key.size() + 1)) / 1024;
  }
  return 0;
}
double RssMib() { return StatusMib("VmRSS"); }
double PeakRssMib() { return StatusMib("VmHWM"); }
// From now on.
void ResetPeakRss() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::shared_ptr<const decide::Snapshot> Compiled(v1::Snapshot proto) {
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  if (snapshot.ok()) return *std::move(snapshot);
  fmt::print(stderr, "{:.2000}\n", Message(snapshot.status()));
  std::exit(1);
}

// From the bytes that a data plane receives to a snapshot that decides.
nlohmann::ordered_json MeasureCompile() {
  const std::string bytes = ManyRules(kLargeObjectives).SerializeAsString();
  malloc_trim(0);
  const double before = RssMib();
  ResetPeakRss();
  const Clock::time_point start = Clock::now();
  const double cpu_start = CpuSeconds();
  v1::Snapshot proto;
  if (!proto.ParseFromString(bytes)) std::exit(1);
  const Clock::time_point parsed = Clock::now();
  const double parsed_mib = RssMib();
  const auto snapshot = Compiled(std::move(proto));
  const Clock::time_point compiled = Clock::now();
  const double cpu_s = CpuSeconds() - cpu_start;
  const double peak = PeakRssMib();
  malloc_trim(0);
  return {{"objectives", kLargeObjectives},
          {"rules", kLargeObjectives * kRulesPerObjective},
          {"answers", snapshot->answers().size()},
          {"models", snapshot->models().size()},
          {"bytes", bytes.size()},
          {"parse_s", Nanoseconds(parsed - start) / 1e9},
          {"compile_s", Nanoseconds(compiled - parsed) / 1e9},
          {"cpu_s", cpu_s},
          {"parsed_mib", parsed_mib - before},
          {"peak_mib", peak - before},
          {"after_mib", RssMib() - before}};
}

// One snapshot, and what is asked of it.
struct Workload {
  std::string name;
  const decide::Snapshot* snapshot;
  std::vector<ManyRequest> requests;
  std::vector<double> samples;  // ns for each decision, the mean of a group
  std::vector<double> rounds;   // millions a second
  std::array<uint64_t, 6> by_reason{};
  uint64_t overlays = 0;
  uint64_t allocations = 0;
};

decide::RequestContext Context(const ManyRequest& request, uint64_t random) {
  return {.objective = request.objective(),
          .user = request.user(),
          .country = request.country,
          .device = request.device,
          .app_version = request.app_version,
          .segments = request.segments,
          .attributes = request.attributes,
          .now_unix_ms = kNowUnixMs,
          .random = random};
}

void Round(Workload& load, uint64_t& next, bool keep) {
  const uint64_t allocations = AllocationCount();
  const Clock::time_point start = Clock::now();
  uint64_t overlays = 0;
  for (int group = 0; group < kGroupsPerRound; ++group) {
    const Clock::time_point before = Clock::now();
    for (int i = 0; i < kGroup; ++i, ++next) {
      const decide::Decision decision =
          decide::Decide(*load.snapshot, Context(load.requests[next % kRequests], next * 0x9E3779B97F4A7C15ULL));
      overlays += decision.overlays.size();
      benchmark::DoNotOptimize(decision);
    }
    const Clock::time_point after = Clock::now();
    if (keep) load.samples.push_back(Nanoseconds(after - before) / kGroup);  // room is reserved
  }
  if (!keep) return;
  load.overlays += overlays;
  load.rounds.push_back(1e3 * kGroup * kGroupsPerRound / Nanoseconds(Clock::now() - start));
  load.allocations += AllocationCount() - allocations;
}

// Which rules decided, apart from what is timed: a decision points to its answer, and need not look into it.
void CountReasons(Workload& load) {
  for (uint64_t i = 0; i < kRequests; ++i) {
    const decide::Decision decision =
        decide::Decide(*load.snapshot, Context(load.requests[i], i * 0x9E3779B97F4A7C15ULL));
    ++load.by_reason[static_cast<size_t>(decision.answer->reason)];
  }
}

double Quantile(std::vector<double>& samples, double share) {
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

nlohmann::ordered_json Report(Workload& load) {
  nlohmann::ordered_json json = {{"name", load.name},
                                 {"p50_ns", Quantile(load.samples, 0.5)},
                                 {"p90_ns", Quantile(load.samples, 0.9)},
                                 {"p99_ns", Quantile(load.samples, 0.99)},
                                 {"millions_per_s", Quantile(load.rounds, 0.5)},
                                 {"allocations", load.allocations},
                                 {"overlays_per_decision", static_cast<double>(load.overlays) /
                                                               static_cast<double>(load.samples.size() * kGroup)}};
  for (size_t reason = 0; reason < load.by_reason.size(); ++reason) {
    json["by"][std::string(Name(static_cast<decide::Reason>(reason)))] =
        static_cast<double>(load.by_reason[reason]) / kRequests;
  }
  return json;
}

Workload MakeWorkload(std::string name, const decide::Snapshot& snapshot, int objectives, bool zipf, int rounds) {
  Workload load{.name = std::move(name),
                .snapshot = &snapshot,
                .requests = ManyRequests(objectives, kRequests, zipf, /*seed=*/7),
                .samples = {},
                .rounds = {}};
  load.samples.reserve(static_cast<size_t>(rounds) * kGroupsPerRound);
  load.rounds.reserve(static_cast<size_t>(rounds));
  return load;
}

nlohmann::ordered_json MeasureDecisions(bool quick) {
  const int rounds = quick ? 5 : 25;
  const auto small = Compiled(ManyRules(kSmallObjectives));
  const auto large = Compiled(ManyRules(kLargeObjectives));
  std::vector<Workload> loads;
  loads.push_back(MakeWorkload("100 rules, uniform", *small, kSmallObjectives, false, rounds));
  loads.push_back(MakeWorkload("100,000 rules, uniform", *large, kLargeObjectives, false, rounds));
  loads.push_back(MakeWorkload("100 rules, Zipf", *small, kSmallObjectives, true, rounds));
  loads.push_back(MakeWorkload("100,000 rules, Zipf", *large, kLargeObjectives, true, rounds));
  uint64_t next = 0;
  for (Workload& load : loads) {
    CountReasons(load);
    Round(load, next, /*keep=*/false);
  }
  for (int round = 0; round < rounds; ++round) {
    for (Workload& load : loads) Round(load, next, /*keep=*/true);
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (Workload& load : loads) json.push_back(Report(load));
  return json;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  nlohmann::ordered_json json;
  json["compile"] = signalbox::bench::MeasureCompile();  // first: its memory is that of a new process
  json["decisions"] = signalbox::bench::MeasureDecisions(quick);
  fmt::print("{}\n", json.dump(2));
  return 0;
}
