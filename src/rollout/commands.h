// What to ask of hosts next: a model that should be there and is not is loaded, then tried; one that nobody needs any
// more is unloaded, when no data plane routes to it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assign/assignment.h"
#include "rollout/data_planes.h"
#include "rollout/host_deaths.h"
#include "rollout/host_facts.h"
#include "rollout/needs.h"

namespace signalbox::rollout {

struct CommandStep {
  const ControllerOptions& options;
  const Needs& needs;
  const assign::Assignment& target;  // where each needed model should be
  const Placed& placed;
  const v1::Fleet& fleet;
  const v1::Drains& drains;
  const DataPlanes& data_planes;
  HostFacts& hosts;
  const HostDeaths& deaths;
  Wake& wake;
  // While a batch is being written, what it has put on hosts may be more than what has been read back.
  std::map<std::string, std::vector<std::string>>& waits;  // by model, for people
  bool may_unload = true;
};

std::vector<HostCommand> NextCommands(CommandStep& step);

}  // namespace signalbox::rollout
