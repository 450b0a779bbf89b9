// Whether a server that knows nothing of signalbox lives, and which life it is: what `signalbox join` registers for it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "inference/open_inference.grpc.pb.h"

namespace signalbox::fleet {

// For one thread at a time.
class LiveHost {
 public:
  // "HOST:PORT" of a server of the Open Inference Protocol.
  explicit LiveHost(std::string address);

  // Asks it (ServerLive), and waits for the answer. The name of its present life: what it states of itself in
  // `sb-host-instance`, else a random name, and another one each time that it answers again after it did not.
  // UNAVAILABLE, with the reason, when it does not answer within `timeout` or says that it does not live.
  absl::StatusOr<std::string> Instance(std::chrono::milliseconds timeout);

 private:
  const std::string address_;
  std::unique_ptr<inference::GRPCInferenceService::Stub> stub_;
  std::string life_;  // empty: it did not answer the last time
};

}  // namespace signalbox::fleet
