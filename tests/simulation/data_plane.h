// A data plane of a run: the real rules of what may run and the real decision, with a simulated disk, requests that
// last a while, crashes.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decide/snapshot.h"
#include "signalbox/v1/distribution.pb.h"
#include "tests/simulation/stream.h"

namespace signalbox::simulation {

// A model on a host: where a request can go.
using Route = std::pair<std::string, std::string>;  // model id, address

// All that requests decided by `snapshot` can go to.
std::set<Route> RoutesOf(const decide::Snapshot& snapshot);
// Of the decisions of some users for every Objective: equal ones mean equal answers.
uint64_t DecisionsOf(const decide::Snapshot& snapshot);

struct RunningSnapshot {
  std::shared_ptr<const decide::Snapshot> snapshot;
  std::set<Route> routes;
  uint64_t decisions = 0;
};

class DataPlane {
 public:
  DataPlane(World& world, std::string name, std::vector<std::string> scopes);

  void Start();
  void Crash();
  // Connected, and takes nothing that it is sent.
  void set_stuck(bool stuck);
  void set_disk_full(bool full) { disk_full_ = full; }
  void DamageDisk();

  void Receive(const std::shared_ptr<Stream>& stream, const std::shared_ptr<const v1::SnapshotUpdate>& update);
  void OnBroken(const Stream& stream);

  const std::string& name() const { return name_; }
  const std::vector<std::string>& scopes() const { return scopes_; }
  bool up() const { return up_; }
  // What it may send requests by: what runs, what requests in flight were decided by, what a restart would run.
  std::vector<std::shared_ptr<const RunningSnapshot>> InUse() const;
  const std::shared_ptr<const RunningSnapshot>& running() const { return running_; }
  int64_t running_version() const { return running_ == nullptr ? 0 : running_->snapshot->version(); }
  // Since when it has not said anything to a control plane; since when it takes nothing. -1: it does.
  int64_t last_heard_ms() const { return last_heard_ms_; }
  int64_t stuck_since_ms() const { return stuck_since_ms_; }
  // Since when neither what it runs nor the oldest in use has changed.
  int64_t unchanged_since_ms() const { return unchanged_since_ms_; }
  void Heard();
  const std::shared_ptr<Stream>& stream() const { return stream_; }
  size_t requests() const { return requests_; }

 private:
  void Connect();
  absl::Status Follow(const v1::SnapshotUpdate& update);
  void Take(std::shared_ptr<const RunningSnapshot> snapshot);
  void Report(const v1::SnapshotUpdate* refused, const absl::Status& reason);
  int64_t OldestVersionInUse() const;
  void ScheduleRequest();
  void Serve();
  void Finish(std::list<std::shared_ptr<const RunningSnapshot>>::iterator request);
  void After(int64_t ms, std::function<void()> event);

  World& world_;
  const std::string name_;
  const std::vector<std::string> scopes_;
  bool up_ = false;
  int life_ = 0;
  bool disk_full_ = false;
  int64_t stuck_since_ms_ = -1;
  int64_t last_heard_ms_ = 0;
  size_t next_control_ = 0;
  size_t requests_ = 0;
  int64_t reported_oldest_ = 0;
  int64_t unchanged_since_ms_ = 0;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<const v1::SnapshotUpdate> withheld_;  // while stuck
  std::shared_ptr<const RunningSnapshot> running_;
  std::list<std::shared_ptr<const RunningSnapshot>> in_flight_;
  std::optional<std::string> disk_;                 // a serialised SnapshotUpdate
  std::shared_ptr<const RunningSnapshot> on_disk_;  // what that is, as long as it is whole
};

}  // namespace signalbox::simulation
