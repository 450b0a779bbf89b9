#include "decide/decide.h"

#include "decide/context_asker.h"
#include "decide/walk.h"

namespace signalbox::decide {

Decision Decide(const Snapshot& snapshot, const RequestContext& context) {
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return {};
  ContextAsker asker(*objective, context);
  Decision decision = Walk(*objective, asker);
  decision.notes |= asker.notes();
  return decision;
}

}  // namespace signalbox::decide
