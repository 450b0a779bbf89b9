// A control plane for bench/snapshot_swap.mjs: sends snapshots of 100,000 rules, one after the other, and says when.
// What it takes to make each is done before it is sent, and told apart, so that the time of a swap is the data plane's.
//
//   snapshot_swaps HOST:PORT OBJECTIVES SWAPS PAUSE_MS     (HOST:PORT: where every model is)
//
// Prints {"event": "port" | "making" | "made" | "sent" | "running", "unix_us": ...} a line each; ends after SWAPS
// swaps.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "base/status.h"
#include "bench/many_rules.h"
#include "control/distribution.h"

namespace signalbox::bench {
namespace {

constexpr std::chrono::milliseconds kPoll{1};
constexpr std::chrono::seconds kPatience{60};

template <typename T>
T OrExit(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  fmt::print(stderr, "{:.2000}\n", Message(value.status()));
  std::exit(1);
}

void Tell(std::string_view event, int64_t number) {
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  fmt::print("{{\"event\": \"{}\", \"number\": {}, \"unix_us\": {}}}\n", event, number, now.count());
  std::fflush(stdout);
}

// The models on one shard; each version is another one, by one share.
std::shared_ptr<const decide::Snapshot> Make(int objectives, const std::string& host, int64_t version) {
  v1::Snapshot proto = ManyRules(objectives);
  proto.set_version(version);
  proto.mutable_rule_sets(0)->mutable_rule_set()->mutable_traffic_shifts(0)->set_share_ppm(
      static_cast<uint32_t>(version));
  (*proto.mutable_placement()->mutable_shards())["s1"].add_hosts(host);
  auto place = [&](const v1::ModelRef& ref) {
    (*proto.mutable_placement()->mutable_models())[ref.name()].clear_shards();
    (*proto.mutable_placement()->mutable_models())[ref.name()].add_shards("s1");
  };
  for (const v1::PublishedRuleSet& published : proto.rule_sets()) {
    const v1::RuleSet& rules = published.rule_set();
    for (const v1::Objective& objective : rules.objectives()) place(objective.default_model());
    for (const v1::TrafficShift& shift : rules.traffic_shifts()) place(shift.to());
    for (const v1::ContextRule& rule : rules.context_rules()) {
      if (rule.has_model()) place(rule.model());
    }
    for (const v1::Experiment& experiment : rules.experiments()) {
      for (const v1::Cell& cell : experiment.cells()) {
        if (cell.has_model()) place(cell.model());
      }
    }
  }
  return OrExit(decide::Snapshot::Compile(std::move(proto)));
}

bool Runs(const control::Distribution& distribution, int64_t version) {
  for (const control::SubscriberInfo& subscriber : distribution.status().subscribers) {
    if (!subscriber.refusal.empty()) {
      fmt::print(stderr, "refused: {:.2000}\n", subscriber.refusal);
      std::exit(1);
    }
    if (subscriber.running_version == version) return true;
  }
  return false;
}

int Run(const std::string& host, int objectives, int swaps, std::chrono::milliseconds pause) {
  spdlog::set_level(spdlog::level::off);  // its lines would be among ours
  control::DistributionOptions options;
  options.listen = "127.0.0.1:0";
  const auto distribution = OrExit(control::Distribution::Start(std::move(options)));
  Tell("port", distribution->port());
  for (int64_t version = 1; version <= swaps + 1; ++version) {
    Tell("making", version);
    std::shared_ptr<const decide::Snapshot> snapshot = Make(objectives, host, version);
    Tell("made", version);
    std::this_thread::sleep_for(pause);
    Tell("sent", version);
    distribution->Publish({.everywhere = std::move(snapshot), .scopes_in_use = {}, .of_scopes = {}});
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!Runs(*distribution, version)) {
      if (std::chrono::steady_clock::now() > end) return 1;
      std::this_thread::sleep_for(kPoll);
    }
    Tell("running", version);
    std::this_thread::sleep_for(pause);
  }
  return 0;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "snapshot_swaps HOST:PORT OBJECTIVES SWAPS PAUSE_MS\n");
    return 1;
  }
  return signalbox::bench::Run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]),
                               std::chrono::milliseconds(std::atoi(argv[4])));
}
