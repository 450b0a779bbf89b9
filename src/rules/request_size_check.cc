#include "rules/request_size_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "api/rule_set.h"
#include "base/string_map.h"
#include "rules/source_place.h"

namespace signalbox::rules {
namespace {

using rule_set::ConfigOf;
using rule_set::kObjectiveConfigBytesMax;
using rule_set::ModelId;

// What is appended for a rule that adds parameters, and for an experiment its cell.
size_t OverlayBytes(const google::protobuf::Map<std::string, std::string>& parameters, const v1::Experiment* experiment,
                    const v1::Cell* cell) {
  v1::ObjectiveConfig overlay;
  *overlay.mutable_parameters() = parameters;
  if (experiment != nullptr) (*overlay.mutable_cells())[experiment->id()] = cell->name();
  return overlay.ByteSizeLong();
}

class RequestSizeCheck {
 public:
  RequestSizeCheck(const RuleSetDraft& draft, const std::vector<v1::Policy>& policies,
                   std::vector<Diagnostic>& diagnostics)
      : draft_(draft), diagnostics_(diagnostics) {
    for (const v1::Policy& policy : policies) policies_.try_emplace(policy.name(), &policy);
    for (const v1::Ensemble& ensemble : draft.ensembles) ensembles_.try_emplace(ensemble.name(), &ensemble);
  }

  void Run() {
    for (const v1::Objective& objective : draft_.objectives)
      objectives_.try_emplace(objective.name()).first->second.rule = &objective;
    for (const auto& one : draft_.shifts) Add(one.rule, &Rules::shifts);
    for (const auto& one : draft_.experiments) Add(one.rule, &Rules::experiments);
    for (const auto& one : draft_.context_rules) Add(one.rule, &Rules::context_rules);
    for (const auto& one : draft_.shadows) Add(one.rule, &Rules::shadows);
    for (const auto& one : draft_.overrides) Add(one.rule, &Rules::overrides);
    for (const auto& [name, rules] : objectives_) Check(rules);
  }

 private:
  struct Rules {
    const v1::Objective* rule = nullptr;
    std::vector<const v1::TrafficShift*> shifts;
    std::vector<const v1::Experiment*> experiments;
    std::vector<const v1::ContextRule*> context_rules;
    std::vector<const v1::Shadow*> shadows;
    std::vector<const v1::Override*> overrides;
  };

  template <typename Rule>
  void Add(const Rule& rule, std::vector<const Rule*> Rules::*list) {
    for (const std::string& name : rule.objectives()) {
      if (const auto found = objectives_.find(name); found != objectives_.end()) (found->second.*list).push_back(&rule);
    }
  }

  void Check(const Rules& rules) {
    const v1::Objective& objective = *rules.rule;
    size_t largest = 0;
    const auto check = [&](const v1::ModelRef& model, const v1::Experiment* experiment, const v1::Cell* cell,
                           const v1::SourceLocation& source) {
      largest = std::max(largest, CheckModel(objective, model, experiment, cell, source));
    };
    check(objective.default_model(), nullptr, nullptr, objective.source());
    for (const v1::ModelRef& model : objective.fallback_models()) check(model, nullptr, nullptr, objective.source());
    if (const auto policy = policies_.find(objective.policy()); policy != policies_.end()) {
      for (const v1::ModelRef& model : policy->second->fallback_models())
        check(model, nullptr, nullptr, objective.source());
    }
    for (const v1::TrafficShift* shift : rules.shifts) check(shift->to(), nullptr, nullptr, objective.source());
    for (const v1::Shadow* shadow : rules.shadows) check(shadow->model(), nullptr, nullptr, objective.source());
    for (const v1::ContextRule* rule : rules.context_rules) {
      if (rule->has_model()) check(rule->model(), nullptr, nullptr, objective.source());
      const auto policy = policies_.find(rule->policy());
      if (policy == policies_.end()) continue;
      for (const v1::ModelRef& model : policy->second->fallback_models())
        check(model, nullptr, nullptr, objective.source());
    }
    for (const v1::Override* rule : rules.overrides) {
      for (const v1::ModelRef& model : rule->models()) check(model, nullptr, nullptr, objective.source());
    }
    const size_t without_cells = largest;
    size_t with_cells = 0;
    for (const v1::Experiment* experiment : rules.experiments) {
      for (const v1::Cell& cell : experiment->cells()) {
        largest = 0;
        if (cell.has_model()) {
          check(cell.model(), experiment, &cell, experiment->source());
        } else {
          check(objective.default_model(), experiment, &cell, experiment->source());
          for (const v1::TrafficShift* shift : rules.shifts)
            check(shift->to(), experiment, &cell, experiment->source());
        }
        with_cells = std::max(with_cells, largest);
      }
    }
    CheckTogether(rules, std::max(without_cells, with_cells));
    CheckCounts(rules);
  }

  // The bytes of the largest. Each member of an ensemble gets what an answer of its own would get.
  size_t CheckModel(const v1::Objective& objective, const v1::ModelRef& model, const v1::Experiment* experiment,
                    const v1::Cell* cell, const v1::SourceLocation& source) {
    if (model.ensemble().empty()) return CheckSize(objective, model, experiment, cell, source);
    const auto ensemble = ensembles_.find(model.ensemble());
    size_t bytes = 0;
    if (ensemble == ensembles_.end()) return bytes;
    for (const v1::EnsembleMember& member : ensemble->second->members())
      bytes = std::max(bytes, CheckSize(objective, member.model(), experiment, cell, source));
    return bytes;
  }

  size_t CheckSize(const v1::Objective& objective, const v1::ModelRef& model, const v1::Experiment* experiment,
                   const v1::Cell* cell, const v1::SourceLocation& source) {
    const size_t bytes = ConfigOf(objective, model, experiment, cell).ByteSizeLong();
    if (bytes <= kObjectiveConfigBytesMax) return bytes;
    const std::string whose = experiment == nullptr
                                  ? fmt::format("Objective {}", objective.name())
                                  : fmt::format("experiment {}: cell {}", experiment->id(), cell->name());
    Report(
        diagnostics_, source,
        fmt::format("{}: what is sent along with model {} takes {} bytes, expected at most {}; shorten the parameters",
                    whose, ModelId(model), bytes, kObjectiveConfigBytesMax));
    return bytes;
  }

  // Of each layer one experiment applies, and of context rules all may.
  void CheckTogether(const Rules& rules, size_t answer_bytes) {
    std::map<std::string_view, size_t> layers;
    for (const v1::Experiment* experiment : rules.experiments) {
      size_t& bytes = layers[experiment->layer()];
      for (const v1::Cell& cell : experiment->cells())
        bytes = std::max(bytes, OverlayBytes(cell.parameters(), experiment, &cell));
    }
    size_t bytes = answer_bytes;
    for (const auto& [layer, most] : layers) bytes += most;
    size_t context_bytes = 0;
    for (const v1::ContextRule* rule : rules.context_rules)
      context_bytes += OverlayBytes(rule->parameters(), nullptr, nullptr);
    bytes += context_bytes;
    if (bytes <= kObjectiveConfigBytesMax) return;
    Report(
        diagnostics_, rules.rule->source(),
        fmt::format("Objective {}: what is sent along may take {} bytes where all its rules apply together ({} of the "
                    "answer, {} of {} context rules, {} of experiments in {} layers), expected at most {}; shorten the "
                    "parameters",
                    rules.rule->name(), bytes, answer_bytes, context_bytes, rules.context_rules.size(),
                    bytes - answer_bytes - context_bytes, layers.size(), kObjectiveConfigBytesMax));
  }

  template <typename Rule>
  static std::string UnitOf(const Rule& rule) {
    return fmt::format("{}", fmt::join(rule.unit(), ","));
  }

  void CheckCounts(const Rules& rules) {
    std::set<std::string> layers;
    std::set<std::string> units;
    size_t remote = 0;
    for (const v1::Experiment* experiment : rules.experiments) {
      layers.insert(experiment->layer());
      units.insert(UnitOf(*experiment));
      remote += experiment->has_remote() ? 1 : 0;
    }
    for (const v1::TrafficShift* shift : rules.shifts) units.insert(UnitOf(*shift));
    size_t holdouts = 0;
    for (const v1::Holdout& holdout : draft_.holdouts) {
      const auto& named = holdout.layers();
      if (!named.empty() &&
          std::none_of(named.begin(), named.end(), [&](const auto& name) { return layers.contains(name); }))
        continue;
      ++holdouts;
      units.insert(UnitOf(holdout));
    }
    const auto adding =
        static_cast<size_t>(std::count_if(rules.context_rules.begin(), rules.context_rules.end(),
                                          [](const v1::ContextRule* rule) { return !rule->parameters().empty(); }));
    const v1::Objective& objective = *rules.rule;
    const auto limit = [&](size_t count, size_t max, const char* what, const char* advice) {
      if (count <= max) return;
      Report(
          diagnostics_, objective.source(),
          fmt::format("Objective {}: has {} {}, expected at most {}; {}", objective.name(), count, what, max, advice));
    };
    limit(rules.experiments.size(), rule_set::kExperimentsMax, "experiments", "remove those that have ended");
    limit(layers.size(), rule_set::kLayersMax, "layers of experiments", "put some experiments into one layer");
    limit(units.size(), rule_set::kUnitsMax, "different units", "give rules the same unit");
    limit(holdouts, rule_set::kHoldoutsMax, "holdouts", "put some together");
    limit(adding, rule_set::kParameterRulesMax, "context rules with parameters", "put some together");
    limit(rules.overrides.size(), rule_set::kOverridesMax, "overrides", "name several callers in one");
    limit(rules.shadows.size(), rule_set::kShadowsMax, "shadows", "remove some");
    limit(remote, rule_set::kRemoteAllocationsMax, "experiments with remote allocation", "remove some");
  }

  const RuleSetDraft& draft_;
  std::vector<Diagnostic>& diagnostics_;
  StringMap<const v1::Policy*> policies_;
  StringMap<const v1::Ensemble*> ensembles_;
  StringMap<Rules> objectives_;
};

}  // namespace

void CheckRequestSizes(const RuleSetDraft& draft, const std::vector<v1::Policy>& policies,
                       std::vector<Diagnostic>& diagnostics) {
  RequestSizeCheck(draft, policies, diagnostics).Run();
}

}  // namespace signalbox::rules
