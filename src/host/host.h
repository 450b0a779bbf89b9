// The reference model host: the Open Inference Protocol, version 2, over gRPC, with its repository extension, and
// grpc.health.v1.
//
// It knows nothing of Objectives: to signalbox it is any Triton-compatible server.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
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
  // What the files of all loaded models may have together; a load beyond it is refused. 0: no limit.
  uint64_t memory_bytes = 0;
  // Stated to who manages the host, in the header `sb-host-instance`. Empty: a random one.
  std::string instance = {};
};

struct LoadResult {
  bool ready = false;                 // something was loaded, or nothing was to be
  std::vector<std::string> failures;  // one sentence each
};

// Thread-safe. The destructor stops without grace.
class Host {
 public:
  // Binds and serves. NOT_FOUND and FAILED_PRECONDITION for the repository, INVALID_ARGUMENT for options that say
  // nothing, UNAVAILABLE when the address cannot be had. A model that fails to load is not an error here: see
  // WaitUntilLoaded, and the host's index.
  static absl::StatusOr<std::unique_ptr<Host>> Start(HostOptions options);
  virtual ~Host() = default;

  // "HOST:PORT" with the port that was bound.
  virtual const std::string& address() const = 0;
  virtual int port() const = 0;
  // Of this life alone: no other Host, here or elsewhere, has the same.
  virtual const std::string& instance() const = 0;

  // What came of HostOptions::load, or nothing when that is not known after `timeout`. As soon as it is known the host
  // says that it is ready; it never does when models were asked for and none could be loaded.
  virtual std::optional<LoadResult> WaitUntilLoaded(std::chrono::milliseconds timeout) = 0;

  // True as soon as no inference request was in flight or came for `quiet`; false when that took longer than `timeout`.
  // For a host that was taken out of the placement: who has not heard of it yet still sends.
  virtual bool WaitUntilQuiet(std::chrono::milliseconds quiet, std::chrono::milliseconds timeout) const = 0;

  // Says it is not ready, refuses new calls (GOAWAY), lets those in flight finish, ends streams between two messages
  // with UNAVAILABLE, and returns when all are done; after `grace` what is left is cancelled. Models that wait to be
  // loaded are not loaded any more. Once.
  virtual void Stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace signalbox::host
