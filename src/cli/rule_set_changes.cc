#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <string>
#include <vector>

#include "api/rule_set.h"
#include "base/percent.h"
#include "base/string_map.h"
#include "cli/rule_set_text.h"
#include "cli/rule_text.h"

namespace signalbox::cli {
namespace {

std::string RolloutText(const v1::TrafficShift& shift) {
  return shift.has_schedule() ? "schedule " + ScheduleText(shift.schedule()) : Percent(shift.share_ppm());
}

// "10 % -> 50 %", or nothing where a few words do not say it.
std::string ChangeText(const v1::TrafficShift& before, const v1::TrafficShift& after) {
  const std::string old_rollout = RolloutText(before);
  const std::string new_rollout = RolloutText(after);
  if (old_rollout != new_rollout) return fmt::format(": {} -> {}", old_rollout, new_rollout);
  if (rule_set::ModelId(before.to()) != rule_set::ModelId(after.to()))
    return fmt::format(": to {} -> {}", rule_set::ModelId(before.to()), rule_set::ModelId(after.to()));
  return "";
}

std::string ChangeText(const v1::Objective& before, const v1::Objective& after) {
  if (rule_set::ModelId(before.default_model()) == rule_set::ModelId(after.default_model())) return "";
  return fmt::format(": default {} -> {}", rule_set::ModelId(before.default_model()),
                     rule_set::ModelId(after.default_model()));
}

std::string ChangeText(const v1::Experiment& before, const v1::Experiment& after) {
  if (before.allocation_ppm() == after.allocation_ppm()) return "";
  return fmt::format(": {} -> {} of users", Percent(before.allocation_ppm()), Percent(after.allocation_ppm()));
}

std::string ChangeText(const v1::Holdout& before, const v1::Holdout& after) {
  if (before.share_ppm() == after.share_ppm()) return "";
  return fmt::format(": {} -> {}", Percent(before.share_ppm()), Percent(after.share_ppm()));
}

std::string ChangeText(const v1::Shadow& before, const v1::Shadow& after) {
  if (before.share_ppm() == after.share_ppm()) return "";
  return fmt::format(": {} -> {} of requests", Percent(before.share_ppm()), Percent(after.share_ppm()));
}

// Of the other kinds, that something changed is what a few words can say.
template <typename Rule>
std::string ChangeText(const Rule&, const Rule&) {
  return "";
}

std::string AddedText(const v1::TrafficShift& shift) {
  const std::string share = shift.has_schedule() ? "by a schedule" : Percent(shift.share_ppm());
  return fmt::format(": {} to {}", share, rule_set::ModelId(shift.to()));
}
std::string AddedText(const v1::Objective& objective) {
  return fmt::format(": default {}", rule_set::ModelId(objective.default_model()));
}
std::string AddedText(const v1::Experiment& experiment) {
  return fmt::format(": {}", Plural(experiment.cells_size(), "cell", "cells"));
}

template <typename Rule>
std::string AddedText(const Rule&) {
  return "";
}

const std::string& IdOf(const v1::Ensemble& ensemble) { return ensemble.name(); }
const std::string& IdOf(const v1::Policy& policy) { return policy.name(); }
const std::string& IdOf(const v1::Objective& objective) { return objective.name(); }
template <typename Rule>
const std::string& IdOf(const Rule& rule) {
  return rule.id();
}

template <typename Rule>
bool Same(Rule a, Rule b) {
  a.clear_source();
  b.clear_source();
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

template <typename Rules>
void AddChanges(std::string_view kind, const Rules& before, const Rules& after, std::vector<std::string>& lines) {
  using Rule = typename Rules::value_type;
  StringMap<const Rule*> old_rules;
  StringMap<const Rule*> new_rules;
  for (const Rule& rule : before) old_rules.try_emplace(IdOf(rule), &rule);
  for (const Rule& rule : after) {
    new_rules.try_emplace(IdOf(rule), &rule);
    const auto old = old_rules.find(IdOf(rule));
    if (old == old_rules.end()) {
      lines.push_back(fmt::format("+ {} {}{}", kind, IdOf(rule), AddedText(rule)));
    } else if (!Same(*old->second, rule)) {
      lines.push_back(fmt::format("~ {} {}{}", kind, IdOf(rule), ChangeText(*old->second, rule)));
    }
  }
  for (const Rule& rule : before) {
    if (!new_rules.contains(IdOf(rule))) lines.push_back(fmt::format("- {} {}", kind, IdOf(rule)));
  }
}

}  // namespace

std::vector<std::string> DescribeChanges(const v1::RuleSet& before, const v1::RuleSet& after) {
  std::vector<std::string> lines;
  AddChanges("Objective", before.objectives(), after.objectives(), lines);
  AddChanges("experiment", before.experiments(), after.experiments(), lines);
  AddChanges("traffic shift", before.traffic_shifts(), after.traffic_shifts(), lines);
  AddChanges("context rule", before.context_rules(), after.context_rules(), lines);
  AddChanges("layer", before.layers(), after.layers(), lines);
  AddChanges("holdout", before.holdouts(), after.holdouts(), lines);
  AddChanges("shadow", before.shadows(), after.shadows(), lines);
  AddChanges("ensemble", before.ensembles(), after.ensembles(), lines);
  AddChanges("override", before.overrides(), after.overrides(), lines);
  AddChanges("policy", before.policies(), after.policies(), lines);
  return lines;
}

}  // namespace signalbox::cli
