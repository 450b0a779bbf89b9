#include "decide/rule_checks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "api/rule_set.h"
#include "base/status.h"
#include "decide/bucket.h"
#include "decide/context_field.h"
#include "decide/decide.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

using rule_set::IsName;
using rule_set::IsObjectiveName;
using rule_set::kFallbacksMax;
using rule_set::kNameBytesMax;
using rule_set::kReservedParameterPrefix;
using rule_set::ModelId;

constexpr size_t kStaticAnswerBytesMax = 64U << 10;
constexpr int kScheduleStepsMax = 100;
constexpr int kMembersMin = 2;
constexpr int kMembersMax = 16;
constexpr int kUnitFieldsMax = 8;
constexpr int64_t kHandlingMsMax = 3'600'000;
constexpr uint32_t kTriesMax = 10;
constexpr double kWeightTolerance = 1e-9;

bool IsAmount(double value) { return std::isfinite(value) && value >= 0; }

}  // namespace

NamedRules::NamedRules(const v1::RuleSet& rules) {
  for (const v1::Objective& rule : rules.objectives()) objectives.emplace(rule.name(), &rule);
  for (const v1::Policy& rule : rules.policies()) policies.emplace(rule.name(), &rule);
  for (const v1::Layer& rule : rules.layers()) layers.emplace(rule.id(), &rule);
  for (const v1::Ensemble& rule : rules.ensembles()) ensembles.emplace(rule.name(), &rule);
}

std::string PlaceOf(const v1::SourceLocation& source, const std::string& namespace_name) {
  if (source.file().empty()) return fmt::format("namespace {}", namespace_name);
  return fmt::format("{}:{}:{}", source.file(), source.line(), source.column());
}

void RuleChecks::Check() {
  Ids policies, ensembles, context_rules, layers, holdouts, experiments, shifts, shadows, overrides;
  for (const v1::Policy& rule : rules_.policies()) CheckPolicy(rule, policies);
  for (const v1::Ensemble& rule : rules_.ensembles()) CheckEnsemble(rule, ensembles);
  for (const v1::Objective& rule : rules_.objectives()) CheckObjective(rule);
  for (const v1::Override& rule : rules_.overrides()) CheckOverride(rule, overrides);
  for (const v1::ContextRule& rule : rules_.context_rules()) CheckContextRule(rule, context_rules);
  for (const v1::Layer& rule : rules_.layers()) CheckLayer(rule, layers);
  for (const v1::Holdout& rule : rules_.holdouts()) CheckHoldout(rule, holdouts);
  for (const v1::Experiment& rule : rules_.experiments()) CheckExperiment(rule, experiments);
  CheckLayersDoNotOverlap();
  for (const v1::TrafficShift& rule : rules_.traffic_shifts()) CheckShift(rule, shifts);
  for (const v1::Shadow& rule : rules_.shadows()) CheckShadow(rule, shadows);
  CheckTrafficSettings();
}

void RuleChecks::CheckPolicy(const v1::Policy& policy, Ids& ids) {
  const std::string place = Place(policy, "policy", policy.name());
  CheckId(policy.name(), place, ids);
  CheckFallbacks(policy, place);
  if (!IsAmount(policy.limits().requests_per_second()))
    Problem("{}: {} requests per second, expected 0 or more", place, policy.limits().requests_per_second());
  CheckHandling(policy, place);
}

void RuleChecks::CheckHandling(const v1::Policy& policy, const std::string& place) {
  const v1::Limits& limits = policy.limits();
  if (limits.has_adaptive_concurrency() && limits.concurrent_requests() != 0)
    Problem("{}: a number of concurrent requests beside an adaptive one, expected one of the two", place);
  const uint32_t adaptive_max = limits.adaptive_concurrency().max();
  if (adaptive_max != 0 && limits.adaptive_concurrency().min() > adaptive_max)
    Problem("{}: adaptive concurrency from {} to {}, expected min <= max", place, limits.adaptive_concurrency().min(),
            adaptive_max);
  for (const int64_t ms :
       {policy.deadlines().total_ms(), policy.deadlines().per_try_ms(), policy.retries().backoff_ms(),
        policy.retries().backoff_max_ms(), policy.hedging().min_delay_ms()}) {
    if (ms < 0 || ms > kHandlingMsMax) Problem("{}: a time of {} ms, expected 0 to {} ms", place, ms, kHandlingMsMax);
  }
  if (policy.retries().tries() > kTriesMax)
    Problem("{}: {} tries, expected at most {}", place, policy.retries().tries(), kTriesMax);
  if (policy.retries().budget_ppm() > kBuckets)
    Problem("{}: a retry budget of {} ppm, expected at most {}", place, policy.retries().budget_ppm(), kBuckets);
  const uint32_t percentile = policy.hedging().percentile_ppm();
  if (policy.has_hedging() && (percentile == 0 || percentile >= kBuckets))
    Problem("{}: hedging after the percentile {} ppm, expected 1 to {}", place, percentile, kBuckets - 1);
  if (!policy.has_affinity()) return;
  CheckUnit(policy.affinity().unit(), place);
  if (policy.affinity().unit().empty()) Problem("{}: affinity without a unit, expected the name of a field", place);
  const uint32_t bound = policy.affinity().load_bound_percent();
  if (bound != 0 && bound <= 100) Problem("{}: a load bound of {} %, expected more than 100", place, bound);
}

void RuleChecks::CheckEnsemble(const v1::Ensemble& ensemble, Ids& ids) {
  const std::string place = Place(ensemble, "ensemble", ensemble.name());
  CheckId(ensemble.name(), place, ids);
  if (ensemble.mode() == v1::Ensemble::MODE_UNSPECIFIED || !v1::Ensemble::Mode_IsValid(ensemble.mode()))
    Problem("{}: has no mode, expected FIRST, MEAN, WEIGHTED or ALL", place);
  const int members = ensemble.members_size();
  if (members < kMembersMin || members > kMembersMax)
    Problem("{}: {} members, expected {} to {}", place, members, kMembersMin, kMembersMax);
  if (ensemble.min_members() > static_cast<uint32_t>(members))
    Problem("{}: {} members have to answer, but it has {}", place, ensemble.min_members(), members);
  double weights = 0;
  Ids models;
  for (const v1::EnsembleMember& member : ensemble.members()) {
    CheckModel(member.model(), Ensembles::kRefused, place + ": member");
    if (!models.insert(ModelId(member.model())).second)
      Problem("{}: has the member {} twice", place, ModelId(member.model()));
    const bool needs_weight = ensemble.mode() == v1::Ensemble::WEIGHTED;
    if (needs_weight && !(std::isfinite(member.weight()) && member.weight() > 0))
      Problem("{}: member {} has the weight {}, expected more than 0", place, ModelId(member.model()), member.weight());
    weights += member.weight();
  }
  if (ensemble.mode() == v1::Ensemble::WEIGHTED && !(std::abs(weights - 1) <= kWeightTolerance))
    Problem("{}: the weights of its members add up to {}, expected 1 (tolerance {})", place, weights, kWeightTolerance);
}

void RuleChecks::CheckObjective(const v1::Objective& objective) {
  const std::string place = Place(objective, "Objective", objective.name());
  if (!IsObjectiveName(objective.name())) {
    Problem("{}: not a name, expected 1 to {} letters, digits and '_' that start with a letter", place, kNameBytesMax);
  }
  if (!objective.has_default_model()) {
    Problem("{}: has no default model, expected one", place);
  } else {
    CheckModel(objective.default_model(), Ensembles::kAllowed, place + ": default model");
  }
  CheckFallbacks(objective, place);
  CheckPolicyName(objective.policy(), place);
  CheckParameters(objective.parameters(), place);
}

void RuleChecks::CheckContextRule(const v1::ContextRule& rule, Ids& ids) {
  const std::string place = Place(rule, "context rule", rule.id());
  CheckId(rule.id(), place, ids);
  CheckTargets(rule, place);
  if (rule.has_condition()) CheckCondition(rule.condition(), place);
  if (rule.has_model()) CheckModel(rule.model(), Ensembles::kAllowed, place + ": model");
  CheckPolicyName(rule.policy(), place);
  CheckParameters(rule.parameters(), place);
  if (!rule.has_model() && rule.policy().empty() && rule.parameters().empty())
    Problem("{}: says nothing, expected a model, a policy or parameters", place);
}

void RuleChecks::CheckShift(const v1::TrafficShift& shift, Ids& ids) {
  const std::string place = Place(shift, "traffic shift", shift.id());
  CheckId(shift.id(), place, ids);
  CheckTargets(shift, place);
  CheckShare(shift.share_ppm(), place);
  CheckModel(shift.to(), Ensembles::kAllowed, place + ": the model that it shifts to");
  if (shift.has_from()) CheckModel(shift.from(), Ensembles::kAllowed, place + ": the model that it shifts from");
  CheckUnit(shift.unit(), place);
  if (shift.has_condition()) CheckCondition(shift.condition(), place);
  if (shift.has_schedule()) CheckSchedule(shift.schedule(), place);
}

void RuleChecks::CheckSchedule(const v1::RampSchedule& schedule, const std::string& place) {
  if (schedule.start_unix_ms() <= 0) Problem("{}: its schedule has no start, expected one", place);
  if (schedule.steps_size() < 1 || schedule.steps_size() > kScheduleStepsMax)
    Problem("{}: {} steps, expected 1 to {}", place, schedule.steps_size(), kScheduleStepsMax);
  for (int i = 0; i < schedule.steps_size(); ++i) {
    const std::string step = fmt::format("{}: step {}", place, i + 1);
    CheckShare(schedule.steps(i).share_ppm(), step);
    const bool is_last = i + 1 == schedule.steps_size();
    if (schedule.steps(i).hold_ms() < (is_last ? 0 : 1))
      Problem("{}: is held for {} ms, expected more than 0", step, schedule.steps(i).hold_ms());
  }
}

void RuleChecks::CheckShadow(const v1::Shadow& shadow, Ids& ids) {
  const std::string place = Place(shadow, "shadow", shadow.id());
  CheckId(shadow.id(), place, ids);
  CheckTargets(shadow, place);
  CheckShare(shadow.share_ppm(), place);
  CheckModel(shadow.model(), Ensembles::kRefused, place + ": model");
  if (shadow.has_condition()) CheckCondition(shadow.condition(), place);
  const v1::Comparison& comparison = shadow.comparison();
  if (!IsAmount(comparison.numeric().absolute()) || !IsAmount(comparison.numeric().relative()))
    Problem("{}: a tolerance is not a number of 0 or more", place);
  if (!(std::abs(comparison.rank().min()) <= 1))
    Problem("{}: a rank correlation of {}, expected -1 to 1", place, comparison.rank().min());
}

void RuleChecks::CheckOverride(const v1::Override& rule, Ids& ids) {
  const std::string place = Place(rule, "override", rule.id());
  CheckId(rule.id(), place, ids);
  CheckTargets(rule, place);
  if (rule.tenants().empty() && rule.users().empty())
    Problem("{}: names no callers, expected a tenant or a user at least", place);
  for (const v1::ModelRef& ref : rule.models()) CheckModel(ref, Ensembles::kAllowed, place + ": model");
}

void RuleChecks::CheckTrafficSettings() {
  for (const v1::ShiftSetting& setting : published_.traffic().shifts()) {
    const std::string place = fmt::format("namespace {}: traffic of {}", rules_.namespace_(), setting.shift());
    if (setting.has_share_ppm()) CheckShare(setting.share_ppm(), place);
    if (setting.has_paused()) CheckShare(setting.paused().share_ppm(), place);
  }
}

void RuleChecks::CheckId(const std::string& id, const std::string& place, Ids& ids) {
  if (id.empty()) return Problem("{}: has no id, expected one", place);
  if (!IsName(id)) Problem("{}: not an id, expected 1 to {} letters, digits, '.', '_' and '-'", place, kNameBytesMax);
  if (!ids.insert(id).second) Problem("{}: declared twice in namespace {}", place, rules_.namespace_());
}

void RuleChecks::CheckModel(const v1::ModelRef& ref, Ensembles ensembles, const std::string& place) {
  if (!ref.ensemble().empty()) {
    if (ensembles == Ensembles::kRefused)
      return Problem("{} {}: is an ensemble, expected a model of its own", place, ModelId(ref));
    if (!ref.name().empty() || !ref.version().empty())
      return Problem("{} {}: names a model and an ensemble, expected one of them", place, ModelId(ref));
    if (!named_.ensembles.contains(ref.ensemble()))
      Problem("{}: ensemble {} is not declared in namespace {}", place, ref.ensemble(), rules_.namespace_());
    return;
  }
  if (IsName(ref.name()) && (ref.version().empty() || IsName(ref.version()))) return;
  Problem("{} \"{}\": not a model, expected name and version of 1 to {} letters, digits, '.', '_', '-'", place,
          ModelId(ref), kNameBytesMax);
}

template <typename Rule>
void RuleChecks::CheckFallbacks(const Rule& rule, const std::string& place) {
  if (rule.fallback_models_size() > kFallbacksMax)
    Problem("{}: {} fallback models, expected at most {}", place, rule.fallback_models_size(), kFallbacksMax);
  for (const v1::ModelRef& ref : rule.fallback_models())
    CheckModel(ref, Ensembles::kRefused, place + ": fallback model");
  if (rule.static_answer().message().size() > kStaticAnswerBytesMax) {
    Problem("{}: a static answer of {} bytes, expected at most {}", place, rule.static_answer().message().size(),
            kStaticAnswerBytesMax);
  }
}

void RuleChecks::CheckPolicyName(const std::string& name, const std::string& place) {
  if (!name.empty() && !named_.policies.contains(name))
    Problem("{}: policy {} is not declared in namespace {}", place, name, rules_.namespace_());
}

void RuleChecks::CheckParameters(const google::protobuf::Map<std::string, std::string>& parameters,
                                 const std::string& place) {
  for (const auto& [key, value] : parameters) {
    if (key.starts_with(kReservedParameterPrefix)) {
      Problem("{}: parameter {}: names that begin with {} belong to signalbox; choose another", place, key,
              kReservedParameterPrefix);
    }
  }
}

void RuleChecks::CheckUnit(const google::protobuf::RepeatedPtrField<std::string>& unit, const std::string& place) {
  if (unit.size() > kUnitFieldsMax)
    Problem("{}: a unit of {} fields, expected at most {}", place, unit.size(), kUnitFieldsMax);
  for (const std::string& field : unit) {
    if (field.empty()) Problem("{}: a field of its unit has no name", place);
    if (ParseField(field) == FieldId::kSegments)
      Problem("{}: its unit is segments, expected a field with one value", place);
  }
}

void RuleChecks::CheckHashVersion(uint32_t version, const std::string& place) {
  if (version > static_cast<uint32_t>(HashVersion::kGrowthBook2))
    Problem("{}: hash version {}, expected 0 (signalbox's own), 1 or 2 (GrowthBook's)", place, version);
}

void RuleChecks::CheckShare(uint32_t share_ppm, const std::string& place) {
  if (share_ppm > kBuckets) Problem("{}: share is {} ppm, expected 0 to {}", place, share_ppm, kBuckets);
}

void RuleChecks::CheckCondition(const v1::Condition& condition, const std::string& place) {
  // Only looked at: it is compiled to stay when its Objective is.
  std::pmr::monotonic_buffer_resource scratch;
  const auto compiled = conditions_.Compile(condition, scratch);
  if (!compiled.ok()) Problem("{}: condition: {}", place, Message(compiled.status()));
}

}  // namespace signalbox::decide
