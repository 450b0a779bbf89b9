#include "decide/decide.h"

#include "decide/bucket.h"
#include "decide/objective.h"

namespace signalbox::decide {
namespace {

const Choice* ChooseByExperiment(const CompiledExperiment& experiment, std::string_view user) {
  const bool everybody = experiment.allocation_ppm == kBuckets;
  if (!everybody && Bucket(experiment.allocation_seed, user) >= experiment.allocation_ppm) return nullptr;
  const uint32_t bucket = Bucket(experiment.cell_seed, user);
  for (const CompiledCell& cell : experiment.cells) {
    if (bucket < cell.bucket_end) return &cell.choice;
  }
  return nullptr;  // never: the last cell ends at kBuckets
}

const Choice* ChooseByShift(const CompiledShift& shift, std::string_view user) {
  return shift.applies && Bucket(shift.seed, user) < shift.share_ppm ? &shift.choice : nullptr;
}

const Choice& Choose(const Objective& objective, std::string_view user) {
  if (user.empty()) return objective.default_choice;
  for (const CompiledExperiment& experiment : objective.experiments) {
    if (const Choice* choice = ChooseByExperiment(experiment, user)) return *choice;
  }
  for (const CompiledShift& shift : objective.shifts) {
    if (const Choice* choice = ChooseByShift(shift, user)) return *choice;
  }
  return objective.default_choice;
}

}  // namespace

Decision Decide(const Snapshot& snapshot, const RequestContext& context) {
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return {};
  const Choice& choice = Choose(*objective, context.user);
  return {.answer = choice.answer, .fallbacks = choice.fallbacks};
}

}  // namespace signalbox::decide
