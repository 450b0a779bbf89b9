#include "cli/rule_text.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "api/rule_set.h"
#include "base/percent.h"
#include "base/rfc3339.h"
#include "decide/condition_text.h"

namespace signalbox::cli {
namespace {

std::string UnitText(const google::protobuf::RepeatedPtrField<std::string>& unit) {
  return unit.empty() ? "user" : fmt::format("{}", fmt::join(unit, ", else "));
}

template <typename Rule>
std::string WhenText(const Rule& rule) {
  return rule.has_condition() ? fmt::format("    when      {}\n", decide::ConditionText(rule.condition())) : "";
}

std::string RunsText(const v1::Experiment& experiment) {
  std::string text;
  if (experiment.start_unix_ms() != 0) text += " from " + Rfc3339(experiment.start_unix_ms());
  if (experiment.end_unix_ms() != 0) text += " until " + Rfc3339(experiment.end_unix_ms());
  return text.empty() ? "" : fmt::format("    runs     {}\n", text);
}

std::string RemoteText(const v1::Experiment& experiment) {
  const v1::RemoteAllocation& remote = experiment.remote();
  std::string otherwise = "by the hash";
  if (remote.fallback() == v1::RemoteAllocation::NO_PART) otherwise = "no part";
  if (remote.fallback() == v1::RemoteAllocation::CELL) otherwise = fmt::format("cell {}", remote.fallback_cell());
  return fmt::format("    cells by  {}, flag {}, kept for {} s, waited for at most {} ms; else {}\n", remote.platform(),
                     remote.flag().empty() ? experiment.id() : remote.flag(), remote.ttl_ms() / 1000,
                     remote.deadline_ms(), otherwise);
}

std::string DurationText(int64_t milliseconds) {
  const int64_t seconds = milliseconds / 1000;
  if (seconds % 86'400 == 0) return fmt::format("{} d", seconds / 86'400);
  if (seconds % 3600 == 0) return fmt::format("{} h", seconds / 3600);
  if (seconds % 60 == 0) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} s", seconds);
}

std::string JoinedModels(const google::protobuf::RepeatedPtrField<v1::ModelRef>& models) {
  std::vector<std::string> ids;
  for (const v1::ModelRef& model : models) ids.push_back(rule_set::ModelId(model));
  return fmt::format("{}", fmt::join(ids, ", "));
}

std::string_view ModeText(v1::Ensemble::Mode mode) {
  switch (mode) {
    case v1::Ensemble::FIRST:
      return "the first answer of";
    case v1::Ensemble::MEAN:
      return "the mean of";
    case v1::Ensemble::WEIGHTED:
      return "the weighted mean of";
    default:
      return "all answers of";
  }
}

}  // namespace

std::string Plural(int count, std::string_view one, std::string_view many) {
  if (count == 0) return fmt::format("no {}", many);
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string ParametersText(const google::protobuf::Map<std::string, std::string>& parameters) {
  const std::map<std::string, std::string> sorted(parameters.begin(), parameters.end());
  std::string text;
  for (const auto& [key, value] : sorted) text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
  return text;
}

std::string OverrideText(const v1::Override& rule) {
  std::string callers;
  if (!rule.tenants().empty()) callers = fmt::format("tenants {}", fmt::join(rule.tenants(), ", "));
  if (!rule.users().empty())
    callers += fmt::format("{}users {}", callers.empty() ? "" : ", ", fmt::join(rule.users(), ", "));
  return fmt::format("  override    {}: {} may choose {}\n", rule.id(), callers,
                     rule.models().empty() ? "any model of the Objective" : JoinedModels(rule.models()));
}

std::string ContextRuleText(const v1::ContextRule& rule) {
  std::vector<std::string> gives;
  if (rule.has_model()) gives.push_back(rule_set::ModelId(rule.model()));
  if (!rule.policy().empty()) gives.push_back(fmt::format("policy {}", rule.policy()));
  if (!rule.parameters().empty()) gives.push_back(fmt::format("({})", ParametersText(rule.parameters())));
  return fmt::format("  context     {}: {}\n", rule.id(), fmt::join(gives, ", ")) + WhenText(rule);
}

std::string ExperimentText(const v1::Experiment& experiment, const v1::Objective& objective) {
  std::string text = fmt::format("  experiment  {}", experiment.id());
  if (experiment.allocation_ppm() != rule_set::kEverybodyPpm) {
    text +=
        fmt::format(", {} of {}", Percent(experiment.allocation_ppm()), experiment.unit().empty() ? "users" : "units");
  }
  if (!experiment.layer().empty()) {
    text += fmt::format(", layer {} from {} to {}", experiment.layer(), Percent(experiment.layer_begin_ppm()),
                        Percent(experiment.layer_end_ppm()));
  }
  if (experiment.hash_version() != 0) text += fmt::format(", GrowthBook's hash {}", experiment.hash_version());
  text += "\n" + WhenText(experiment) + RunsText(experiment);
  if (!experiment.unit().empty()) text += fmt::format("    unit      {}\n", UnitText(experiment.unit()));
  if (experiment.has_remote()) text += RemoteText(experiment);
  if (!experiment.forced_cells().empty()) {
    text +=
        fmt::format("    testers   {}\n", Plural(static_cast<int>(experiment.forced_cells().size()), "unit", "units"));
  }
  for (const v1::Cell& cell : experiment.cells()) {
    text += fmt::format("    cell {:<10} {:>9}  {}", cell.name(), Percent(cell.weight_ppm()),
                        rule_set::ModelId(cell.has_model() ? cell.model() : objective.default_model()));
    if (!cell.parameters().empty()) text += fmt::format("  ({})", ParametersText(cell.parameters()));
    text += "\n";
  }
  return text;
}

std::string ScheduleText(const v1::RampSchedule& schedule) {
  std::string text = fmt::format("from {}: ", Rfc3339(schedule.start_unix_ms()));
  for (int i = 0; i < schedule.steps_size(); ++i) {
    const v1::RampStep& step = schedule.steps(i);
    const bool is_last = i + 1 == schedule.steps_size();
    text += Percent(step.share_ppm()) + (is_last ? "" : fmt::format(" for {}, ", DurationText(step.hold_ms())));
  }
  return text;
}

std::string ShiftText(const v1::TrafficShift& shift) {
  const std::string from = shift.has_from() ? fmt::format("{} ", rule_set::ModelId(shift.from())) : "";
  const std::string share = shift.has_schedule() ? "a growing share" : Percent(shift.share_ppm());
  std::string text =
      fmt::format("  shift       {}: {} of {}traffic to {}\n", shift.id(), share, from, rule_set::ModelId(shift.to()));
  if (shift.has_schedule()) text += fmt::format("    schedule  {}\n", ScheduleText(shift.schedule()));
  text += WhenText(shift);
  if (!shift.unit().empty()) text += fmt::format("    unit      {}\n", UnitText(shift.unit()));
  return text;
}

std::string ShadowText(const v1::Shadow& shadow) {
  std::string text = fmt::format("  shadow      {}: {} of requests to {}", shadow.id(), Percent(shadow.share_ppm()),
                                 rule_set::ModelId(shadow.model()));
  const v1::Comparison& comparison = shadow.comparison();
  if (comparison.has_exact()) text += ", compared exactly";
  if (comparison.has_numeric()) {
    text += fmt::format(", numbers within {:g} + {:g} of the live one", comparison.numeric().absolute(),
                        comparison.numeric().relative());
  }
  if (comparison.has_rank()) text += fmt::format(", rank correlation at least {:g}", comparison.rank().min());
  return text + "\n" + WhenText(shadow);
}

std::string LayerText(const v1::Layer& layer) {
  const std::string hash = layer.hash_version() == 0 ? "" : ", a GrowthBook namespace";
  return fmt::format("layer {}: by {}{}\n", layer.id(), UnitText(layer.unit()), hash);
}

std::string HoldoutText(const v1::Holdout& holdout) {
  const std::string where = holdout.layers().empty()
                                ? "all experiments"
                                : fmt::format("the experiments of {}", fmt::join(holdout.layers(), ", "));
  return fmt::format("holdout {}: {} by {} take no part in {}\n", holdout.id(), Percent(holdout.share_ppm()),
                     UnitText(holdout.unit()), where) +
         WhenText(holdout);
}

std::string EnsembleText(const v1::Ensemble& ensemble) {
  std::vector<std::string> members;
  for (const v1::EnsembleMember& member : ensemble.members()) {
    members.push_back(rule_set::ModelId(member.model()) +
                      (member.weight() == 0 ? "" : fmt::format(" ({:g})", member.weight())));
  }
  const std::string least = ensemble.min_members() == 0 ? "" : fmt::format("; at least {}", ensemble.min_members());
  return fmt::format("ensemble {}: {} {}{}\n", ensemble.name(), ModeText(ensemble.mode()), fmt::join(members, ", "),
                     least);
}

std::string PolicyText(const v1::Policy& policy) {
  std::vector<std::string> says;
  const v1::Limits& limits = policy.limits();
  if (limits.requests_per_second() != 0) says.push_back(fmt::format("{:g} requests/s", limits.requests_per_second()));
  if (limits.burst() != 0) says.push_back(fmt::format("bursts of {}", limits.burst()));
  if (limits.concurrent_requests() != 0) says.push_back(fmt::format("{} at once", limits.concurrent_requests()));
  if (limits.has_adaptive_concurrency()) says.emplace_back("adaptive concurrency");
  if (limits.payload_bytes() != 0) says.push_back(fmt::format("{} bytes a request", limits.payload_bytes()));
  if (limits.priority() == v1::Limits::LOW) says.emplace_back("low priority");
  if (limits.priority() == v1::Limits::HIGH) says.emplace_back("high priority");
  if (!policy.fallback_models().empty())
    says.push_back(fmt::format("fallback to {}", JoinedModels(policy.fallback_models())));
  if (policy.has_static_answer()) says.emplace_back("a static answer");
  if (policy.has_deadlines()) says.emplace_back("deadlines");
  if (policy.has_retries()) says.emplace_back("retries");
  if (policy.has_hedging()) says.emplace_back("hedging");
  if (policy.has_affinity()) says.emplace_back("affinity");
  if (policy.has_bulkhead()) says.emplace_back("a bulkhead");
  return fmt::format("policy {}: {}\n", policy.name(),
                     says.empty() ? "no limits" : fmt::format("{}", fmt::join(says, ", ")));
}

}  // namespace signalbox::cli
