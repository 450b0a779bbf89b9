#include "decide/context_asker.h"

#include <algorithm>

namespace signalbox::decide {
namespace {

bool IsNamedIn(const CompiledOverride& rule, const RequestContext& context) {
  if (rule.tenants != nullptr && !context.tenant.empty() && rule.tenants->Contains(context.tenant)) return true;
  return rule.users != nullptr && !context.user.empty() && rule.users->Contains(context.user);
}

// Every cell that is asked for has to be there: a slip of the pen must not pass for a test of the cell.
bool AllExist(const Objective& objective, std::span<const CellName> cells) {
  return std::all_of(cells.begin(), cells.end(), [&](const CellName& cell) {
    return std::any_of(objective.experiments.begin(), objective.experiments.end(), [&](const auto& experiment) {
      return experiment.id == cell.experiment && FindCell(experiment, {&cell, 1}) != kNoCell;
    });
  });
}

}  // namespace

CallersChoice FindOverride(const Objective& objective, const RequestContext& context) {
  CallersChoice choice;
  for (const CompiledOverride& rule : objective.overrides) {
    if (!IsNamedIn(rule, context)) continue;
    if (!context.override_model.empty()) {
      const auto model = rule.models->Find(context.override_model);
      // Another rule may allow it to the same caller.
      if (!model.has_value()) continue;
      choice.model = &rule.choices[*model];
    }
    choice.rule = &rule;
    choice.has_cells = !context.override_cells.empty();
    choice.is_refused = !AllExist(objective, context.override_cells);
    return choice;
  }
  choice.is_refused = true;
  return choice;
}

int32_t FindCell(const CompiledExperiment& experiment, std::span<const CellName> cells) {
  for (const CellName& asked : cells) {
    if (asked.experiment != experiment.id) continue;
    for (size_t i = 0; i < experiment.cells.size(); ++i) {
      if (experiment.cells[i].name == asked.cell) return static_cast<int32_t>(i);
    }
    return kNoCell;
  }
  return kNoCell;
}

}  // namespace signalbox::decide
