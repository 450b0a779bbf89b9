// The snapshot and the requests that the benchmarks of decisions share.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "decide/snapshot.h"

namespace signalbox::bench {

inline constexpr int kObjectives = 100;
inline constexpr int kExperiments = 100;
// Their ids do not fit in the first-level cache, as those of real users do not.
inline constexpr int kUsers = 1 << 16;

inline std::string ObjectiveName(int i) { return fmt::format("ContinueWatchingRanking{}", i); }

// Experiments of three cells for half of the users, `experiments_each` of them asked for each Objective, and a canary
// after them.
inline std::shared_ptr<const decide::Snapshot> MakeSnapshot(int experiments_each) {
  v1::Snapshot proto;
  v1::RuleSet& rules = *proto.add_rule_sets()->mutable_rule_set();
  rules.set_namespace_("bench");
  for (int i = 0; i < kObjectives; ++i) {
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name(ObjectiveName(i));
    objective.mutable_default_model()->set_name(fmt::format("ranker-{}", i));
    objective.add_fallback_models()->set_name("popular");
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id(fmt::format("canary-{}", i));
    shift.add_objectives(objective.name());
    shift.mutable_to()->set_name(fmt::format("ranker-{}-next", i));
    shift.set_share_ppm(100'000);
  }
  for (int e = 0; e < kExperiments; ++e) {
    v1::Experiment& experiment = *rules.add_experiments();
    experiment.set_id(fmt::format("{}", 12345 + e));
    for (int i = 0; i < experiments_each; ++i) experiment.add_objectives(ObjectiveName((e + i) % kObjectives));
    // So that a user who meets many of them passes most of them.
    experiment.set_allocation_ppm(experiments_each == 1 ? 500'000 : 10'000);
    for (int c = 1; c <= 3; ++c) {
      v1::Cell& cell = *experiment.add_cells();
      cell.set_name(fmt::format("{}", c));
      cell.mutable_model()->set_name(fmt::format("ranker-{}-cell-{}", e, c));
      cell.set_weight_ppm(c == 1 ? 333'334 : 333'333);
    }
  }
  auto snapshot = decide::Snapshot::Compile(std::move(proto));
  if (snapshot.ok()) return *std::move(snapshot);
  fmt::print(stderr, "{}\n", Message(snapshot.status()));
  std::abort();
}

// 16 hex digits, the same in every run.
inline std::vector<std::string> Users() {
  std::vector<std::string> users;
  for (int i = 0; i < kUsers; ++i) users.push_back(Hex64(StableHash64(std::to_string(i))));
  return users;
}

}  // namespace signalbox::bench
