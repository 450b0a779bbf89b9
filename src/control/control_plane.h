// The control plane: what is published in the store reaches every subscriber.
//
//   placement or fleet file ──► store ──► Composition ──► Distribution ──► subscribers
//                               ▲   │
//                               └─ Leader ◄──► model hosts
//
// It holds nothing that is not in the store: killed and started again, it sends the same. Several may work on one
// store: each serves subscribers, one leads (control/leader.h).
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
#include "control/file_publisher.h"
#include "control/leader.h"

namespace signalbox::control {

struct ControlOptions {
  std::string store;  // as store::OpenStore has it; made when it is missing
  // At most one of the two has a file. Neither: what is in the store already counts.
  FilePublisherOptions placement;
  FilePublisherOptions fleet;
  DistributionOptions distribution;
  // Its node id must be another one for each control plane of a store.
  LeaderOptions leader;
};

struct ControlStatus {
  int64_t version = 0;  // of the snapshot that is out: the store's sequence
  std::string hash;
  int64_t created_unix_ms = 0;
  std::vector<HeldBack> held_back;
  absl::Status store;  // why the store cannot be read now; what was read last stays out
  absl::Status file;   // why the newest content of the placement or fleet file is not published
  LeaderStatus leader;
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
