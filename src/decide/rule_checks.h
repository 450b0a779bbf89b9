// What one rule set may say: that whatever it refers to is there, that shares add up, and that nothing is beyond its
// limit. Private to src/decide; part of compiling a snapshot.
#pragma once

#include <memory_resource>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "base/string_map.h"
#include "decide/condition.h"
#include "decide/problems.h"
#include "signalbox/v1/snapshot.pb.h"

namespace signalbox::decide {

// The rules of a namespace that others refer to, by name. The first of each name.
struct NamedRules {
  explicit NamedRules(const v1::RuleSet& rules);

  StringMap<const v1::Objective*> objectives;
  StringMap<const v1::Policy*> policies;
  StringMap<const v1::Layer*> layers;
  StringMap<const v1::Ensemble*> ensembles;
};

// "rules/home.js:14:9", or the namespace where the source is not known.
std::string PlaceOf(const v1::SourceLocation& source, const std::string& namespace_name);

class RuleChecks {
 public:
  RuleChecks(const v1::PublishedRuleSet& published, const NamedRules& named, ConditionCompiler& conditions,
             Problems& problems)
      : rules_(published.rule_set()),
        published_(published),
        named_(named),
        conditions_(conditions),
        problems_(problems) {}

  void Check();

 private:
  using Ids = absl::flat_hash_set<std::string>;
  enum class Ensembles { kAllowed, kRefused };

  template <typename... Arguments>
  void Problem(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    problems_.Add(fmt::format(format, std::forward<Arguments>(arguments)...));
  }
  template <typename Rule>
  std::string Place(const Rule& rule, std::string_view kind, const std::string& id) const {
    return fmt::format("{}: {} {}", PlaceOf(rule.source(), rules_.namespace_()), kind, id);
  }

  void CheckHandling(const v1::Policy& policy, const std::string& place);
  void CheckPolicy(const v1::Policy& policy, Ids& ids);
  void CheckEnsemble(const v1::Ensemble& ensemble, Ids& ids);
  void CheckObjective(const v1::Objective& objective);
  void CheckContextRule(const v1::ContextRule& rule, Ids& ids);
  void CheckShift(const v1::TrafficShift& shift, Ids& ids);
  void CheckSchedule(const v1::RampSchedule& schedule, const std::string& place);
  void CheckShadow(const v1::Shadow& shadow, Ids& ids);
  void CheckOverride(const v1::Override& rule, Ids& ids);
  void CheckTrafficSettings();

  // experiment_checks.cc
  void CheckLayer(const v1::Layer& layer, Ids& ids);
  void CheckHoldout(const v1::Holdout& holdout, Ids& ids);
  void CheckExperiment(const v1::Experiment& experiment, Ids& ids);
  void CheckCells(const v1::Experiment& experiment, const std::string& place);
  void CheckLayerOf(const v1::Experiment& experiment, const std::string& place);
  void CheckRemote(const v1::Experiment& experiment, const std::string& place);
  void CheckLayersDoNotOverlap();

  // What several kinds of rules have.
  void CheckId(const std::string& id, const std::string& place, Ids& ids);
  template <typename Rule>
  void CheckTargets(const Rule& rule, const std::string& place);
  void CheckModel(const v1::ModelRef& ref, Ensembles ensembles, const std::string& place);
  template <typename Rule>
  void CheckFallbacks(const Rule& rule, const std::string& place);
  void CheckPolicyName(const std::string& name, const std::string& place);
  void CheckParameters(const google::protobuf::Map<std::string, std::string>& parameters, const std::string& place);
  void CheckUnit(const google::protobuf::RepeatedPtrField<std::string>& unit, const std::string& place);
  void CheckHashVersion(uint32_t version, const std::string& place);
  void CheckShare(uint32_t share_ppm, const std::string& place);
  void CheckCondition(const v1::Condition& condition, const std::string& place);

  const v1::RuleSet& rules_;
  const v1::PublishedRuleSet& published_;
  const NamedRules& named_;
  ConditionCompiler& conditions_;
  Problems& problems_;
};

template <typename Rule>
void RuleChecks::CheckTargets(const Rule& rule, const std::string& place) {
  constexpr size_t kShownMax = 20;
  if (rule.objectives().empty()) Problem("{}: targets no Objective, expected at least one", place);
  Ids targets;
  for (const std::string& target : rule.objectives()) {
    if (!targets.insert(target).second) Problem("{}: targets Objective {} twice", place, target);
    if (named_.objectives.contains(target)) continue;
    std::vector<std::string_view> declared;
    for (const v1::Objective& objective : rules_.objectives()) {
      if (declared.size() < kShownMax) declared.push_back(objective.name());
    }
    Problem("{}: targets Objective {}, which namespace {} does not declare; it declares {}{}", place, target,
            rules_.namespace_(), fmt::join(declared, ", "),
            declared.size() < static_cast<size_t>(rules_.objectives_size()) ? ", ..." : "");
  }
}

}  // namespace signalbox::decide
