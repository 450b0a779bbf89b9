#include "cli/rule_set_text.h"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>

#include "api/rule_set.h"
#include "base/percent.h"

namespace signalbox::cli {
namespace {

template <typename Rule>
bool Targets(const Rule& rule, const std::string& objective) {
  return std::find(rule.objectives().begin(), rule.objectives().end(), objective) != rule.objectives().end();
}

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

std::string ExperimentText(const v1::Experiment& experiment, const v1::Objective& objective) {
  std::string text = fmt::format("  experiment  {}", experiment.id());
  if (experiment.allocation_ppm() != rule_set::kEverybodyPpm)
    text += fmt::format(", {} of users", Percent(experiment.allocation_ppm()));
  text += "\n";
  for (const v1::Cell& cell : experiment.cells()) {
    text += fmt::format("    cell {:<10} {:>9}  {}", cell.name(), Percent(cell.weight_ppm()),
                        rule_set::ModelId(cell.has_model() ? cell.model() : objective.default_model()));
    if (!cell.parameters().empty()) text += fmt::format("  ({})", ParametersText(cell.parameters()));
    text += "\n";
  }
  return text;
}

std::string ShiftText(const v1::TrafficShift& shift) {
  const std::string from = shift.has_from() ? fmt::format("{} ", rule_set::ModelId(shift.from())) : "";
  return fmt::format("  shift       {}: {} of {}traffic to {}\n", shift.id(), Percent(shift.share_ppm()),
                     from.empty() ? "" : from, rule_set::ModelId(shift.to()));
}

std::string ObjectiveText(const v1::Objective& objective, const v1::RuleSet& rules) {
  std::string text = objective.name();
  const v1::SourceLocation& source = objective.source();
  if (!source.file().empty()) text += fmt::format("   {}:{}", source.file(), source.line());
  text += "\n";
  // As they are asked: by priority, then as declared.
  std::vector<const v1::Experiment*> experiments;
  for (const v1::Experiment& experiment : rules.experiments()) {
    if (Targets(experiment, objective.name())) experiments.push_back(&experiment);
  }
  std::stable_sort(experiments.begin(), experiments.end(),
                   [](const auto* a, const auto* b) { return a->priority() < b->priority(); });
  for (const v1::Experiment* experiment : experiments) text += ExperimentText(*experiment, objective);
  for (const v1::TrafficShift& shift : rules.traffic_shifts()) {
    if (Targets(shift, objective.name())) text += ShiftText(shift);
  }
  text += fmt::format("  default     {}\n", rule_set::ModelId(objective.default_model()));
  for (const v1::ModelRef& fallback : objective.fallback_models()) {
    text += fmt::format("  fallback    {}\n", rule_set::ModelId(fallback));
  }
  if (!objective.parameters().empty())
    text += fmt::format("  parameters  {}\n", ParametersText(objective.parameters()));
  return text;
}

// "share 10 % -> 50 %", or nothing where a few words do not say it.
std::string ChangeText(const v1::TrafficShift& before, const v1::TrafficShift& after) {
  if (before.share_ppm() != after.share_ppm())
    return fmt::format(": {} -> {}", Percent(before.share_ppm()), Percent(after.share_ppm()));
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

std::string AddedText(const v1::TrafficShift& shift) {
  return fmt::format(": {} to {}", Percent(shift.share_ppm()), rule_set::ModelId(shift.to()));
}
std::string AddedText(const v1::Objective& objective) {
  return fmt::format(": default {}", rule_set::ModelId(objective.default_model()));
}
std::string AddedText(const v1::Experiment& experiment) {
  return fmt::format(": {}", Plural(experiment.cells_size(), "cell", "cells"));
}

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
  auto find = [](const Rules& rules, const std::string& id) {
    return std::find_if(rules.begin(), rules.end(), [&](const auto& rule) { return IdOf(rule) == id; });
  };
  for (const auto& rule : after) {
    const auto old = find(before, IdOf(rule));
    if (old == before.end()) {
      lines.push_back(fmt::format("+ {} {}{}", kind, IdOf(rule), AddedText(rule)));
    } else if (!Same(*old, rule)) {
      lines.push_back(fmt::format("~ {} {}{}", kind, IdOf(rule), ChangeText(*old, rule)));
    }
  }
  for (const auto& rule : before) {
    if (find(after, IdOf(rule)) == after.end()) lines.push_back(fmt::format("- {} {}", kind, IdOf(rule)));
  }
}

}  // namespace

std::string CountsText(const v1::RuleSet& rules) {
  return fmt::format("{}, {}, {}", Plural(rules.objectives_size(), "Objective", "Objectives"),
                     Plural(rules.experiments_size(), "experiment", "experiments"),
                     Plural(rules.traffic_shifts_size(), "traffic shift", "traffic shifts"));
}

std::string DescribeRules(const v1::RuleSet& rules) {
  std::string text;
  for (const v1::Objective& objective : rules.objectives()) {
    if (!text.empty()) text += "\n";
    text += ObjectiveText(objective, rules);
  }
  return text.empty() ? "no rules\n" : text;
}

std::vector<std::string> DescribeChanges(const v1::RuleSet& before, const v1::RuleSet& after) {
  std::vector<std::string> lines;
  AddChanges("Objective", before.objectives(), after.objectives(), lines);
  AddChanges("experiment", before.experiments(), after.experiments(), lines);
  AddChanges("traffic shift", before.traffic_shifts(), after.traffic_shifts(), lines);
  return lines;
}

}  // namespace signalbox::cli
