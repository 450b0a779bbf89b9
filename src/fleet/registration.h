// A host's membership in a fleet: registered with a control plane, renewed as long as it lives, given back at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "signalbox/v1/registration.pb.h"

namespace signalbox::fleet {

struct RegistrationOptions {
  std::string control;  // "HOST:PORT", or several separated by commas: tried in turn until one answers
  // Who registers. Asked on the registration's thread before each renewal. An error: not now (the host does not live),
  // and the lease runs out.
  std::function<absl::StatusOr<v1::HostIdentity>()> identity;
  std::chrono::milliseconds call_timeout{2'000};
  // After all control planes have failed; doubled each time, with jitter.
  std::chrono::milliseconds retry_first{100};
  std::chrono::milliseconds retry_max{2'000};
};

struct RegistrationStatus {
  bool registered = false;  // the last renewal succeeded
  std::string control;      // that took it, or was tried last
  std::string trouble;      // why not; empty when it is
  uint64_t renewals = 0;    // that succeeded
};

// Thread-safe.
class Registration {
 public:
  using OnChange = std::function<void(const RegistrationStatus&)>;

  // Returns at once; `on_change` is called on the registration's thread when `registered`, `trouble` or the control
  // plane that took the last renewal change. INVALID_ARGUMENT for addresses that are none. A control plane that cannot
  // be reached, or refuses, is asked again for ever.
  static absl::StatusOr<std::unique_ptr<Registration>> Start(RegistrationOptions options, OnChange on_change);
  // Stops without a word: the lease runs out.
  virtual ~Registration() = default;

  virtual RegistrationStatus status() const = 0;

  // Stops to renew and says good-bye, to one control plane after the other until one has heard it. Once. OK also when
  // it has never asked for a lease. After `timeout` the lease is left to run out: UNAVAILABLE, with the reason.
  virtual absl::Status Leave(std::chrono::milliseconds timeout) = 0;
};

// 32 random hex digits.
std::string RandomInstance();

}  // namespace signalbox::fleet
