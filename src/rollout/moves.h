// Models on their way from where they are to where they should be: their traffic goes over in steps.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rollout/placement_draft.h"

namespace signalbox::rollout {

class Moves {
 public:
  explicit Moves(const ControllerOptions& options) : options_(options) {}

  // Where `model`, which is at `now`, is to be in the next placement, so that it comes to `target`. Not everything that
  // is to be added may be usable yet: then it stays.
  PlacedModel Next(const std::string& model, const PlacedModel& now, const std::vector<std::string>& target,
                   const PlacementDraft& draft, Wake& wake);

  // "goes from a to b: 10 % there"
  std::string Describe(const std::string& model, const PlacedModel& now, const std::vector<std::string>& target) const;

  // Forgets what was not asked for since the last call.
  void Sweep();

 private:
  struct Move {
    std::vector<std::string> target;
    std::set<std::string> added;
    size_t step = 0;        // of ControllerOptions::move_percentages
    int64_t since_ms = -1;  // steady; the placement has had this step's weights; below 0: not yet
    bool asked = false;
  };

  std::vector<uint32_t> Weights(const Move& move, const std::vector<std::string>& shards,
                                const PlacementDraft& draft) const;
  PlacedModel Continue(Move& move, const PlacedModel& now, const PlacementDraft& draft, Wake& wake);

  const ControllerOptions& options_;
  std::map<std::string, Move> moves_;  // by model
};

}  // namespace signalbox::rollout
