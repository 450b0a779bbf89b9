// What to do next so that the rules that people published run: the rollouts of all namespaces, and the placement of
// their models. Design: docs/decisions/0010-managed-fleet.md.
//
//   received → checked → assigned → loading → validated → [widening] → active → retired
//        any of these before active → failed | cancelled
//
// Pure and level-triggered: no I/O, no clock, no threads; a step looks at everything and says what is to be done.
// Killed and made again at any moment, it goes on from what it observes. What it keeps are facts about hosts that it
// has seen come true (validated in this life of the host), commands under way, and when to try again.
#pragma once

#include <chrono>
#include <memory>

#include "rollout/observation.h"

namespace signalbox::rollout {

struct ControllerOptions {
  std::chrono::milliseconds retention{std::chrono::minutes(30)};        // of the version before, after an activation
  std::chrono::milliseconds rollout_timeout{std::chrono::minutes(10)};  // from received to validated
  // A data plane that was not heard of for so long does not keep models on their hosts any more.
  std::chrono::milliseconds forget_data_plane_after{std::chrono::minutes(10)};
  // One that is connected and does not take what it is sent for so long: reported, and not waited for.
  std::chrono::milliseconds acknowledge_timeout{std::chrono::minutes(1)};
  // A model on its way from one shard to another: each step's part of the traffic to the new one, held so long.
  std::vector<uint32_t> move_percentages{10, 50};
  std::chrono::milliseconds move_hold{std::chrono::seconds(10)};
  // The longest that an unload may take. One that a leader before has asked for can come true for so long after it was
  // replaced, and one that was not answered for so long after that: nothing is loaded there before.
  std::chrono::milliseconds unload_timeout{std::chrono::seconds(10)};
  int commands_per_host = 1;
  int load_attempts = 3;
  std::chrono::milliseconds retry_first{1000};
  double utilisation_max = 0.8;
};

// Why each model is where it is, as of the last step.
struct PlacementView {
  struct ModelView {
    std::string model;
    std::vector<std::string> wanted_by;  // "home version 7 (active)", "home version 8 (loading)"
    std::vector<std::string> shards;
    std::string summary;
    std::vector<std::string> refusals;  // "SHARD: why not"
    std::vector<std::string> waits;     // "leaves films-2 when proxy-7 has acknowledged sequence 812"
  };
  std::vector<ModelView> models;
};

// For one thread at a time.
class Controller {
 public:
  explicit Controller(ControllerOptions options);
  ~Controller();

  // To be called when anything that is observed has changed, when a command or the batch has come to its end, and when
  // `wake_after` of the last step is over. Calling it more often costs a comparison and changes nothing.
  Step Next(const Observation& observation);

  // Worked out when it is asked for. Valid until the next step.
  const PlacementView& placement() const;

 private:
  class State;
  const ControllerOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace signalbox::rollout
