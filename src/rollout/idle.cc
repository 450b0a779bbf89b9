#include "rollout/idle.h"

#include <algorithm>

namespace signalbox::rollout {
namespace {

bool IsSame(const ObservedModel& a, const ObservedModel& b) { return a.state == b.state && a.reason == b.reason; }

bool IsSame(const ObservedHost& a, const ObservedHost& b) {
  // Saturation is left out: nothing is decided by it.
  return a.id == b.id && a.alive == b.alive && a.instance == b.instance && a.address == b.address &&
         a.shard == b.shard && a.memory_bytes == b.memory_bytes && a.cores == b.cores && a.trouble == b.trouble &&
         std::equal(a.index.begin(), a.index.end(), b.index.begin(), b.index.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first && IsSame(x.second, y.second); });
}

// When one that is connected was last heard of changes all the time, and says nothing.
bool IsSame(const v1::DataPlane& a, const v1::DataPlane& b) {
  return a.node_id() == b.node_id() && a.running_version() == b.running_version() &&
         a.oldest_version_in_use() == b.oldest_version_in_use() && a.connected() == b.connected() &&
         (a.connected() || a.last_seen_unix_ms() == b.last_seen_unix_ms()) &&
         a.refused_version() == b.refused_version() && a.refusal() == b.refusal() &&
         a.acknowledged_version() == b.acknowledged_version() && a.withheld() == b.withheld() &&
         std::equal(a.scopes().begin(), a.scopes().end(), b.scopes().begin(), b.scopes().end());
}

template <typename List>
bool AreSame(const List& a, const List& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return IsSame(x, y); });
}

}  // namespace

bool Idle::IsStill(const Observation& observation) const {
  return store_ != nullptr && store_ == observation.store && observation.steady_ms < wake_at_ms_ &&
         observation.results.empty() && !observation.batch_status.has_value() &&
         observation.host_troubles == host_troubles_ && AreSame(observation.hosts, hosts_) &&
         AreSame(observation.data_planes, data_planes_);
}

Step Idle::StillIdle(const Observation& observation) const {
  Step step;
  step.wake_after = std::chrono::milliseconds(wake_at_ms_ - observation.steady_ms);
  return step;
}

void Idle::Remember(const Observation& observation, const Step& step) {
  store_ = observation.store;
  hosts_ = observation.hosts;
  host_troubles_ = observation.host_troubles;
  data_planes_ = observation.data_planes;
  wake_at_ms_ = observation.steady_ms + step.wake_after.count();
}

}  // namespace signalbox::rollout
