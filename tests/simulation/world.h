// Everything that a run consists of. Single-threaded; all parts live as long as the world.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/control_plane.h"
#include "tests/simulation/data_plane.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/random.h"
#include "tests/simulation/schedule.h"
#include "tests/simulation/simulated_host.h"
#include "tests/simulation/simulated_store.h"
#include "tests/simulation/trace.h"
#include "tests/simulation/truth.h"

namespace signalbox::simulation {

inline const std::string kStoreName = "store";
inline const std::string kLeaderKey = "leader";

class World {
 public:
  World(uint64_t seed, bool print);

  // To the end, or to the first violation.
  void Run();

  SimulatedHost* HostAt(const std::string& address);
  // Watches of control planes notice, sooner or later.
  void TellStoreChanged();
  // Streams through a cut are given up by both ends.
  void BreakCutStreams();
  // The sets of scopes that data planes are in.
  const std::vector<std::vector<std::string>>& scope_sets() const { return scope_sets_; }

  Random random;
  Schedule schedule;
  Trace trace;
  Plan plan;
  Network network{random};
  SimulatedStore store{schedule};
  bool store_down = false;
  Truth truth{*this};
  Catalog catalog;
  std::vector<std::unique_ptr<SimulatedHost>> hosts;
  // Which process has the id of a host now.
  std::map<std::string, SimulatedHost*> directory;
  std::vector<std::string> host_troubles;
  std::vector<std::unique_ptr<ControlPlane>> controls;
  std::vector<std::unique_ptr<DataPlane>> data_planes;
  uint64_t streams = 0;

 private:
  void MakeParts();

  std::vector<std::vector<std::string>> scope_sets_;
  int64_t events_ = 0;
};

}  // namespace signalbox::simulation
