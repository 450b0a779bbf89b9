// What must hold in every run, checked against what is true and not against what anybody believes (design: I1 to I5 in
// docs/decisions/0010-managed-fleet.md).
//
// I1  A route (a model on a host) is in a snapshot only if the model was validated there, in the life that the host had
//     when the snapshot was made, up to the time that it takes to notice a loss. No model is unloaded by a command
//     while a data plane that is not forgotten may still use it: by what it runs, by requests in flight, by what it
//     would start from, or by the newest snapshot. What a host loses by itself is nobody's fault.
// I2  What was published and acknowledged stays; what runs goes back only where somebody said so; a data plane never
//     goes back while it lives; the writes of two leaders never mix.
// I3  Nothing that happens to one namespace delays another one.
// I4  Going back to a version that is retained needs no load, because none of its models was unloaded.
// I5  Without a control plane a data plane decides as before, also after a restart.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/composition.h"
#include "rollout/observation.h"
#include "signalbox/v1/rollout.pb.h"
#include "tests/simulation/data_plane.h"

namespace signalbox::simulation {

class World;
class SimulatedHost;
class ControlPlane;

struct Violation {
  std::string invariant;  // "I1" to "I5"; "progress" of what must come right in the end; "world" for a mistake in here
  std::string what;
};

class Truth {
 public:
  explicit Truth(World& world);

  const std::optional<Violation>& violation() const { return violation_; }
  void Expect(bool holds, std::string_view invariant, std::string_view what) {
    if (!holds) Violate(invariant, std::string(what));
  }

  // What parts are about to do, or have done.
  void BeforeUnload(const SimulatedHost& host, const std::string& model);
  void BeforeCommand(const ControlPlane& control, const rollout::HostCommand& command);
  void OnSent(const decide::Snapshot& snapshot);
  void BeforeTake(const DataPlane& data_plane, const RunningSnapshot& next);
  // `kept`: what lay on its disk as far as the world knows.
  void AfterRestart(const DataPlane& data_plane, const RunningSnapshot* kept);
  void BeforeRequest(const DataPlane& data_plane, const RunningSnapshot& running);
  void OnRoute(const DataPlane& data_plane, const RunningSnapshot& running, const Route& route);
  void BeforeBatch();
  void AfterBatch(const ControlPlane& control, const store::Batch& batch, int64_t observed_placement);
  // Somebody published and was told that it is done.
  void OnPublished(const store::VersionInfo& info);
  void OnLead();
  void OnClockJump() { clocks_jumped_ = true; }
  // Something happened that makes loads necessary.
  void OnTrouble();
  void OnOrphaned();

  // All has healed long ago.
  void AtEnd();

 private:
  struct ExpectedRollback {
    int64_t version = 0;
    int64_t since_ms = 0;
    std::set<std::string> models;
  };

  void Violate(std::string_view invariant, std::string what);
  void CheckRoute(const DataPlane& data_plane, int64_t version, const Route& route, std::string_view when);
  void CheckNewRoutes();
  void CheckActive(const std::string& topic, const v1::ActiveRules& before, const v1::ActiveRules& now);
  v1::ActiveRules ActiveIn(const std::string& topic) const;
  bool MayBeForgotten(const DataPlane& data_plane) const;
  bool CanRun(const std::set<std::string>& models) const;
  std::set<std::string> RetainedModels() const;
  void ExpectPrompt(const std::string& name_space, int64_t version, int64_t within_ms, std::string_view invariant);
  void CheckNamespaceAtEnd(const std::string& name_space);
  void CheckHostsAtEnd();

  World& world_;
  std::optional<Violation> violation_;
  control::Composition composition_;
  std::map<std::vector<std::string>, std::set<Route>> routes_;  // of the newest snapshots, by scopes
  std::map<std::string, v1::ActiveRules> active_;               // by topic
  int64_t placement_version_ = 0;
  std::map<std::string, uint64_t> decisions_;                 // by hash of the snapshot
  std::map<std::pair<std::string, Route>, int64_t> excused_;  // data plane and route: snapshots before this version
  std::map<std::pair<std::string, int64_t>, std::string> published_;
  std::map<std::string, int64_t> published_ms_;        // the newest rules, by namespace
  std::map<std::string, ExpectedRollback> rollbacks_;  // by namespace
  int64_t leads_since_ms_ = 0;                         // the newest leader
  bool clocks_jumped_ = false;
  bool troubled_ = false;
  int64_t orphaned_ms_ = -1;
  std::map<std::string, uint64_t> orphaned_decisions_;  // by data plane
};

// Ids of all models that the rules name.
std::set<std::string> ModelsOf(const v1::RuleSet& rules);

}  // namespace signalbox::simulation
