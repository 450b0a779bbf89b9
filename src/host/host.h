// The reference model host: the Open Inference Protocol, version 2, over gRPC, with its repository extension, and
// grpc.health.v1.
//
// It knows nothing of Objectives: to signalbox it is any Triton-compatible server.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::host {

struct HostOptions {
  std::string repository;  // folder, see repository.h
  std::string listen;      // "HOST:PORT"; port 0 takes a free one
  // Loaded at the start: {"all"}, {"none"}, or models as "name" (all versions) or "name@version".
  std::vector<std::string> load = {"all"};
};

// Thread-safe. The destructor stops without grace.
class Host {
 public:
  // Binds and serves. NOT_FOUND and FAILED_PRECONDITION for the repository, INVALID_ARGUMENT for options that say
  // nothing, UNAVAILABLE when the address cannot be had. A model that fails to load is not an error here: the host
  // stays up and says why in its index.
  static absl::StatusOr<std::unique_ptr<Host>> Start(HostOptions options);
  virtual ~Host() = default;

  // "HOST:PORT" with the port that was bound.
  virtual const std::string& address() const = 0;
  virtual int port() const = 0;

  // Returns when the models of `HostOptions::load` are loaded or have failed. From then on the host says it is ready.
  // One sentence per failure.
  virtual std::vector<std::string> WaitUntilLoaded() = 0;

  // Says it is not ready, refuses new calls (GOAWAY), lets those in flight finish, ends streams between two messages
  // with UNAVAILABLE, and returns when all are done; after `grace` what is left is cancelled. Once.
  virtual void Stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace signalbox::host
