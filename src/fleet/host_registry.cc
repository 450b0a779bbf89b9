#include "fleet/host_registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/printable.h"
#include "base/status.h"
#include "fleet/address.h"

namespace signalbox::fleet {
namespace {

constexpr size_t kNameBytesMax = 128;
constexpr size_t kReplacedMax = 8;
constexpr double kCoresMax = 100'000;

// Names stand in keys of the store and in lines of the log.
absl::Status CheckName(const char* what, const std::string& name) {
  const bool is_printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!name.empty() && name.size() <= kNameBytesMax && is_printable) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}: '{}', expected 1 to {} printable ASCII characters without spaces",
                                                what, EscapeControlCharacters(name.substr(0, kNameBytesMax)),
                                                kNameBytesMax));
}

absl::Status CheckIdentity(const v1::HostIdentity& host) {
  RETURN_IF_ERROR(CheckName("host id", host.id()));
  RETURN_IF_ERROR(CheckName("instance", host.instance()));
  RETURN_IF_ERROR(CheckAddress("address", host.address()));
  if (IsAnyInterface(host.address())) {
    return absl::InvalidArgumentError(fmt::format(
        "address: {} means all interfaces of the host itself; expected one at which others reach it", host.address()));
  }
  if (std::isfinite(host.cores()) && host.cores() >= 0 && host.cores() <= kCoresMax) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("cores: {}, expected 0 to {}", host.cores(), kCoresMax));
}

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(Message(status))};
}

}  // namespace

HostRegistry::HostRegistry(RegistrationSink& sink, HostRegistryOptions options)
    : sink_(sink), options_(std::move(options)) {}

void HostRegistry::SetShards(std::optional<std::set<std::string>> shards) {
  std::lock_guard lock(mutex_);
  shards_ = std::move(shards);
}

std::vector<v1::HostIdentity> HostRegistry::hosts() const {
  const TimePoint now = options_.now();
  std::lock_guard lock(mutex_);
  std::vector<v1::HostIdentity> hosts;
  for (const auto& [id, lease] : leases_) {
    if (lease.until > now) hosts.push_back(lease.host);
  }
  return hosts;
}

absl::StatusOr<v1::HostLease> HostRegistry::Join(const v1::HostIdentity& host) {
  RETURN_IF_ERROR(CheckIdentity(host));
  RETURN_IF_ERROR(CheckShard(host.shard()));
  std::lock_guard turn(Turn(host.id()));
  RETURN_IF_ERROR(CheckRoom(host.id()));

  const TimePoint now = options_.now();
  const std::optional<Lease> known = Known(host.id());
  Lease lease{.host = host, .until = now + options_.lease, .written = now, .replaced = {}};
  if (known) {
    lease.replaced = known->replaced;
    if (std::find(lease.replaced.begin(), lease.replaced.end(), host.instance()) != lease.replaced.end()) {
      return absl::AlreadyExistsError(
          fmt::format("host {}: another process at {} has taken the place of this one", host.id(), host.address()));
    }
  }
  ASSIGN_OR_RETURN(const std::optional<v1::HostIdentity> holder, sink_.Find(host.id()));
  if (holder && holder->instance() != host.instance()) {
    if (holder->address() != host.address()) {
      return absl::AlreadyExistsError(
          fmt::format("host {}: another process, at {}, has this id and is alive; give this one an id of its own, or "
                      "stop the other "
                      "and wait until its lease is over ({} ms)",
                      host.id(), holder->address(), options_.lease.count()));
    }
    lease.replaced.push_back(holder->instance());
    if (lease.replaced.size() > kReplacedMax) lease.replaced.erase(lease.replaced.begin());
  }
  // Hosts renew more often than they must; not all of it is worth a write to the disk.
  const bool is_renewal = holder && known && holder->SerializeAsString() == host.SerializeAsString();
  if (is_renewal && now - known->written < options_.renew_within) {
    lease.written = known->written;
  } else {
    RETURN_IF_ERROR(sink_.Put(host, options_.lease));
  }
  Keep(std::move(lease));
  v1::HostLease answer;
  answer.set_renew_within_ms(options_.renew_within.count());
  return answer;
}

absl::StatusOr<v1::HostLease> HostRegistry::GoodBye(const v1::HostIdentity& host) {
  RETURN_IF_ERROR(CheckIdentity(host));
  std::lock_guard turn(Turn(host.id()));
  ASSIGN_OR_RETURN(const std::optional<v1::HostIdentity> holder, sink_.Find(host.id()));
  // One that is not there has left.
  if (!holder || holder->instance() != host.instance()) return v1::HostLease();
  RETURN_IF_ERROR(sink_.Remove(host));
  std::lock_guard lock(mutex_);
  leases_.erase(host.id());
  return v1::HostLease();
}

absl::Status HostRegistry::CheckShard(const std::string& shard) const {
  std::lock_guard lock(mutex_);
  if (!shards_) {
    return absl::FailedPreconditionError(
        "no fleet is managed here: the store has no topic `fleet`; hosts stand in the placement file");
  }
  if (shards_->contains(shard)) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "shard '{}' is not one of the fleet; it has {}", EscapeControlCharacters(shard.substr(0, kNameBytesMax)),
      shards_->empty() ? "none" : fmt::format("{}", fmt::join(*shards_, ", "))));
}

absl::Status HostRegistry::CheckRoom(const std::string& id) {
  const TimePoint now = options_.now();
  std::lock_guard lock(mutex_);
  if (leases_.contains(id) || leases_.size() < options_.hosts_max) return absl::OkStatus();
  std::erase_if(leases_, [now](const auto& lease) { return lease.second.until <= now; });
  if (leases_.size() < options_.hosts_max) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("{} hosts are registered with this control plane, its limit", leases_.size()));
}

std::optional<HostRegistry::Lease> HostRegistry::Known(const std::string& id) const {
  const TimePoint now = options_.now();
  std::lock_guard lock(mutex_);
  const auto found = leases_.find(id);
  if (found == leases_.end() || found->second.until <= now) return std::nullopt;
  return found->second;
}

void HostRegistry::Keep(Lease lease) {
  std::lock_guard lock(mutex_);
  const std::string id = lease.host.id();
  leases_[id] = std::move(lease);
}

std::mutex& HostRegistry::Turn(const std::string& id) { return turns_[std::hash<std::string>()(id) % turns_.size()]; }

grpc::Status HostRegistry::Register(grpc::ServerContext*, const v1::HostIdentity* host, v1::HostLease* lease) {
  absl::StatusOr<v1::HostLease> answer = Join(*host);
  if (!answer.ok()) return ToGrpc(answer.status());
  *lease = *answer;
  return grpc::Status::OK;
}

grpc::Status HostRegistry::Leave(grpc::ServerContext*, const v1::HostIdentity* host, v1::HostLease* lease) {
  absl::StatusOr<v1::HostLease> answer = GoodBye(*host);
  if (!answer.ok()) return ToGrpc(answer.status());
  *lease = *answer;
  return grpc::Status::OK;
}

}  // namespace signalbox::fleet
