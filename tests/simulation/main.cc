// signalbox-simulation: runs of the deterministic simulation. See docs/decisions/0010-managed-fleet.md.
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulation/world.h"

namespace signalbox::simulation {
namespace {

constexpr std::string_view kUsage =
    "signalbox-simulation [--seed N [--trace] | --seeds A..B | --forever [--from N]] [--jobs N] [--twice]\n            "
    "         [--expect INVARIANT]\n"
    "\n"
    "  --seed N        one run; --trace prints what happens in it\n"
    "  --seeds A..B    these runs, both ends included (default 1..2000)\n"
    "  --forever       runs until it is stopped, from seed --from or one of the clock\n"
    "  --jobs N        processes to share the seeds among (default 2)\n"
    "  --twice         each run a second time: its trace has to be the same\n"
    "  --expect I1     good when a run violates this invariant: for programs with a planted mistake\n"
    "\n"
    "Exit code: 0 good, 1 a violation (one line for each, with the command that replays it), 2 wrong usage.\n";

struct Options {
  uint64_t first = 1;
  uint64_t last = 2000;
  int jobs = 2;
  bool trace = false;
  bool forever = false;
  bool twice = false;
  std::string expect;
};

std::string program;

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Outcome {
  std::optional<Violation> violation;
  uint64_t trace = 0;
};

// What people published and what came of it.
void PrintStore(World& world) {
  const absl::StatusOr<store::LatestVersions> latest = world.store.Latest();
  if (!latest.ok()) return;
  for (const store::LatestVersion& newest : latest->topics) {
    fmt::print("{} version {}: {}\n", newest.info.topic, newest.info.version, newest.content.value_or(""));
  }
}

Outcome RunSeed(uint64_t seed, bool print) {
  World world(seed, print);
  world.Run();
  if (print) PrintStore(world);
  return {world.truth.violation(), world.trace.hash()};
}

// What is not simulated shows when the same seed is run again.
Outcome RunTwice(uint64_t seed, bool print) {
  Outcome outcome = RunSeed(seed, print);
  const uint64_t again = RunSeed(seed, false).trace;
  if (again != outcome.trace) {
    outcome.violation = {"world", fmt::format("trace {:016x}, and {:016x} the second time: something is not simulated",
                                              outcome.trace, again)};
  }
  return outcome;
}

int RunOne(const Options& options) {
  const Outcome outcome = RunTwice(options.first, options.trace);
  fmt::print("seed {}: trace {:016x}, {}\n", options.first, outcome.trace,
             outcome.violation ? fmt::format("{}: {}", outcome.violation->invariant, outcome.violation->what) : "good");
  return outcome.violation ? 1 : 0;
}

// Every jobs-th seed. The number of violations, at most 100.
int RunShare(const Options& options, int share) {
  int violations = 0;
  for (uint64_t seed = options.first + static_cast<uint64_t>(share); options.forever || seed <= options.last;
       seed += static_cast<uint64_t>(options.jobs)) {
    const Outcome outcome = options.twice ? RunTwice(seed, false) : RunSeed(seed, false);
    if (options.forever && seed % 1000 < static_cast<uint64_t>(options.jobs)) {
      fmt::print("seed {}\n", seed);
      std::fflush(stdout);
    }
    if (!outcome.violation) continue;
    if (!options.expect.empty()) {
      if (outcome.violation->invariant != options.expect) continue;
      fmt::print("seed {} finds it: {}: {}\n", seed, outcome.violation->invariant, outcome.violation->what);
      std::fflush(stdout);
      return 1;
    }
    ++violations;
    fmt::print("{}: {}; replay: {} --seed {} --trace\n", outcome.violation->invariant, outcome.violation->what, program,
               seed);
    std::fflush(stdout);
    if (violations == 100) break;
  }
  return violations;
}

int RunMany(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<pid_t> shares;
  for (int share = 0; share < options.jobs; ++share) {
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) _exit(RunShare(options, share));
    if (pid > 0) shares.push_back(pid);
  }
  int violations = 0;
  bool crashed = shares.size() < static_cast<size_t>(options.jobs);
  for (size_t left = shares.size(); left > 0; --left) {
    int status = 0;
    wait(&status);
    if (WIFEXITED(status)) {
      violations += WEXITSTATUS(status);
    } else {
      crashed = crashed || options.expect.empty();
    }
    // One is enough.
    if (options.expect.empty() || violations == 0) continue;
    for (const pid_t pid : shares) kill(pid, SIGTERM);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (crashed) fmt::print("a process of the simulation ended by a signal; --jobs 1 and --seed tell where\n");
  if (!options.expect.empty()) {
    if (violations == 0) fmt::print("no seed of {}..{} violates {}\n", options.first, options.last, options.expect);
    return violations > 0 ? 0 : 1;
  }
  fmt::print("{} seeds, {} violations, {:.1f} s\n", options.last - options.first + 1, violations, seconds);
  return violations > 0 || crashed ? 1 : 0;
}

std::optional<Options> Read(int argc, char** argv) {
  Options options;
  bool one = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--trace") {
      options.trace = true;
      continue;
    }
    if (flag == "--twice") {
      options.twice = true;
      continue;
    }
    if (flag == "--forever") {
      options.forever = true;
      options.first =
          static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1'000'000'000'000;
      continue;
    }
    ++i;
    if (flag == "--expect" && !value.empty()) {
      options.expect = value;
    } else if (const std::optional<uint64_t> number = Number(value); flag == "--seed" && number) {
      options.first = options.last = *number;
      one = true;
    } else if (flag == "--from" && number) {
      options.first = *number;
    } else if (flag == "--jobs" && number && *number >= 1 && *number <= 64) {
      options.jobs = static_cast<int>(*number);
    } else if (const size_t dots = value.find(".."); flag == "--seeds" && dots != std::string_view::npos) {
      const std::optional<uint64_t> first = Number(value.substr(0, dots));
      const std::optional<uint64_t> last = Number(value.substr(dots + 2));
      if (!first || !last) return std::nullopt;
      options.first = *first;
      options.last = *last;
    } else {
      return std::nullopt;
    }
  }
  if (one) options.jobs = 0;
  return options;
}

}  // namespace
}  // namespace signalbox::simulation

int main(int argc, char** argv) {
  using namespace signalbox::simulation;
  program = argv[0];
  // Damaged messages are part of it.
  google::protobuf::SetLogHandler(nullptr);
  const std::optional<Options> options = Read(argc, argv);
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  return options->jobs == 0 ? RunOne(*options) : RunMany(*options);
}
