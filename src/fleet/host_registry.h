// The server side of api/signalbox/v1/registration.proto: hosts that join a shard by themselves, and stay as long as
// they renew.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "signalbox/v1/registration.grpc.pb.h"

namespace signalbox::fleet {

// Where leases are kept so that all control planes know them: the records `host/ID` of the store. Called from several
// threads, for one id one at a time.
class RegistrationSink {
 public:
  virtual ~RegistrationSink() = default;

  // Who has a lease under this id now, whichever control plane gave it.
  virtual absl::StatusOr<std::optional<v1::HostIdentity>> Find(const std::string& id) = 0;
  // The lease is `host`'s from now on, for `ttl`. ALREADY_EXISTS when another instance got it since Find.
  virtual absl::Status Put(const v1::HostIdentity& host, std::chrono::milliseconds ttl) = 0;
  // It is nobody's. The host is told that it has left when this returns: it may wait until the host is out of the
  // placement.
  virtual absl::Status Remove(const v1::HostIdentity& host) = 0;
};

struct HostRegistryOptions {
  size_t hosts_max = 10'000;
  // A host that does not renew for so long is gone.
  std::chrono::milliseconds lease{15'000};
  // What hosts are told; two renewals may be lost.
  std::chrono::milliseconds renew_within{5'000};
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

// Thread-safe. To be registered with a gRPC server, which it outlives. Calls block while the sink does.
//
// One id, two processes: a new instance at the address of the old one has taken its place, since a port has one owner;
// the old one is refused from then on. At another address it is refused with ALREADY_EXISTS until the lease is over.
class HostRegistry : public v1::HostRegistration::Service {
 public:
  HostRegistry(RegistrationSink& sink, HostRegistryOptions options);

  // What may be joined. nullopt, as at first: this control plane does not manage a fleet, and refuses all.
  void SetShards(std::optional<std::set<std::string>> shards);

  // Those whose lease this control plane has given or renewed, and is not over. Sorted by id.
  std::vector<v1::HostIdentity> hosts() const;

  // As the calls do, without a server.
  absl::StatusOr<v1::HostLease> Join(const v1::HostIdentity& host);
  absl::StatusOr<v1::HostLease> GoodBye(const v1::HostIdentity& host);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Lease {
    v1::HostIdentity host;
    TimePoint until;
    TimePoint written;                  // to the sink
    std::vector<std::string> replaced;  // earlier instances at this address, newest last
  };

  grpc::Status Register(grpc::ServerContext*, const v1::HostIdentity*, v1::HostLease*) override;
  grpc::Status Leave(grpc::ServerContext*, const v1::HostIdentity*, v1::HostLease*) override;

  absl::Status CheckShard(const std::string& shard) const;
  // Whether there is room for one more, or it is there already.
  absl::Status CheckRoom(const std::string& id);
  std::optional<Lease> Known(const std::string& id) const;
  void Keep(Lease lease);
  std::mutex& Turn(const std::string& id);

  RegistrationSink& sink_;
  const HostRegistryOptions options_;

  // One call at a time for each id: a host that leaves is not brought back by a renewal that is slow.
  std::array<std::mutex, 64> turns_;
  mutable std::mutex mutex_;
  std::optional<std::set<std::string>> shards_;  // guarded by mutex_, as is the next
  std::map<std::string, Lease> leases_;
};

}  // namespace signalbox::fleet
