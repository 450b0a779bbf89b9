// How often hosts have died of the models that rollouts under way try on them, and which models may be tried where so
// that few do.
//
// A model that nobody has validated yet is tried on one host; on the others after it was validated there. One that a
// host has died of is bound to that host, and is tried alone there, so that the blame is right. When it has killed as
// often as anything is tried, its rollout fails. The counts are in the rollouts' records: a leader that takes over goes
// on with them. A death that nobody had written when the leader changed is not counted, so a change of the leader costs
// at most one death more.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "rollout/host_facts.h"
#include "rollout/work.h"

namespace signalbox::rollout {

class HostDeaths {
 public:
  explicit HostDeaths(const ControllerOptions& options) : options_(options) {}

  // Adds what was seen in this step to what the records say, and writes it there. A rollout whose models have killed
  // too often fails; so does one whose host died of it and is not back. `named` is the controller's.
  void Observe(Work& work, const HostFacts& hosts, NamedModelsCache& named);

  // Of one rollout under way, the one with the most. 0: the model is not suspected of anything.
  int Of(const std::string& model) const;
  // Ids of hosts that died of it.
  std::set<std::string> HostsOf(const std::string& model) const;

 private:
  struct Count {
    int64_t rules_version = 0;
    uint32_t attempt = 0;
    std::map<std::pair<std::string, std::string>, int> deaths;  // by model and host
    bool asked = false;
  };

  static void Write(const Count& count, v1::Rollout& rollout);
  std::string Failure(const Count& count, const ModelIds& models, const HostFacts& hosts, Work& work) const;

  const ControllerOptions& options_;
  std::map<std::string, Count> counts_;  // by namespace; of rollouts under way
};

}  // namespace signalbox::rollout
