// What one step of the controller has in its hands.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rollout/book.h"
#include "rollout/controller.h"
#include "rollout/needs.h"
#include "rollout/placed.h"
#include "rollout/plan.h"
#include "rollout/rule_check.h"
#include "rollout/wake.h"

namespace signalbox::rollout {

struct Work {
  Work(const ControllerOptions& options, const Observation& observation);

  ModelIds NeededIds() const;

  const ControllerOptions& options;
  const Observation& seen;
  const ObservedStore& store;
  const v1::Fleet& fleet;
  const v1::Drains& drains;
  const v1::Placement& placement;
  BookKeeper keeper;
  Wake wake;
  Step step;

  // In the order of work: of the namespaces, in the order in which what they want was published.
  std::vector<Book> books;
  RuleCheck::Running running;
  Placed placed;
  Needs needs;
  Room room;
  std::shared_ptr<const assign::Result> plan;
  assign::Assignment target;                              // where each needed model should be
  std::map<std::string, std::vector<std::string>> waits;  // by model: what its going or coming waits for
};

}  // namespace signalbox::rollout
