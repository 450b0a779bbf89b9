// The models that rules name, and what operators declare of them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "signalbox/v1/fleet.pb.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rollout {

using ModelIds = std::set<std::string>;

// `name@version`, or `name`.
std::string_view NameOfModel(std::string_view id);

// Every model that a rule set names anywhere: defaults, cells, fallbacks, shadows, members of ensembles, overrides.
ModelIds NamedModels(const v1::RuleSet& rules);

// What `fleet` says of the model: by its id, else by its name, else the defaults.
const v1::FleetModel& DeclaredModel(const v1::Fleet& fleet, const std::string& id);

// With the models that these depend on, and so on.
ModelIds WithDependencies(const v1::Fleet& fleet, const ModelIds& models);

// "a@1 depends on b, b depends on a@1"; empty: there is no circle.
std::string DependencyCircle(const v1::Fleet& fleet, const ModelIds& models);

// Keeps what was found as long as it is asked for: rule sets are immutable and large.
class NamedModelsCache {
 public:
  const ModelIds& Of(const std::shared_ptr<const v1::Fleet>& fleet, const std::shared_ptr<const v1::RuleSet>& rules);
  const ModelIds& Of(const std::shared_ptr<const v1::Fleet>& fleet, std::shared_ptr<const void> owner,
                     const v1::RuleSet& rules);
  // Forgets what was not asked for since the last call.
  void Sweep();

 private:
  struct Entry {
    std::shared_ptr<const v1::Fleet> fleet;
    std::shared_ptr<const void> owner;  // so that no other message takes its place in memory
    ModelIds models;
    bool asked = false;
  };
  std::map<const v1::RuleSet*, Entry> entries_;
};

}  // namespace signalbox::rollout
