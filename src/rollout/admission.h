// Which rollouts get shards for their models. Each is asked for alone, after those that came before it: one for which
// there is no room takes none from others.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rollout/work.h"

namespace signalbox::rollout {

class Admission {
 public:
  explicit Admission(const ControllerOptions& options) : plan_(options) {}

  // Takes rollouts from received to assigned, or to failed; fills in the plan and the target of `work`. `named`,
  // `check` and `times` are the controller's.
  void Admit(Work& work, HostFacts& hosts, NamedModelsCache& named, RuleCheck& check, WrittenTimes& times);

  void Sweep() { plan_.Sweep(); }
  size_t runs() const { return plan_.runs(); }

 private:
  assign::Assignment Current(const Work& work, const Needs& needs) const;
  static bool Check(Work& work, Book& book, const ModelIds& models, RuleCheck& check);
  bool PlaceTogether(Work& work, const std::vector<Book*>& books, HostFacts& hosts, NamedModelsCache& named);
  void Accept(Work& work, Book& book, const ModelIds& models, HostFacts& hosts);
  void Place(Work& work, Book& book, const ModelIds& models, HostFacts& hosts, WrittenTimes& times);

  Plan plan_;
  assign::Assignment target_;  // of the last step
  std::map<std::string, std::pair<int64_t, uint32_t>>
      begun_;  // by namespace: version and attempt that were placed last
};

}  // namespace signalbox::rollout
