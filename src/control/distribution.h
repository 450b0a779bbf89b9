// The server side of api/signalbox/v1/distribution.proto: every subscriber gets the newest snapshot, whole, and again
// whenever there is a newer one.
//
// What a subscriber costs is bounded and small: the bytes of a snapshot exist once for all of them; one that has not
// answered the last snapshot is sent no other, and when it has, the newest; one that does not answer for a long time,
// or does not say who it is, loses its stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "decide/snapshot.h"

namespace grpc {
class Service;
}

namespace signalbox::control {

struct DistributionOptions {
  std::string listen;  // "HOST:PORT"; port 0 takes a free one
  size_t subscribers_max = 10'000;
  // From a stream's beginning to the subscriber's first message, in which it says who it is.
  std::chrono::milliseconds first_message_max{5'000};
  // From a snapshot's sending to its ACK or NACK: transfer, compilation and the writing to disk.
  std::chrono::milliseconds answer_max{30'000};
  // Further services on the same port. They must outlive the Distribution.
  std::vector<grpc::Service*> services;
  // A subscriber has come, gone or reported. Called on the Distribution's thread: must return at once, and not call it.
  std::function<void()> on_report;
  // Why nobody is to be served now, because others may have newer; empty: all are. While there is a reason no
  // subscription begins, and those that have begun are ended with it (UNAVAILABLE). As on_report.
  std::function<std::string()> why_not_to_serve;
  // How often it is asked that, and subscribers that do not answer are looked for.
  std::chrono::milliseconds sweep_interval{500};
};

struct ScopedSnapshot {
  std::shared_ptr<const decide::Snapshot> snapshot;
  // Why it is not what its scopes should have; empty: it is. Taking it acknowledges nothing then.
  std::string why_not = {};
};

// What is sent to whom. A subscriber gets the snapshot of those of its scopes that are in use.
struct Outgoing {
  std::shared_ptr<const decide::Snapshot> everywhere;
  std::vector<std::string> scopes_in_use;  // sorted
  // By scopes, sorted; each a part of scopes_in_use. A subscriber whose own are not here waits until they are.
  std::map<std::vector<std::string>, ScopedSnapshot> of_scopes;
};

struct SubscriberInfo {
  std::string node_id;
  std::string peer;  // "ipv4:127.0.0.1:4711"
  int64_t running_version = 0;
  std::string running_hash;
  int64_t oldest_version_in_use = 0;  // 0: it does not tell
  // The version of the last snapshot sent, when it has said that it runs that version with that content and this is
  // what its scopes should have; 0: of none since it is connected.
  int64_t acknowledged_version = 0;
  std::string withheld;             // as ScopedSnapshot::why_not of the last snapshot sent
  std::vector<std::string> scopes;  // sorted
  // The last snapshot that it refused, or instead of which it runs another content; empty reason: none, or it has taken
  // another since.
  int64_t refused_version = 0;
  std::string refusal;
  int64_t connected_unix_ms = 0;
};

struct DistributionStatus {
  std::vector<SubscriberInfo> subscribers;  // in the order in which they came
  uint64_t sent_total = 0;                  // snapshots to subscribers
  uint64_t refusals_total = 0;
  uint64_t too_slow_total = 0;  // streams ended because of answer_max or first_message_max
};

// Thread-safe.
class Distribution {
 public:
  // Listens. INVALID_ARGUMENT or UNAVAILABLE names the address.
  static absl::StatusOr<std::unique_ptr<Distribution>> Start(DistributionOptions options);
  // As Stop().
  virtual ~Distribution() = default;

  // From now on these are the newest. Returns at once; nothing is sent to those who have theirs already.
  virtual void Publish(Outgoing outgoing) = 0;

  virtual DistributionStatus status() const = 0;
  // The sets of scopes, sorted, that subscribers are in; each once, and so fewer than subscribers by far.
  virtual std::set<std::vector<std::string>> scope_sets() const = 0;
  virtual int port() const = 0;

  // Ends every stream (subscribers see UNAVAILABLE and try again) and closes the port. Takes a second at most.
  virtual void Stop() = 0;
};

}  // namespace signalbox::control
