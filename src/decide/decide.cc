#include "decide/decide.h"

#include "decide/bucket.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

const CompiledCell* FindCell(const CompiledExperiment& experiment, std::string_view user) {
  const bool everybody = experiment.allocation_ppm == kBuckets;
  if (!everybody && Bucket(experiment.allocation_seed, user) >= experiment.allocation_ppm) return nullptr;
  const uint32_t bucket = Bucket(experiment.cell_seed, user);
  for (const CompiledCell& cell : experiment.cells) {
    if (bucket < cell.bucket_end) return &cell;
  }
  return nullptr;  // never: the last cell ends at kBuckets
}

const CompiledCell* FindCell(const Objective& objective, std::string_view user) {
  for (const CompiledExperiment& experiment : objective.experiments) {
    if (const CompiledCell* cell = FindCell(experiment, user)) return cell;
  }
  return nullptr;
}

bool IsShifted(const CompiledShift& shift, std::string_view user) {
  return shift.applies && Bucket(shift.seed, user) < shift.share_ppm;
}

const Choice& Choose(const Objective& objective, std::string_view user) {
  if (user.empty()) return objective.default_choice;
  const CompiledCell* cell = FindCell(objective, user);
  if (cell != nullptr && cell->with_shift.empty()) return cell->choice;
  for (size_t i = 0; i < objective.shifts.size(); ++i) {
    if (IsShifted(objective.shifts[i], user)) return cell != nullptr ? cell->with_shift[i] : objective.shifts[i].choice;
  }
  return cell != nullptr ? cell->choice : objective.default_choice;
}

}  // namespace

Decision Decide(const Snapshot& snapshot, const RequestContext& context) {
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return {};
  const Choice& choice = Choose(*objective, context.user);
  Decision decision;
  decision.answer = choice.answer;
  decision.fallbacks = choice.fallbacks;
  return decision;
}

}  // namespace signalbox::decide
