// The experiment of bench/experiment_peers.mjs, decided by us: on signalbox's own hash or GrowthBook's. Prints JSON as
// bench/harness/experiment_peer.mjs does.
//
//   experiment_decisions 0|1|2 CONTEXTS.tsv ROUNDS
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/allocation_count.h"
#include "base/status.h"
#include "decide/decide.h"

namespace signalbox::bench {
namespace {

using Clock = std::chrono::steady_clock;

void AddIn(v1::Condition& all, const std::string& field, const std::vector<std::string>& texts) {
  v1::FieldTest& test = *all.mutable_all()->add_conditions()->mutable_field();
  test.set_field(field);
  for (const std::string& text : texts) test.mutable_in()->add_texts(text);
}

// As bench/harness/experiment.mjs has it.
std::shared_ptr<const decide::Snapshot> MakeSnapshot(uint32_t hash_version) {
  v1::Snapshot proto;
  v1::RuleSet& rules = *proto.add_rule_sets()->mutable_rule_set();
  rules.set_namespace_("bench");
  v1::Objective& objective = *rules.add_objectives();
  objective.set_name("Ranker");
  objective.mutable_default_model()->set_name("ranker");
  v1::Experiment& experiment = *rules.add_experiments();
  experiment.set_id("ranker-exp");
  experiment.set_seed("ranker-exp");
  experiment.add_objectives("Ranker");
  experiment.set_allocation_ppm(1'000'000);
  experiment.set_hash_version(hash_version);
  AddIn(*experiment.mutable_condition(), "country", {"CA", "US"});
  AddIn(*experiment.mutable_condition(), "device", {"mobile", "tv"});
  const std::pair<const char*, double> cells[] = {{"1", 0.5}, {"2", 0.3}, {"3", 0.2}};
  for (const auto& [name, weight] : cells) {
    v1::Cell& cell = *experiment.add_cells();
    cell.set_name(name);
    cell.set_weight_ppm(static_cast<uint32_t>(weight * 1e6 + 0.5));
    if (hash_version != 0) cell.set_weight(weight);
    cell.mutable_model()->set_name(fmt::format("ranker-{}", name));
  }
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  if (snapshot.ok()) return *std::move(snapshot);
  fmt::print(stderr, "{}\n", Message(snapshot.status()));
  std::exit(1);
}

struct Request {
  std::string user;
  std::string country;
  std::string device;
};

std::vector<Request> ReadRequests(const char* path) {
  std::vector<Request> requests;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find('\t');
    const size_t second = line.find('\t', first + 1);
    requests.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return requests;
}

std::string_view CellOf(const decide::Snapshot& snapshot, const Request& request) {
  return decide::Decide(
             snapshot,
             {.objective = "Ranker", .user = request.user, .country = request.country, .device = request.device})
      .main_enrolment()
      .cell;
}

int Run(uint32_t hash_version, const char* path, int rounds) {
  const auto snapshot = MakeSnapshot(hash_version);
  const std::vector<Request> requests = ReadRequests(path);
  nlohmann::ordered_json json = {{"rounds", nlohmann::ordered_json::array()},
                                 {"cells", nlohmann::ordered_json::array()}};
  size_t taken_first = 0;
  for (const Request& request : requests) {
    const std::string_view cell = CellOf(*snapshot, request);
    taken_first += !cell.empty();
    json["cells"].push_back(std::string(cell));
  }
  uint64_t allocations = 0;
  for (int round = 0; round < rounds; ++round) {
    size_t taken = 0;
    const uint64_t allocations_before = AllocationCount();
    const Clock::time_point start = Clock::now();
    for (const Request& request : requests) taken += !CellOf(*snapshot, request).empty();
    const std::chrono::duration<double> seconds = Clock::now() - start;
    allocations += AllocationCount() - allocations_before;
    if (taken != taken_first) std::abort();
    json["rounds"].push_back(static_cast<double>(requests.size()) / seconds.count());
  }
  json["allocations"] = allocations;
  fmt::print("{}\n", json.dump());
  return 0;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "experiment_decisions 0|1|2 CONTEXTS.tsv ROUNDS\n");
    return 1;
  }
  return signalbox::bench::Run(static_cast<uint32_t>(std::atoi(argv[1])), argv[2], std::atoi(argv[3]));
}
