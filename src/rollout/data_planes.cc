#include "rollout/data_planes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rollout/reason.h"

namespace signalbox::rollout {
namespace {

// 0: nothing is known. Beyond the store: it runs what a store said that has been restored since from an older copy, and
// that says nothing of what it is to get.
int64_t OldestInUse(const v1::DataPlane& data_plane, int64_t store_sequence) {
  return data_plane.oldest_version_in_use() > store_sequence ? 0 : data_plane.oldest_version_in_use();
}

int64_t Acknowledged(const v1::DataPlane& data_plane, int64_t store_sequence) {
  return data_plane.acknowledged_version() > store_sequence ? 0 : data_plane.acknowledged_version();
}

int64_t Running(const v1::DataPlane& data_plane, int64_t store_sequence) {
  return data_plane.running_version() > store_sequence ? 0 : data_plane.running_version();
}

}  // namespace

void DataPlanes::Observe(const Observation& observation, Wake& wake, std::vector<std::string>& log) {
  sequence_ = observation.store->sequence;
  // Whatever is waited for is at most the newest placement.
  const int64_t newest = observation.store->placement.sequence;
  std::erase_if(scope_waits_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [key, wait] : scope_waits_) wait.asked = false;
  oldest_in_use_ = INT64_MAX;
  std::map<std::string, Seen> before;
  before.swap(seen_);
  for (const v1::DataPlane& data_plane : observation.data_planes) {
    Seen seen;
    const auto known = before.find(data_plane.node_id());
    if (known != before.end()) seen = std::move(known->second);
    const bool progress = known == before.end() || seen.last.running_version() != data_plane.running_version() ||
                          seen.last.oldest_version_in_use() != data_plane.oldest_version_in_use() ||
                          seen.last.connected() != data_plane.connected() ||
                          (!data_plane.connected() && seen.last.last_seen_unix_ms() != data_plane.last_seen_unix_ms());
    seen.last = data_plane;
    if (OldestInUse(data_plane, sequence_) >= newest) {
      seen.behind_since_ms = seen.untaken_since_ms = -1;
      seen.given_up = seen.told = false;
    } else {
      if (progress) seen.told = false;
      if (progress || seen.behind_since_ms < 0) seen.behind_since_ms = wake.now_ms();
      // Three limits: it does not take what it is sent; it has taken it, and requests from before go on; it is away.
      const bool takes_nothing = data_plane.connected() && Running(data_plane, sequence_) < newest;
      // A request from before may have been going on for long when there is something new to take.
      if (!takes_nothing) seen.untaken_since_ms = -1;
      if (takes_nothing && (progress || seen.untaken_since_ms < 0)) seen.untaken_since_ms = wake.now_ms();
      const std::chrono::milliseconds limit =
          takes_nothing ? options_.acknowledge_timeout : options_.forget_data_plane_after;
      seen.given_up = wake.Passed((takes_nothing ? seen.untaken_since_ms : seen.behind_since_ms) + limit.count());
      if (seen.given_up && !seen.told) {
        log.push_back(fmt::format(
            "data plane {} is not waited for any more: {} for {} s, and the oldest snapshot it uses is {}, the newest "
            "placement {}",
            data_plane.node_id(),
            takes_nothing            ? "it has not taken what it was sent"
            : data_plane.connected() ? "requests from before have been going on"
                                     : "it has not been heard of",
            limit.count() / 1000, data_plane.oldest_version_in_use(), newest));
        seen.told = true;
      }
    }
    if (!seen.given_up) oldest_in_use_ = std::min(oldest_in_use_, OldestInUse(data_plane, sequence_));
    seen_.insert_or_assign(data_plane.node_id(), std::move(seen));
  }
}

std::vector<std::string> DataPlanes::Behind(int64_t sequence) const {
  std::vector<std::string> behind;
  for (const auto& [node, seen] : seen_) {
    if (!seen.given_up && OldestInUse(seen.last, sequence_) < sequence) behind.push_back(node);
  }
  return behind;
}

DataPlanes::ScopeProgress DataPlanes::InScope(const std::string& scope, int64_t sequence, Wake& wake) {
  ScopeProgress progress;
  for (const auto& [node, seen] : seen_) {
    const v1::DataPlane& last = seen.last;
    if (std::find(last.scopes().begin(), last.scopes().end(), scope) == last.scopes().end()) continue;
    if (Acknowledged(last, sequence_) >= sequence) {
      if (last.connected()) ++progress.acknowledged;
      continue;
    }
    const bool refused = !last.refusal().empty() && last.refused_version() >= sequence;
    // One that goes away is no better than one that stays and does not take it: it may have gone because of it. One
    // that was away before has nothing to do with it.
    if (!last.connected() && !refused && !scope_waits_.contains({node, sequence})) continue;
    ScopeWait& wait = scope_waits_.try_emplace({node, sequence}, ScopeWait{.since_ms = wake.now_ms()}).first->second;
    wait.asked = true;
    const bool for_too_long = wake.Passed(wait.since_ms + options_.acknowledge_timeout.count());
    if (refused || !last.withheld().empty()) {
      if (progress.obstacle.empty() || (for_too_long && !progress.obstacle_stands)) {
        progress.obstacle =
            refused ? fmt::format("data plane {} refuses it: {}", node, Reason(last.refusal()))
                    : fmt::format(
                          "data plane {} is not sent it, but what runs everywhere, because the rules of its "
                          "scopes do not go together with the rest: {}",
                          node, Reason(last.withheld()));
      }
      progress.obstacle_stands = progress.obstacle_stands || for_too_long;
    } else if (!for_too_long) {
      progress.waits_for.push_back(last.connected() ? node : fmt::format("{} (it is away)", node));
    } else if (!std::exchange(wait.told, true)) {
      progress.given_up.push_back(node);
    }
  }
  return progress;
}

}  // namespace signalbox::rollout
