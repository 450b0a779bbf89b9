#include "effect/possible_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace signalbox::effect {
namespace {

std::vector<std::string> NamesOf(const decide::Unit& unit) {
  // Fields that are not attributes know their names by their ids only.
  static constexpr std::string_view kNames[] = {"user",   "country",      "locale",      "device",  "surface",
                                                "tenant", "traffic_type", "app_version", "segments"};
  std::vector<std::string> names;
  for (const decide::Field& field : unit.fields) {
    const bool is_attribute = field.id == decide::FieldId::kAttribute;
    names.emplace_back(is_attribute ? field.name : kNames[static_cast<size_t>(field.id)]);
  }
  return names;
}

v1::FieldTest IsOneOf(const std::string& field, const std::vector<std::string>& values) {
  v1::FieldTest test;
  test.set_field(field);
  for (const std::string& value : values) test.mutable_in()->add_texts(value);
  return test;
}

// The units that the rules force into a cell, by name of the cell. Sorted.
std::map<std::string, std::vector<std::string>> ForcedUnits(const v1::Experiment& experiment) {
  std::map<std::string, std::vector<std::string>> units;
  for (const auto& [unit, cell] : experiment.forced_cells()) units[cell].push_back(unit);
  for (auto& [cell, of_cell] : units) std::sort(of_cell.begin(), of_cell.end());
  return units;
}

void AddConditionOf(const decide::Condition* condition, ContextSpace& space) {
  if (condition != nullptr) space.AddCondition(*condition->proto);
}

}  // namespace

void AddQuestions(const decide::Objective& objective, ContextSpace& space) {
  std::vector<std::vector<std::string>> units;
  for (const decide::Unit& unit : objective.units) units.push_back(NamesOf(unit));
  for (const decide::CompiledContextRule& rule : objective.context_rules) AddConditionOf(rule.condition, space);
  for (const decide::CompiledHoldout& holdout : objective.holdouts) {
    AddConditionOf(holdout.condition, space);
    space.AddUnit(units[holdout.draw.unit]);
  }
  for (const decide::CompiledExperiment& experiment : objective.experiments) {
    AddConditionOf(experiment.condition, space);
    space.AddUnit(units[experiment.unit]);
    if (experiment.remote != nullptr) space.AddRemote(*experiment.rule);
    for (const auto& [cell, forced] : ForcedUnits(*experiment.rule)) {
      for (const std::string& field : units[experiment.unit]) space.AddTest(IsOneOf(field, forced));
    }
  }
  for (const decide::CompiledShift& shift : objective.shifts) {
    AddConditionOf(shift.condition, space);
    space.AddUnit(units[shift.draw.unit]);
  }
  for (const decide::CompiledShadow& shadow : objective.shadows) AddConditionOf(shadow.condition, space);
}

std::string DrawId(const decide::Draw& draw) {
  // GrowthBook's hashes know no purpose.
  const bool is_own = draw.hash == decide::HashVersion::kSignalbox;
  return fmt::format("{} {} {}", static_cast<int>(draw.hash), is_own ? static_cast<int>(draw.purpose) : 0,
                     draw.seed_text());
}

std::set<std::string> DependentDraws(const std::vector<const decide::Objective*>& objectives) {
  std::set<std::string> ids;
  const auto add = [&](const decide::Draw& draw) {
    if (draw.hash == decide::HashVersion::kGrowthBook1) ids.insert(DrawId(draw));
  };
  for (const decide::Objective* objective : objectives) {
    for (const decide::CompiledExperiment& each : objective->experiments) {
      add(each.cell);
      if (each.has_layer_range) add(objective->layers[each.layer].draw);
    }
    for (const decide::CompiledHoldout& each : objective->holdouts) add(each.draw);
    for (const decide::CompiledShift& each : objective->shifts) add(each.draw);
  }
  return ids.size() > 1 ? ids : std::set<std::string>();
}

PossibleWalk::PossibleWalk(const decide::Objective& objective, int64_t now_unix_ms, Exploration& exploration)
    : objective_(objective), exploration_(exploration), condition_(exploration, now_unix_ms) {
  for (const decide::Unit& unit : objective.units) units_.push_back(NamesOf(unit));
  for (const decide::CompiledExperiment& experiment : objective.experiments) {
    std::vector<ForcedTest>& tests = forced_.emplace_back();
    for (const auto& [cell, units] : ForcedUnits(*experiment.rule)) {
      const std::string& name = cell;
      const auto found = std::find_if(experiment.cells.begin(), experiment.cells.end(),
                                      [&](const decide::CompiledCell& each) { return each.name == name; });
      if (found == experiment.cells.end()) continue;
      ForcedTest test;
      test.cell = static_cast<int32_t>(found - experiment.cells.begin());
      for (const std::string& field : units_[experiment.unit]) test.by_unit_field.push_back(IsOneOf(field, units));
      tests.push_back(std::move(test));
    }
  }
}

decide::Decision PossibleWalk::Walk() {
  shadows_.clear();
  hits_.clear();
  competing_.clear();
  return decide::Walk(objective_, *this);
}

bool PossibleWalk::Bucket::In(uint32_t begin, uint32_t end) const {
  if (draw == nullptr) return begin < end;
  const std::optional<size_t> unit_field = walk->UnitField(draw->unit);
  if (!unit_field.has_value()) return false;
  const effect::Draw key = {.id = DrawId(*draw), .unit_field = *unit_field};
  return walk->exploration_.IsIn(key, begin, end, decide::BucketCount(draw->hash),
                                 [&](std::string_view unit) { return decide::Bucket(*draw, unit); });
}

std::optional<size_t> PossibleWalk::UnitField(uint8_t unit) { return exploration_.UnitOf(units_[unit]); }

bool PossibleWalk::Holds(const decide::Condition* condition) {
  return condition == nullptr || condition_.Holds(*condition->proto);
}

int32_t PossibleWalk::ForcedCell(const decide::CompiledExperiment& experiment) {
  const std::optional<size_t> unit_field = UnitField(experiment.unit);
  if (!unit_field.has_value()) return decide::kNoCell;
  const std::vector<std::string>& names = units_[experiment.unit];
  size_t field = 0;
  while (exploration_.FieldName(*unit_field) != names[field]) ++field;
  for (const ForcedTest& forced : forced_[static_cast<size_t>(&experiment - objective_.experiments.data())]) {
    if (exploration_.Holds(forced.by_unit_field[field])) return forced.cell;
  }
  return decide::kNoCell;
}

int32_t PossibleWalk::RemoteCell(const decide::CompiledExperiment& experiment) {
  const std::string_view name = exploration_.RemoteCell(experiment.id);
  const auto found = std::find_if(experiment.cells.begin(), experiment.cells.end(),
                                  [&](const decide::CompiledCell& cell) { return cell.name == name; });
  return found == experiment.cells.end() ? decide::kNoCell : static_cast<int32_t>(found - experiment.cells.begin());
}

void PossibleWalk::On(const decide::CompiledContextRule& rule, decide::Outcome outcome) {
  const bool holds = outcome == decide::Outcome::kTaken || outcome == decide::Outcome::kModelIsNotNeeded;
  // One that holds, but whose model a rule before it has chosen, may still give its policy or parameters.
  const bool gives = outcome == decide::Outcome::kTaken || rule.policy != nullptr || rule.overlay != nullptr;
  if (holds && gives) hits_.push_back(rule.rule);
}

void PossibleWalk::On(const decide::CompiledExperiment& experiment, const decide::ExperimentStep& step) {
  if (step.outcome == decide::Outcome::kOtherModelExperiment)
    competing_.emplace_back(experiment.rule, step.other->rule);
  if (step.outcome != decide::Outcome::kTaken) return;
  hits_.push_back(experiment.rule);
  hits_.push_back(step.cell->rule);
}

void PossibleWalk::On(const decide::CompiledShift& shift, decide::Outcome outcome) {
  if (outcome == decide::Outcome::kTaken) hits_.push_back(shift.rule);
}

void PossibleWalk::OnDefault(decide::Outcome outcome) {
  if (outcome == decide::Outcome::kTaken) hits_.push_back(objective_.rule);
}

void PossibleWalk::On(const decide::CompiledShadow& shadow, decide::Outcome outcome) {
  if (outcome != decide::Outcome::kTaken) return;
  hits_.push_back(shadow.rule);
  shadows_.push_back(&shadow);
}

}  // namespace signalbox::effect
