// One namespace's rules on their way into effect, from received to active, as far as they get in one step.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rollout/book.h"
#include "rollout/data_planes.h"
#include "rollout/needs.h"
#include "rollout/placement_draft.h"
#include "rollout/plan.h"
#include "rollout/reason.h"
#include "rollout/rule_check.h"

namespace signalbox::rollout {

// What a step has for all namespaces alike.
struct RolloutStep {
  const ControllerOptions& options;
  const Observation& observation;
  const BookKeeper& keeper;
  const HostFacts& hosts;
  DataPlanes& data_planes;
  std::vector<std::string>& log;
  NamedModelsCache& named;
  WrittenTimes& times;
  Wake& wake;
  PlacementDraft& draft;
  const std::string* only = nullptr;  // not null: no other namespace may activate anything now
  size_t publications_left = 0;       // of the batch
  size_t bytes_left = 0;
};

class Release {
 public:
  Release(Book& book, RolloutStep& step) : book_(book), step_(step), rollout_(book.current()) {}

  // To be called of a rollout that has shards for all its models. `shards`: of each model that it needs.
  // `check`: whether its rules go with those of the others that run; asked only when something is to be activated.
  void Advance(const Additions& shards, std::function<absl::Status()> check);
  // Takes the scopes back in which something runs that nobody is rolling out any more.
  void ClearScopes();

 private:
  bool Validate(const Additions& shards);
  std::string Failure(const Additions& additions) const;
  void Widen();
  bool ActivateIn(const std::string& scope);
  void ActivateEverywhere();
  void Retain(v1::ActiveRules& active) const;
  bool IsSound();
  bool HasRoom(const v1::ActiveRules& active);
  v1::ActiveRules Rules(const std::string& scope) const;
  bool SkipsSteps() const;
  void Wait(const std::string& reason) { rollout_.set_reason(Reason(reason)); }

  Book& book_;
  RolloutStep& step_;
  v1::Rollout& rollout_;
  Additions additions_;
  std::function<absl::Status()> check_;
};

}  // namespace signalbox::rollout
