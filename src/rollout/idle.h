// Whether a step can be left out: nothing that it looks at has changed, and it is not time yet for anything.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rollout/observation.h"

namespace signalbox::rollout {

class Idle {
 public:
  bool IsStill(const Observation& observation) const;
  Step StillIdle(const Observation& observation) const;

  // `step`: what `observation` has led to.
  void Remember(const Observation& observation, const Step& step);

 private:
  std::shared_ptr<const ObservedStore> store_;
  std::vector<ObservedHost> hosts_;
  std::vector<std::string> host_troubles_;
  std::vector<v1::DataPlane> data_planes_;
  int64_t wake_at_ms_ = 0;  // steady; not before it is there anything to do
};

}  // namespace signalbox::rollout
