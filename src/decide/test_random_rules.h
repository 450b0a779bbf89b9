// Random rule sets and users, for tests of what must hold for all of them. The same seed gives the same ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

class RandomRules {
 public:
  explicit RandomRules(uint64_t seed) : random_(seed) {}

  // Inclusive. By modulo, because the standard's distributions differ from library to library.
  uint32_t Number(uint32_t low, uint32_t high) { return low + static_cast<uint32_t>(random_() % (high - low + 1)); }
  bool Chance(uint32_t percent) { return Number(1, 100) <= percent; }

  // Any share from 0 on, with the ends and the smallest ones more often than by chance.
  uint32_t SharePpm(uint32_t low = 0) {
    switch (Number(0, 5)) {
      case 0:
        return low;
      case 1:
        return 1'000'000;
      case 2:
        return Number(1, 1000);
      default:
        return Number(low, 1'000'000);
    }
  }

  v1::Snapshot Snapshot() {
    v1::Snapshot proto;
    const uint32_t namespaces = Number(1, 3);
    for (uint32_t n = 0; n < namespaces; ++n) {
      v1::PublishedRuleSet& published = *proto.add_rule_sets();
      published.set_version(Number(0, 9));
      FillRuleSet("team" + std::to_string(n), *published.mutable_rule_set());
    }
    return proto;
  }

  void FillRuleSet(const std::string& name, v1::RuleSet& rules) {
    rules.set_namespace_(name);
    const uint32_t objectives = Number(1, 5);
    for (uint32_t i = 0; i < objectives; ++i) {
      v1::Objective& objective = *rules.add_objectives();
      objective.set_name(name + "_Objective" + std::to_string(i));
      *objective.mutable_default_model() = Model();
      for (uint32_t f = Number(0, 3); f > 0; --f) *objective.add_fallback_models() = Model();
    }
    for (uint32_t e = Number(0, 6); e > 0; --e) AddExperiment(rules);
    for (uint32_t s = Number(0, 3); s > 0; --s) AddShift(rules);
  }

  v1::Experiment& AddExperiment(v1::RuleSet& rules) {
    v1::Experiment& experiment = *rules.add_experiments();
    experiment.set_id(std::to_string(10'000 + rules.experiments_size()));
    if (Chance(30)) experiment.set_seed("seed" + std::to_string(Number(0, 3)));
    Target(rules, *experiment.mutable_objectives());
    experiment.set_allocation_ppm(SharePpm(1));
    experiment.set_priority(static_cast<int32_t>(Number(0, 4)) - 2);
    uint32_t left_ppm = 1'000'000;
    for (uint32_t c = Number(1, 6); c > 0; --c) {
      v1::Cell& cell = *experiment.add_cells();
      cell.set_name(std::to_string(experiment.cells_size()));
      if (Chance(80)) *cell.mutable_model() = Model();
      // Cells of no weight are allowed, and nobody may be in them.
      cell.set_weight_ppm(c == 1 ? left_ppm : Number(0, left_ppm));
      left_ppm -= cell.weight_ppm();
    }
    return experiment;
  }

  v1::TrafficShift& AddShift(v1::RuleSet& rules) {
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id("shift" + std::to_string(rules.traffic_shifts_size()));
    if (Chance(30)) shift.set_seed("seed" + std::to_string(Number(0, 3)));
    Target(rules, *shift.mutable_objectives());
    if (Chance(40)) *shift.mutable_from() = Model();
    *shift.mutable_to() = Model();
    shift.set_share_ppm(SharePpm());
    return shift;
  }

  // Of different lengths and alphabets, because the hash takes different paths for them.
  std::string User() {
    switch (Number(0, 5)) {
      case 0:
        return std::to_string(random_() % 1'000'000);
      case 1:
        return Hex64(random_());
      case 2:
        return "member:" + std::to_string(random_()) + "@example.com";
      case 3:
        return std::string(1, static_cast<char>(Number(0, 255)));
      case 4:
        return std::string(Number(1, 400), static_cast<char>(Number(0, 255)));
      default:
        return Hex64(random_()) + Hex64(random_());
    }
  }

  std::vector<std::string> Users(size_t count) {
    std::vector<std::string> users;
    for (size_t i = 0; i < count; ++i) users.push_back(User());
    return users;
  }

 protected:
  v1::ModelRef Model() {
    v1::ModelRef ref;
    ref.set_name("model" + std::to_string(Number(0, 4)));
    if (Chance(70)) ref.set_version(std::to_string(Number(1, 3)));
    return ref;
  }

  // At least one of the Objectives, each at most once.
  void Target(const v1::RuleSet& rules, google::protobuf::RepeatedPtrField<std::string>& targets) {
    const auto certain = static_cast<int>(Number(0, static_cast<uint32_t>(rules.objectives_size()) - 1));
    for (int i = 0; i < rules.objectives_size(); ++i) {
      if (i == certain || Chance(40)) *targets.Add() = rules.objectives(i).name();
    }
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace signalbox::decide
