// Whether rules can run together with what runs of all other namespaces.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rollout/observation.h"

namespace signalbox::rollout {

class RuleCheck {
 public:
  // OK, or INVALID_ARGUMENT with everything that is wrong. `running`: by namespace and scope, as
  // ObservedNamespace::active.
  using Running = std::map<std::string, std::map<std::string, Topic<v1::ActiveRules>>>;
  absl::Status Check(const std::string& namespace_name, const Topic<v1::RuleSet>& rules, const Running& running,
                     const v1::Placement* placement);

  void Sweep();

 private:
  struct Entry {
    absl::Status status;
    bool asked = false;
  };
  std::map<std::string, Entry> known_;  // by the versions that went in
};

}  // namespace signalbox::rollout
