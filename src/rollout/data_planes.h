// How far the data planes are: which snapshots are still in use anywhere.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rollout/controller.h"
#include "rollout/wake.h"

namespace signalbox::rollout {

class DataPlanes {
 public:
  explicit DataPlanes(const ControllerOptions& options) : options_(options) {}

  // `log` takes who is not waited for any more.
  void Observe(const Observation& observation, Wake& wake, std::vector<std::string>& log);

  // Empty: no request that was decided by a snapshot older than `sequence` of the store is under way anywhere. Else the
  // data planes that this waits for.
  std::vector<std::string> Behind(int64_t sequence) const;
  bool AllPast(int64_t sequence) const { return oldest_in_use_ >= sequence; }

  struct ScopeProgress {
    size_t acknowledged = 0;             // connected data planes that run exactly what the scope should have
    std::vector<std::string> waits_for;  // data planes that do not run it yet
    std::vector<std::string> given_up;   // they were waited for in vain; each is told of once
    std::string obstacle;                // one refuses it, or cannot be sent it: who and why
    bool obstacle_stands = false;        // for so long that it is to be taken for the last word
  };
  // Of those with the label `scope` that are connected, or were when it was theirs to take, or refused it.
  ScopeProgress InScope(const std::string& scope, int64_t sequence, Wake& wake);

 private:
  struct Seen {
    v1::DataPlane last;
    int64_t behind_since_ms = -1;   // steady; it has made no progress since; below 0: it is not behind
    int64_t untaken_since_ms = -1;  // steady; it is connected and does not take the newest
    bool given_up = false;
    bool told = false;
  };
  const ControllerOptions& options_;
  struct ScopeWait {
    int64_t since_ms = 0;  // steady
    bool asked = true;
    bool told = false;
  };
  std::map<std::string, Seen> seen_;                                  // by node id
  std::map<std::pair<std::string, int64_t>, ScopeWait> scope_waits_;  // by node id and sequence
  int64_t oldest_in_use_ = 0;                                         // of all that are waited for
  int64_t sequence_ = 0;                                              // of the store
};

}  // namespace signalbox::rollout
