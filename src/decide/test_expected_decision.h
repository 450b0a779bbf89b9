// The decision read straight from the rules, one by one, as docs/decisions/0007-decision-order.md tells it: nothing is
// compiled, worked out in advance or shared with what is tested but the draw of a bucket.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "decide/bucket.h"
#include "decide/context_field.h"
#include "decide/request_context.h"
#include "decide/semantic_version.h"
#include "decide/traffic_share.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

struct ExpectedDecision {
  std::string model;
  std::string reason;
  std::vector<std::string> fallbacks;
  std::string policy;
  uint32_t burst = 0;
  std::string static_answer;
  std::string override_rule;
  std::vector<std::pair<std::string, std::string>> cells;
  std::map<std::string, std::string> parameters;
  // What models get that the cell did not choose: fallbacks and shadows.
  std::map<std::string, std::string> parameters_of_others;
  std::vector<std::string> shadows;

  friend bool operator==(const ExpectedDecision&, const ExpectedDecision&) = default;
  friend void PrintTo(const ExpectedDecision& decision, std::ostream* out) {
    *out << decision.model << " by " << decision.reason << ", policy " << decision.policy << " of burst "
         << decision.burst << ", static " << decision.static_answer << ", override " << decision.override_rule
         << ", fallbacks";
    for (const auto& each : decision.fallbacks) *out << " " << each;
    for (const auto& [experiment, cell] : decision.cells) *out << ", cell " << experiment << "=" << cell;
    for (const auto& [key, value] : decision.parameters) *out << ", " << key << "=" << value;
    for (const auto& [key, value] : decision.parameters_of_others) *out << ", others " << key << "=" << value;
    for (const auto& each : decision.shadows) *out << ", shadow " << each;
  }
};

class RuleReading {
 public:
  RuleReading(const v1::PublishedRuleSet& published, const v1::Objective& objective, const RequestContext& context)
      : published_(published), rules_(published.rule_set()), objective_(objective), context_(context) {}

  ExpectedDecision Decide() {
    ExpectedDecision decision;
    std::map<std::string, std::string> by_context;
    std::map<std::string, std::string> by_experiment;
    std::map<std::string, std::string> by_cells_without_model;
    std::set<std::string> layers;
    bool model_experiment = false;
    bool ended = false;
    const auto choose = [&](const v1::ModelRef& ref, const char* reason) {
      decision.model = Id(ref);
      decision.reason = reason;
    };
    std::set<std::string> taken;
    const auto take = [&](const v1::Experiment& experiment, const v1::Cell& cell) {
      taken.insert(experiment.id());
      decision.cells.emplace_back(experiment.id(), cell.name());
      layers.insert(experiment.layer());
      if (HasModel(experiment)) model_experiment = true;
      if (cell.has_model()) choose(cell.model(), "experiment");
      by_experiment.insert(cell.parameters().begin(), cell.parameters().end());
      if (!cell.has_model()) by_cells_without_model.insert(cell.parameters().begin(), cell.parameters().end());
    };

    const v1::Override* allowing = Allowing();
    if (allowing != nullptr && !context_.override_model.empty()) {
      decision.model = std::string(context_.override_model);
      decision.reason = "override";
      decision.override_rule = allowing->id();
      ended = true;
    }
    if (allowing != nullptr) {
      for (const v1::Experiment* experiment : Experiments()) {
        const v1::Cell* cell = Named(*experiment, context_.override_cells);
        if (cell == nullptr || (HasModel(*experiment) && model_experiment) || (ended && cell->has_model())) continue;
        take(*experiment, *cell);
        decision.override_rule = allowing->id();
      }
    }
    std::string policy;  // of the first context rule that has one
    for (const v1::ContextRule& rule : rules_.context_rules()) {
      if (!Targets(rule) || (rule.has_condition() && !Holds(rule.condition()))) continue;
      if (rule.has_model() && decision.model.empty()) {
        choose(rule.model(), "context_rule");
        ended = true;
      }
      if (policy.empty()) policy = rule.policy();
      for (const auto& [key, value] : rule.parameters()) by_context.emplace(key, value);
    }
    if (!ended) {
      for (const v1::Experiment* experiment : Experiments()) {
        const auto forced = experiment->forced_cells().find(Unit(experiment->unit()));
        if (forced == experiment->forced_cells().end() || taken.contains(experiment->id())) continue;
        const v1::Cell* cell = CellOf(*experiment, forced->second);
        if ((HasModel(*experiment) && model_experiment) || (cell->has_model() && !decision.model.empty())) continue;
        take(*experiment, *cell);
      }
      for (const v1::Experiment* experiment : Experiments()) {
        if (taken.contains(experiment->id())) continue;
        if (layers.contains(experiment->layer()) || (HasModel(*experiment) && model_experiment)) continue;
        if (const v1::Cell* cell = Allocated(*experiment)) take(*experiment, *cell);
      }
    }
    for (const v1::TrafficShift& shift : rules_.traffic_shifts()) {
      if (!decision.model.empty() || !Targets(shift)) continue;
      if (shift.has_from() && Id(shift.from()) != Id(objective_.default_model())) continue;
      if (shift.has_condition() && !Holds(shift.condition())) continue;
      const std::string unit = Unit(shift.unit());
      const uint32_t share = ShareAt(shift, FindSetting(published_.traffic(), shift.id()), context_.now_unix_ms);
      const std::string& seed = shift.seed().empty() ? shift.id() : shift.seed();
      if (!unit.empty() && Bucket(BucketSeed(Purpose::kShift, seed), unit) < share) choose(shift.to(), "traffic_shift");
    }
    if (decision.model.empty()) choose(objective_.default_model(), "default");

    decision.parameters = {objective_.parameters().begin(), objective_.parameters().end()};
    for (const auto& [key, value] : by_context) decision.parameters[key] = value;
    decision.parameters_of_others = decision.parameters;
    for (const auto& [key, value] : by_experiment) decision.parameters[key] = value;
    for (const auto& [key, value] : by_cells_without_model) decision.parameters_of_others[key] = value;
    AddPolicy(policy, decision);
    for (const v1::Shadow& shadow : rules_.shadows()) {
      if (!Targets(shadow) || context_.traffic_type == TrafficType::kShadow) continue;
      if (shadow.has_condition() && !Holds(shadow.condition())) continue;
      std::string bytes;
      for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(context_.random >> (8 * i)));
      if (Bucket(BucketSeed(Purpose::kShadow, shadow.id()), bytes) < shadow.share_ppm())
        decision.shadows.push_back(shadow.id());
    }
    return decision;
  }

 private:
  static std::string Id(const v1::ModelRef& ref) {
    return ref.version().empty() ? ref.name() : ref.name() + "@" + ref.version();
  }

  template <typename Rule>
  bool Targets(const Rule& rule) const {
    return std::find(rule.objectives().begin(), rule.objectives().end(), objective_.name()) != rule.objectives().end();
  }

  static bool HasModel(const v1::Experiment& experiment) {
    return std::any_of(experiment.cells().begin(), experiment.cells().end(),
                       [](const v1::Cell& cell) { return cell.has_model(); });
  }

  static const v1::Cell* CellOf(const v1::Experiment& experiment, std::string_view name) {
    for (const v1::Cell& cell : experiment.cells()) {
      if (cell.name() == name) return &cell;
    }
    return nullptr;
  }

  static const v1::Cell* Named(const v1::Experiment& experiment, std::span<const CellName> cells) {
    for (const CellName& each : cells) {
      if (each.experiment == experiment.id()) return CellOf(experiment, each.cell);
    }
    return nullptr;
  }

  std::vector<const v1::Experiment*> Experiments() const {
    std::vector<const v1::Experiment*> experiments;
    for (const v1::Experiment& experiment : rules_.experiments()) {
      if (Targets(experiment)) experiments.push_back(&experiment);
    }
    std::stable_sort(experiments.begin(), experiments.end(),
                     [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
    return experiments;
  }

  std::string Value(const std::string& field) const { return std::string(ValueOf(context_, ParseField(field), field)); }

  std::string Unit(const google::protobuf::RepeatedPtrField<std::string>& unit) const {
    if (unit.empty()) return std::string(context_.user);
    for (const std::string& field : unit) {
      if (const std::string value = Value(field); !value.empty()) return value;
    }
    return "";
  }

  const v1::Override* Allowing() const {
    if (context_.override_model.empty() && context_.override_cells.empty()) return nullptr;
    for (const v1::Override& rule : rules_.overrides()) {
      if (!Targets(rule)) continue;
      const auto has = [](const auto& texts, std::string_view text) {
        return !text.empty() && std::find(texts.begin(), texts.end(), text) != texts.end();
      };
      if (!has(rule.tenants(), context_.tenant) && !has(rule.users(), context_.user)) continue;
      if (context_.override_model.empty() || Models(rule).contains(std::string(context_.override_model))) return &rule;
    }
    return nullptr;
  }

  std::set<std::string> Models(const v1::Override& rule) const {
    std::set<std::string> models;
    for (const v1::ModelRef& ref : rule.models()) models.insert(Id(ref));
    if (!models.empty()) return models;
    models.insert(Id(objective_.default_model()));
    for (const v1::ModelRef& ref : objective_.fallback_models()) models.insert(Id(ref));
    for (const auto& each : rules_.context_rules()) {
      if (Targets(each) && each.has_model()) models.insert(Id(each.model()));
    }
    for (const v1::Experiment* each : Experiments()) {
      for (const v1::Cell& cell : each->cells()) {
        if (cell.has_model()) models.insert(Id(cell.model()));
      }
    }
    for (const auto& each : rules_.traffic_shifts()) {
      if (Targets(each)) models.insert(Id(each.to()));
    }
    for (const auto& each : rules_.shadows()) {
      if (Targets(each)) models.insert(Id(each.model()));
    }
    return models;
  }

  const v1::Layer& LayerOf(const std::string& id) const {
    return *std::find_if(rules_.layers().begin(), rules_.layers().end(),
                         [&](const v1::Layer& layer) { return layer.id() == id; });
  }

  bool IsHeldOut(const v1::Experiment& experiment) const {
    for (const v1::Holdout& holdout : rules_.holdouts()) {
      const auto& layers = holdout.layers();
      if (!layers.empty() && std::find(layers.begin(), layers.end(), experiment.layer()) == layers.end()) continue;
      if (holdout.has_condition() && !Holds(holdout.condition())) continue;
      const std::string unit = Unit(holdout.unit());
      const std::string& seed = holdout.seed().empty() ? holdout.id() : holdout.seed();
      if (!unit.empty() && Bucket(BucketSeed(Purpose::kHoldout, seed), unit) < holdout.share_ppm()) return true;
    }
    return false;
  }

  const v1::Cell* Allocated(const v1::Experiment& experiment) const {
    const int64_t now = context_.now_unix_ms;
    if (experiment.start_unix_ms() != 0 && now < experiment.start_unix_ms()) return nullptr;
    if (experiment.end_unix_ms() != 0 && (now == 0 || now >= experiment.end_unix_ms())) return nullptr;
    if (experiment.has_condition() && !Holds(experiment.condition())) return nullptr;
    const std::string unit = Unit(experiment.unit());
    if (unit.empty() || IsHeldOut(experiment)) return nullptr;
    if (!experiment.layer().empty()) {
      const v1::Layer& layer = LayerOf(experiment.layer());
      const std::string& seed = layer.seed().empty() ? layer.id() : layer.seed();
      // As GrowthBook says it: n / buckets.
      double at = Bucket(BucketSeed(Purpose::kLayer, seed), unit) / 1e6;
      if (layer.hash_version() == 1) at = growthbook::Bucket1("__" + seed, unit) / 1000.0;
      if (layer.hash_version() == 2) at = growthbook::Bucket2(growthbook::SeedState(seed), unit) / 10000.0;
      if (at < experiment.layer_begin_ppm() / 1e6 || at >= experiment.layer_end_ppm() / 1e6) return nullptr;
    }
    if (!experiment.has_remote()) return ByHash(experiment, unit);
    if (const v1::Cell* cell = Named(experiment, context_.remote_cells)) return cell;
    if (experiment.remote().fallback() == v1::RemoteAllocation::NO_PART) return nullptr;
    if (experiment.remote().fallback() == v1::RemoteAllocation::HASH) return ByHash(experiment, unit);
    return CellOf(experiment, experiment.remote().fallback_cell());
  }

  static const v1::Cell* ByHash(const v1::Experiment& experiment, const std::string& unit) {
    const std::string& seed = experiment.seed().empty() ? experiment.id() : experiment.seed();
    if (experiment.hash_version() == 0) {
      if (Bucket(BucketSeed(Purpose::kAllocation, seed), unit) >= experiment.allocation_ppm()) return nullptr;
      uint32_t left = Bucket(BucketSeed(Purpose::kCell, seed), unit);
      for (const v1::Cell& cell : experiment.cells()) {
        if (left < cell.weight_ppm()) return &cell;
        left -= cell.weight_ppm();
      }
      return nullptr;
    }
    const double at = experiment.hash_version() == 1 ? growthbook::Bucket1(seed, unit) / 1000.0
                                                     : growthbook::Bucket2(growthbook::SeedState(seed), unit) / 10000.0;
    double begin = 0;
    for (const v1::Cell& cell : experiment.cells()) {
      if (at >= begin && at < begin + experiment.allocation_ppm() / 1e6 * cell.weight()) return &cell;
      begin += cell.weight();
    }
    return nullptr;
  }

  bool Holds(const v1::Condition& condition) const {
    switch (condition.test_case()) {
      case v1::Condition::kAll:
        return std::all_of(condition.all().conditions().begin(), condition.all().conditions().end(),
                           [&](const auto& each) { return Holds(each); });
      case v1::Condition::kAny:
        return std::any_of(condition.any().conditions().begin(), condition.any().conditions().end(),
                           [&](const auto& each) { return Holds(each); });
      case v1::Condition::kNot:
        return !Holds(condition.not_());
      case v1::Condition::kField:
        return HoldsFor(condition.field());
      default:
        return context_.now_unix_ms != 0 && context_.now_unix_ms >= condition.time().from_unix_ms() &&
               (condition.time().to_unix_ms() == 0 || context_.now_unix_ms < condition.time().to_unix_ms());
    }
  }

  bool HoldsFor(const v1::FieldTest& test) const {
    const std::string value = Value(test.field());
    if (value.empty()) return false;
    if (test.field() == "segments")
      return (" " + value + " ").find(" " + test.in().texts(0) + " ") != std::string::npos;
    const auto begins = [&](const std::string& text) { return value.starts_with(text); };
    if (test.has_in())
      return std::find(test.in().texts().begin(), test.in().texts().end(), value) != test.in().texts().end();
    if (test.has_prefix()) return std::any_of(test.prefix().texts().begin(), test.prefix().texts().end(), begins);
    if (test.has_regex()) return std::regex_search(value, std::regex(test.regex()));
    if (test.has_number()) return value != "basic" && std::stod(value) <= test.number().max();
    const auto version = ParseSemanticVersion(value);
    const SemanticVersion min = *ParseSemanticVersion(test.version().min());
    return version.has_value() && (test.version().excludes_min() ? *version > min : *version >= min);
  }

  const v1::Policy* FindPolicy(const std::string& name) const {
    for (const v1::Policy& each : rules_.policies()) {
      if (each.name() == name) return &each;
    }
    return nullptr;
  }

  // The narrowest that says something: the context rule's policy, the Objective, its policy.
  void AddPolicy(const std::string& of_context, ExpectedDecision& decision) const {
    decision.policy = of_context.empty() ? objective_.policy() : of_context;
    std::vector<v1::ModelRef> refs;
    const auto say = [&](const auto& rule) {
      if (refs.empty()) refs.assign(rule.fallback_models().begin(), rule.fallback_models().end());
      if (decision.static_answer.empty()) decision.static_answer = rule.static_answer().message();
    };
    const v1::Policy* own = FindPolicy(objective_.policy());
    const v1::Policy* narrower = FindPolicy(of_context);
    if (narrower != nullptr) say(*narrower);
    say(objective_);
    if (own != nullptr) say(*own);
    if (narrower != nullptr) decision.burst = narrower->limits().burst();
    if (decision.burst == 0 && own != nullptr) decision.burst = own->limits().burst();
    for (const v1::ModelRef& ref : refs) {
      const std::string id = Id(ref);
      if (id != decision.model &&
          std::find(decision.fallbacks.begin(), decision.fallbacks.end(), id) == decision.fallbacks.end())
        decision.fallbacks.push_back(id);
    }
  }

  const v1::PublishedRuleSet& published_;
  const v1::RuleSet& rules_;
  const v1::Objective& objective_;
  const RequestContext& context_;
};

}  // namespace signalbox::decide
