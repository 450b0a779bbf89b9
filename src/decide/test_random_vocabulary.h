// Random rule sets of every kind of rule, and contexts that meet them, for tests of what must hold for all of them.
#pragma once

#include <string>
#include <vector>

#include "decide/request_context.h"
#include "decide/test_random_rules.h"

namespace signalbox::decide {

// A context that owns its texts.
struct RandomContext {
  std::string user;
  std::string country;
  std::string device;
  std::string tenant;
  std::string app_version;
  std::string segments;
  std::string account;
  std::string plan;
  std::string override_model;
  std::vector<Attribute> attributes;
  std::vector<CellName> override_cells;
  std::vector<CellName> remote_cells;
  std::vector<std::string> texts;  // of the cells
  TrafficType traffic_type = TrafficType::kLive;
  int64_t now_unix_ms = 0;
  uint64_t random = 0;

  RequestContext View(std::string_view objective) const {
    return {.objective = objective,
            .user = user,
            .country = country,
            .device = device,
            .tenant = tenant,
            .traffic_type = traffic_type,
            .app_version = app_version,
            .segments = segments,
            .attributes = attributes,
            .now_unix_ms = now_unix_ms,
            .random = random,
            .override_model = override_model,
            .override_cells = override_cells,
            .remote_cells = remote_cells};
  }
};

class RandomVocabulary : public RandomRules {
 public:
  explicit RandomVocabulary(uint64_t seed) : RandomRules(seed) {}

  v1::Snapshot WholeSnapshot() {
    v1::Snapshot proto = Snapshot();
    for (v1::PublishedRuleSet& published : *proto.mutable_rule_sets()) {
      v1::RuleSet& rules = *published.mutable_rule_set();
      AddPolicies(rules);
      AddLayers(rules);
      AddHoldouts(rules);
      AddContextRules(rules);
      AddShadows(rules);
      AddOverrides(rules);
      for (v1::Experiment& experiment : *rules.mutable_experiments()) Vary(rules, experiment);
      for (v1::TrafficShift& shift : *rules.mutable_traffic_shifts()) Vary(published, shift);
    }
    return proto;
  }

  RandomContext Context(const v1::Snapshot& proto) {
    RandomContext context;
    if (Chance(90)) context.user = "user-" + std::to_string(Number(0, 300));
    if (Chance(80)) context.country = Pick({"US", "CA", "DE", "FR"});
    if (Chance(80)) context.device = Pick({"tv", "phone"});
    if (Chance(60)) context.tenant = Pick({"qa", "web"});
    if (Chance(60)) context.app_version = Pick({"4.1", "4.2.0-beta", "4.2", "5.0.1", "new"});
    if (Chance(60)) context.segments = Pick({"kids", "kids premium", "premium", ""});
    if (Chance(50)) context.account = "account-" + std::to_string(Number(0, 50));
    if (Chance(50)) context.plan = std::to_string(Number(0, 5));
    if (Chance(10)) context.plan = "basic";
    context.now_unix_ms = Chance(20) ? 0 : Number(1, 2000);
    context.random = uint64_t{Number(0, ~0U - 1)} << 32 | Number(0, ~0U - 1);
    if (Chance(10)) context.traffic_type = TrafficType::kShadow;
    if (Chance(15)) context.override_model = "model" + std::to_string(Number(0, 4));
    // Texts first: the views must not move.
    const bool overrides = Chance(10);
    std::vector<std::pair<std::string, std::string>> remote;
    std::vector<std::pair<std::string, std::string>> chosen;
    for (const v1::PublishedRuleSet& published : proto.rule_sets()) {
      for (const v1::Experiment& experiment : published.rule_set().experiments()) {
        if (experiment.has_remote() && Chance(60)) remote.emplace_back(experiment.id(), std::to_string(Number(1, 7)));
        if (overrides && Chance(30)) chosen.emplace_back(experiment.id(), std::to_string(Number(1, 7)));
      }
    }
    for (const auto& list : {remote, chosen}) {
      for (const auto& [experiment, cell] : list) {
        context.texts.push_back(experiment);
        context.texts.push_back(cell);
      }
    }
    for (size_t i = 0; i < remote.size() + chosen.size(); ++i) {
      auto& into = i < remote.size() ? context.remote_cells : context.override_cells;
      into.push_back({context.texts[2 * i], context.texts[2 * i + 1]});
    }
    return context;
  }

  // Attributes refer to the context's own texts, so they are set where it has come to stay.
  static void SetAttributes(RandomContext& context) {
    context.attributes.clear();
    if (!context.account.empty()) context.attributes.push_back({"account", context.account});
    if (!context.plan.empty()) context.attributes.push_back({"plan", context.plan});
    for (size_t i = 0; i < context.remote_cells.size() + context.override_cells.size(); ++i) {
      const size_t remote = context.remote_cells.size();
      auto& cell = i < remote ? context.remote_cells[i] : context.override_cells[i - remote];
      cell = {context.texts[2 * i], context.texts[2 * i + 1]};
    }
  }

  v1::Condition Condition(int depth = 3) {
    v1::Condition condition;
    switch (depth == 0 ? Number(3, 9) : Number(0, 9)) {
      case 0:
        for (uint32_t i = Number(0, 3); i > 0; --i) *condition.mutable_all()->add_conditions() = Condition(depth - 1);
        condition.mutable_all();
        break;
      case 1:
        for (uint32_t i = Number(0, 3); i > 0; --i) *condition.mutable_any()->add_conditions() = Condition(depth - 1);
        condition.mutable_any();
        break;
      case 2:
        *condition.mutable_not_() = Condition(depth - 1);
        break;
      case 3:
        condition.mutable_field()->set_field("country");
        for (const char* text : {"AT", "BE", "CA", "CH", "DE", "US"}) {
          if (text[0] == 'U' || Chance(60)) condition.mutable_field()->mutable_in()->add_texts(text);
        }
        break;
      case 4:
        condition.mutable_field()->set_field("user");
        condition.mutable_field()->mutable_prefix()->add_texts("user-" + std::to_string(Number(1, 9)));
        condition.mutable_field()->mutable_prefix()->add_texts("user-2");
        break;
      case 5:
        condition.mutable_field()->set_field("app_version");
        condition.mutable_field()->mutable_version()->set_min(Pick({"4.2", "5"}));
        condition.mutable_field()->mutable_version()->set_excludes_min(Chance(50));
        break;
      case 6:
        condition.mutable_field()->set_field("plan");
        condition.mutable_field()->mutable_number()->set_max(Number(0, 5));
        break;
      case 7:
        condition.mutable_field()->set_field("segments");
        condition.mutable_field()->mutable_in()->add_texts("premium");
        break;
      case 8:
        condition.mutable_field()->set_field("device");
        condition.mutable_field()->set_regex(Pick({"^t", "one", "v$"}));
        break;
      default:
        condition.mutable_time()->set_from_unix_ms(Number(1, 1000));
        condition.mutable_time()->set_to_unix_ms(Chance(50) ? Number(1001, 2000) : 0);
    }
    return condition;
  }

 private:
  std::string Pick(const std::vector<const char*>& from) {
    return from[Number(0, static_cast<uint32_t>(from.size()) - 1)];
  }

  void Unit(google::protobuf::RepeatedPtrField<std::string>& unit) {
    if (Chance(50)) return;
    if (Chance(70)) *unit.Add() = "account";
    if (Chance(50) || unit.empty()) *unit.Add() = "tenant";
  }

  void AddPolicies(v1::RuleSet& rules) {
    for (const char* name : {"strict", "loose"}) {
      v1::Policy& policy = *rules.add_policies();
      policy.set_name(name);
      policy.mutable_limits()->set_burst(Number(1, 9));
      for (uint32_t i = Number(0, 2); i > 0; --i) *policy.add_fallback_models() = Model();
      if (Chance(50)) policy.mutable_static_answer()->set_message(name);
    }
    for (v1::Objective& objective : *rules.mutable_objectives()) {
      if (Chance(50)) objective.set_policy(Pick({"strict", "loose"}));
      if (Chance(20)) objective.mutable_static_answer()->set_message("own");
      if (Chance(50)) (*objective.mutable_parameters())["depth"] = "objective";
    }
  }

  void AddLayers(v1::RuleSet& rules) {
    for (const char* id : {"one", "two"}) {
      v1::Layer& layer = *rules.add_layers();
      layer.set_id(id);
      Unit(*layer.mutable_unit());
      if (Chance(30)) layer.set_seed("seed" + std::to_string(Number(0, 3)));
      layer.set_hash_version(Chance(60) ? 0 : Number(1, 2));
    }
  }

  void AddHoldouts(v1::RuleSet& rules) {
    for (uint32_t i = Number(0, 2); i > 0; --i) {
      v1::Holdout& holdout = *rules.add_holdouts();
      holdout.set_id("holdout" + std::to_string(i));
      Unit(*holdout.mutable_unit());
      holdout.set_share_ppm(SharePpm() / 2);
      if (Chance(50)) holdout.add_layers(Pick({"one", "two"}));
      if (Chance(30)) *holdout.mutable_condition() = Condition();
    }
  }

  void AddContextRules(v1::RuleSet& rules) {
    for (uint32_t i = Number(0, 4); i > 0; --i) {
      v1::ContextRule& rule = *rules.add_context_rules();
      rule.set_id("context" + std::to_string(i));
      Target(rules, *rule.mutable_objectives());
      *rule.mutable_condition() = Condition();
      if (Chance(30)) *rule.mutable_model() = Model();
      if (Chance(40)) rule.set_policy(Pick({"strict", "loose"}));
      if (Chance(50) || (!rule.has_model() && rule.policy().empty()))
        (*rule.mutable_parameters())[Pick({"depth", "width"})] = rule.id();
    }
  }

  void AddShadows(v1::RuleSet& rules) {
    for (uint32_t i = Number(0, 2); i > 0; --i) {
      v1::Shadow& shadow = *rules.add_shadows();
      shadow.set_id("shadow" + std::to_string(i));
      Target(rules, *shadow.mutable_objectives());
      *shadow.mutable_model() = Model();
      shadow.set_share_ppm(SharePpm());
      if (Chance(40)) *shadow.mutable_condition() = Condition();
    }
  }

  void AddOverrides(v1::RuleSet& rules) {
    for (uint32_t i = Number(0, 2); i > 0; --i) {
      v1::Override& rule = *rules.add_overrides();
      rule.set_id("override" + std::to_string(i));
      Target(rules, *rule.mutable_objectives());
      rule.add_tenants("qa");
      if (Chance(50)) rule.add_users("user-1");
      for (uint32_t m = Number(0, 3); m > 0; --m) rule.add_models()->set_name("model" + std::to_string(Number(0, 4)));
    }
  }

  void Vary(const v1::RuleSet& rules, v1::Experiment& experiment) {
    experiment.set_hash_version(Chance(60) ? 0 : Number(1, 2));
    for (v1::Cell& cell : *experiment.mutable_cells()) {
      cell.set_weight(cell.weight_ppm() / 1e6);
      // Its own names, as rules that may meet must have.
      if (Chance(50)) (*cell.mutable_parameters())["p" + experiment.id()] = cell.name();
    }
    if (Chance(40)) {
      for (v1::Cell& cell : *experiment.mutable_cells()) cell.clear_model();
    }
    if (Chance(60)) {
      const v1::Layer& layer = rules.layers(static_cast<int>(Number(0, 1)));
      experiment.set_layer(layer.id());
      *experiment.mutable_unit() = layer.unit();
      // Slices by number, so that no two overlap.
      const uint32_t slice = slice_++ % 8;
      experiment.set_layer_begin_ppm(slice * 125'000);
      experiment.set_layer_end_ppm((slice + 1) * 125'000);
    } else {
      Unit(*experiment.mutable_unit());
    }
    if (Chance(40)) *experiment.mutable_condition() = Condition();
    if (Chance(30)) experiment.set_start_unix_ms(Number(1, 1500));
    if (Chance(30)) experiment.set_end_unix_ms(experiment.start_unix_ms() + Number(1, 1500));
    if (Chance(20)) {
      for (int i = 0; i < 20; ++i)
        (*experiment.mutable_forced_cells())["user-" + std::to_string(Number(0, 300))] = experiment.cells(0).name();
    }
    if (Chance(20)) {
      v1::RemoteAllocation& remote = *experiment.mutable_remote();
      remote.set_platform("platform");
      remote.set_ttl_ms(1000);
      remote.set_deadline_ms(1);
      remote.set_fallback(static_cast<v1::RemoteAllocation::Fallback>(Number(0, 2)));
      remote.set_fallback_cell(experiment.cells(0).name());
    }
  }

  void Vary(v1::PublishedRuleSet& published, v1::TrafficShift& shift) {
    Unit(*shift.mutable_unit());
    if (Chance(40)) *shift.mutable_condition() = Condition();
    if (Chance(40)) {
      shift.mutable_schedule()->set_start_unix_ms(Number(1, 1000));
      for (uint32_t i = Number(1, 4); i > 0; --i) {
        v1::RampStep& step = *shift.mutable_schedule()->add_steps();
        step.set_share_ppm(SharePpm());
        step.set_hold_ms(Number(1, 500));
      }
    }
    if (!Chance(30)) return;
    v1::ShiftSetting& setting = *published.mutable_traffic()->add_shifts();
    setting.set_shift(shift.id());
    if (Chance(50)) {
      setting.set_share_ppm(SharePpm());
    } else {
      setting.set_delay_ms(Number(0, 500));
    }
  }

  uint32_t slice_ = 0;
};

}  // namespace signalbox::decide
