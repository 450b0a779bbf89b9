// The leases of hosts that registered, as records of the store: so that every control plane knows every host.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "fleet/host_registry.h"
#include "store/store.h"

namespace signalbox::control {

inline constexpr std::string_view kHostRecords = "host/";

// Thread-safe.
//
// A record outlives its lease by far. Whether a host can serve is found out by asking it; that it has not renewed may
// as well mean that there was no control plane for a while, and then a leader that comes back must not take it for
// gone.
class HostRecords : public fleet::RegistrationSink {
 public:
  // `store` must outlive it.
  HostRecords(store::Store& store, std::chrono::milliseconds keep) : store_(store), keep_(keep) {}

  absl::StatusOr<std::optional<v1::HostIdentity>> Find(const std::string& id) override;
  absl::Status Put(const v1::HostIdentity& host, std::chrono::milliseconds ttl) override;
  absl::Status Remove(const v1::HostIdentity& host) override;

 private:
  store::Store& store_;
  const std::chrono::milliseconds keep_;
};

}  // namespace signalbox::control
