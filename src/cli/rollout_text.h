// Rollouts as people and programs read them.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "signalbox/v1/rollout.pb.h"

namespace signalbox::cli {

// "loading", "active".
std::string StateText(v1::Rollout::State state);

// One line for each namespace.
std::string RolloutTable(const std::vector<v1::Rollouts>& all);
// What is known beside a rollout's own record.
struct RolloutNotes {
  std::map<std::string, std::vector<std::string>> places;  // by model: where it is, one for each shard
  std::vector<std::string> holds;                          // a pin, a pause, that nobody leads
};

// The rollout under way, or the last one: its states with their times, its models on their hosts, and what ran before.
std::string DescribeRollout(const v1::Rollouts& rollouts, const v1::ReleasePlan& plan, const RolloutNotes& notes,
                            int64_t now_unix_ms);
// "everywhere at once", "region=eu for 10 min, then everywhere".
std::string StepsText(const v1::ReleasePlan& plan);

nlohmann::ordered_json ToJson(const v1::Rollout& rollout);
nlohmann::ordered_json ToJson(const v1::Rollouts& rollouts);
nlohmann::ordered_json ToJson(const v1::ReleasePlan& plan);

}  // namespace signalbox::cli
