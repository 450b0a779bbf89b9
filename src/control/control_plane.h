// The control plane: what is published in the store reaches every subscriber.
//
//   placement file ──► store ──► Composition ──► Distribution ──► subscribers
//
// One process for one store. It holds nothing that is not in the store: killed and started again, it sends the same.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/composition.h"
#include "control/distribution.h"
#include "control/placement_publisher.h"

namespace signalbox::control {

struct ControlOptions {
  std::string store;  // "sqlite:PATH"; made when it is missing
  PlacementPublisherOptions placement;
  DistributionOptions distribution;
};

struct ControlStatus {
  int64_t version = 0;  // of the snapshot that is out: the store's sequence
  std::string hash;
  int64_t created_unix_ms = 0;
  std::vector<HeldBack> held_back;
  absl::Status store;      // why the store cannot be read now; what was read last stays out
  absl::Status placement;  // why the newest content of the placement file is not published
  DistributionStatus distribution;
};

// Thread-safe.
class ControlPlane {
 public:
  // Opens the store, listens, publishes the placement file, puts the first snapshot together. The error says which of
  // these failed and why.
  static absl::StatusOr<std::unique_ptr<ControlPlane>> Start(ControlOptions options);
  // As Stop().
  virtual ~ControlPlane() = default;

  virtual int port() const = 0;
  virtual ControlStatus status() const = 0;

  // Data planes go on with what they have. Takes a second at most.
  virtual void Stop() = 0;
};

}  // namespace signalbox::control
