#include "decide/decide.h"

#include "decide/context_asker.h"
#include "decide/walk.h"

namespace signalbox::decide {

Decision Decide(const Snapshot& snapshot, const RequestContext& context) {
  // The one that is returned, on every way: it is made where the caller has it, and never copied.
  Decision decision;
  const Objective* objective = snapshot.FindObjective(context.objective);
  if (objective == nullptr) return decision;
  ContextAsker asker(*objective, context);
  Walk(*objective, asker, decision);
  decision.notes |= asker.notes();
  return decision;
}

}  // namespace signalbox::decide
