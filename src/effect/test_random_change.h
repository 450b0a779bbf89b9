// Random rule sets of one Objective with every kind of rule, and random changes of them. The same seed gives the same.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::effect {

class RandomChange {
 public:
  explicit RandomChange(uint64_t seed) : random_(seed) {}

  uint32_t Number(uint32_t low, uint32_t high) { return low + static_cast<uint32_t>(random_() % (high - low + 1)); }
  bool Chance(uint32_t percent) { return Number(1, 100) <= percent; }

  v1::RuleSet Rules() {
    v1::RuleSet rules;
    rules.set_namespace_("team");
    v1::Objective& objective = *rules.add_objectives();
    objective.set_name("Ranking");
    *objective.mutable_default_model() = Model();
    if (Chance(50)) *objective.add_fallback_models() = Model();
    (*objective.mutable_parameters())["depth"] = "50";
    for (uint32_t i = Number(0, 2); i > 0; --i) AddContextRule(rules);
    for (uint32_t i = 0; i < 2; ++i) {
      v1::Layer& layer = *rules.add_layers();
      layer.set_id("layer" + std::to_string(i));
      layer.add_unit(kUnits[i]);
      if (Chance(30)) layer.set_hash_version(1);
    }
    if (Chance(40)) AddHoldout(rules);
    for (uint32_t i = Number(0, 3); i > 0; --i) AddExperiment(rules);
    if (Chance(60)) AddShift(rules);
    return rules;
  }

  // One to three small things.
  void Change(v1::RuleSet& rules) {
    for (uint32_t changes = Number(1, 3); changes > 0; --changes) {
      switch (Number(0, 6)) {
        case 0:
          *rules.mutable_objectives(0)->mutable_default_model() = Model();
          break;
        case 1:
          if (rules.experiments_size() > 0) ChangeExperiment(*rules.mutable_experiments(0));
          break;
        case 2:
          if (rules.traffic_shifts_size() > 0) rules.mutable_traffic_shifts(0)->set_share_ppm(Number(0, 1'000'000));
          break;
        case 3:
          if (rules.context_rules_size() > 0) *rules.mutable_context_rules(0)->mutable_condition() = Condition(2);
          break;
        case 4:
          if (rules.context_rules_size() > 0) rules.mutable_context_rules()->RemoveLast();
          break;
        case 5:
          if (rules.experiments_size() > 0) rules.mutable_experiments()->RemoveLast();
          break;
        case 6:
          if (rules.holdouts_size() > 0) rules.mutable_holdouts(0)->set_share_ppm(Number(0, 500'000));
          break;
      }
    }
  }

  v1::Condition Condition(uint32_t depth) {
    v1::Condition condition;
    const uint32_t kind = depth == 0 ? 3 : Number(0, 5);
    if (kind == 0) {
      for (uint32_t i = Number(1, 3); i > 0; --i) *condition.mutable_all()->add_conditions() = Condition(depth - 1);
    } else if (kind == 1) {
      for (uint32_t i = Number(1, 3); i > 0; --i) *condition.mutable_any()->add_conditions() = Condition(depth - 1);
    } else if (kind == 2) {
      *condition.mutable_not_() = Condition(depth - 1);
    } else {
      FillTest(*condition.mutable_field());
    }
    return condition;
  }

 private:
  static constexpr const char* kUnits[] = {"user", "account"};

  v1::ModelRef Model() {
    v1::ModelRef ref;
    ref.set_name("m");
    ref.set_version(std::to_string(Number(1, 4)));
    return ref;
  }

  void FillTest(v1::FieldTest& test) {
    switch (Number(0, 6)) {
      case 0:
        test.set_field("country");
        test.mutable_in()->add_texts("CA");
        if (Chance(50)) test.mutable_in()->add_texts("US");
        return;
      case 1:
        test.set_field("device");
        if (Chance(30))
          test.mutable_in()->add_texts(Chance(50) ? "other" : "tvother");
        else
          test.mutable_prefix()->add_texts(Chance(50) ? "tv" : "tv-4k");
        return;
      case 2:
        test.set_field("age");
        test.mutable_number()->set_min(Number(1, 3));
        if (Chance(50)) test.mutable_number()->set_max(Number(3, 6));
        test.mutable_number()->set_excludes_max(Chance(50));
        return;
      case 3:
        test.set_field("app_version");
        test.mutable_version()->set_min(Chance(50) ? "4.2" : "4.2.1-beta");
        return;
      case 4:
        test.set_field("segments");
        test.mutable_in()->add_texts(Chance(50) ? "kids" : "vip");
        return;
      case 5:
        test.set_field("user");
        test.mutable_in()->add_texts("alice");
        return;
      default:
        test.set_field("surface");
        test.set_regex(Chance(50) ? "^home" : "page$");
        return;
    }
  }

  void AddContextRule(v1::RuleSet& rules) {
    v1::ContextRule& rule = *rules.add_context_rules();
    rule.set_id("rule" + std::to_string(rules.context_rules_size()));
    rule.add_objectives("Ranking");
    *rule.mutable_condition() = Condition(2);
    if (Chance(60))
      *rule.mutable_model() = Model();
    else
      (*rule.mutable_parameters())["alpha"] = std::to_string(Number(1, 3));
  }

  void AddHoldout(v1::RuleSet& rules) {
    v1::Holdout& holdout = *rules.add_holdouts();
    holdout.set_id("holdout");
    holdout.set_seed("holdout");
    holdout.add_unit("user");
    holdout.set_share_ppm(Number(1, 300'000));
    if (Chance(50)) *holdout.mutable_condition() = Condition(1);
  }

  void AddExperiment(v1::RuleSet& rules) {
    v1::Experiment& experiment = *rules.add_experiments();
    const int number = rules.experiments_size();
    experiment.set_id(std::to_string(100 + number));
    experiment.set_seed(experiment.id());
    experiment.add_objectives("Ranking");
    experiment.set_allocation_ppm(Chance(50) ? 1'000'000 : Number(1, 999'999));
    const bool has_layer = number <= 2 && Chance(60);
    if (has_layer) {
      experiment.set_layer("layer" + std::to_string(number - 1));
      experiment.set_layer_begin_ppm(Number(0, 300'000));
      experiment.set_layer_end_ppm(Number(400'000, 1'000'000));
    }
    experiment.add_unit(has_layer ? kUnits[number - 1] : "user");
    if (!has_layer && Chance(30)) experiment.add_unit("account");
    const bool has_models = Chance(70);
    const uint32_t first = Number(0, 1'000'000);
    for (const uint32_t weight : {first, 1'000'000 - first}) {
      v1::Cell& cell = *experiment.add_cells();
      cell.set_name(std::to_string(experiment.cells_size()));
      cell.set_weight_ppm(weight);
      if (has_models && Chance(80))
        *cell.mutable_model() = Model();
      else
        (*cell.mutable_parameters())["p" + experiment.id()] = cell.name();
    }
    if (Chance(40)) *experiment.mutable_condition() = Condition(2);
    if (Chance(30)) (*experiment.mutable_forced_cells())["alice"] = "1";
    if (Chance(20)) (*experiment.mutable_forced_cells())["bob"] = "2";
  }

  void ChangeExperiment(v1::Experiment& experiment) {
    switch (Number(0, 3)) {
      case 0:
        experiment.set_allocation_ppm(Number(1, 1'000'000));
        break;
      case 1:
        experiment.set_seed("other");
        break;
      case 2: {
        const uint32_t first = Number(0, 1'000'000);
        experiment.mutable_cells(0)->set_weight_ppm(first);
        experiment.mutable_cells(1)->set_weight_ppm(1'000'000 - first);
        break;
      }
      default:
        *experiment.mutable_condition() = Condition(2);
    }
  }

  void AddShift(v1::RuleSet& rules) {
    v1::TrafficShift& shift = *rules.add_traffic_shifts();
    shift.set_id("shift");
    shift.set_seed("shift");
    shift.add_objectives("Ranking");
    shift.add_unit("user");
    *shift.mutable_to() = Model();
    shift.set_share_ppm(Number(0, 1'000'000));
    if (Chance(40)) *shift.mutable_condition() = Condition(1);
  }

  std::mt19937_64 random_;
};

}  // namespace signalbox::effect
