#include "balance/group.h"

#include <algorithm>
#include <set>

#include "base/hash.h"

namespace signalbox::balance {
namespace {

// Of a host on the ring: parts of the ring differ by 1/sqrt(points), 10 %.
constexpr size_t kPointsPerHost = 100;
constexpr size_t kPointsMax = 1 << 20;
// Of a full host, against an idle one. Its latency says more; a host that lies gains or loses no more than this.
constexpr float kLoadFactorMax = 4;
// A host that fails at once would look idle until it is ejected.
constexpr float kCostPerFailure = 4;
constexpr uint32_t kFailuresThatCost = 16;

// Differences below it are the network's and the scheduler's.
constexpr float kLatencyNoiseUs = 500;

float LoadFactor(float utilisation) { return 1 / (1 - utilisation * (1 - 1 / kLoadFactorMax)); }

}  // namespace

Group::Group(std::vector<Member> members, const Settings& settings, bool has_ring)
    : settings_(settings), members_(std::move(members)) {
  std::set<std::string_view> zones;
  if (!settings_.zone.empty()) {
    const auto end = std::stable_partition(members_.begin(), members_.end(),
                                           [&](const Member& member) { return member.zone == settings_.zone; });
    own_ = static_cast<uint32_t>(end - members_.begin());
  }
  for (const Member& member : members_) zones.insert(member.zone);
  zones_ = static_cast<uint32_t>(std::max<size_t>(1, zones.size()));
  if (has_ring) MakeRing();
}

void Group::MakeRing() {
  const size_t points = std::clamp<size_t>(kPointsMax / std::max<size_t>(1, members_.size()), 1, kPointsPerHost);
  ring_.reserve(points * members_.size());
  for (uint32_t member = 0; member < members_.size(); ++member) {
    // By its address alone, so that every proxy and every snapshot sends a key to the same host.
    for (size_t point = 0; point < points; ++point) {
      const uint64_t hash = StableHash64(members_[member].host->address(), point);
      ring_.push_back({.hash = static_cast<uint32_t>(hash >> 32), .member = member});
    }
  }
  std::sort(ring_.begin(), ring_.end());
}

size_t Group::RingPosition(uint64_t key) const {
  const auto at = std::lower_bound(ring_.begin(), ring_.end(), Point{static_cast<uint32_t>(key >> 32), 0});
  return at == ring_.end() ? 0 : static_cast<size_t>(at - ring_.begin());
}

int64_t Group::BoundOnLoad(uint32_t bound_percent) const {
  int64_t sum = 1;  // with the one that is to be placed
  int64_t hosts = 0;
  for (const Member& member : members_) {
    if (!Counts(*member.host)) continue;
    sum += member.host->outstanding();
    ++hosts;
  }
  hosts = std::max<int64_t>(1, hosts);
  return (sum * bound_percent + 100 * hosts - 1) / (100 * hosts);
}

float Group::Cost(const HostState& host, Time now) const {
  float latency = host.LatencyMicroseconds(now, settings_);
  if (latency == 0) latency = std::max(1.0F, mean_latency_us_.load(std::memory_order_relaxed));
  const float utilisation = host.Utilisation(now, settings_);
  const float load = utilisation < 0 ? mean_load_factor_.load(std::memory_order_relaxed) : LoadFactor(utilisation);
  const uint32_t failures = std::min(host.FailuresToMind(now), kFailuresThatCost);
  return static_cast<float>(std::max(0, host.outstanding()) + 1) * (latency + kLatencyNoiseUs) * load *
         (1 + kCostPerFailure * static_cast<float>(failures));
}

void Group::Update(Time now) {
  uint32_t healthy = 0;
  uint32_t healthy_own = 0;
  float latencies = 0, loads = 0;
  uint32_t with_latency = 0, with_load = 0;
  for (uint32_t i = 0; i < members_.size(); ++i) {
    HostState& host = *members_[i].host;
    if (host.healthy()) {
      ++healthy;
      healthy_own += i < own_ ? 1 : 0;
    }
    if (const float latency = host.LatencyMicroseconds(now, settings_); latency > 0) {
      latencies += latency;
      ++with_latency;
    }
    if (const float utilisation = host.Utilisation(now, settings_); utilisation >= 0) {
      loads += LoadFactor(utilisation);
      ++with_load;
    }
  }
  mean_latency_us_.store(with_latency == 0 ? 0 : latencies / static_cast<float>(with_latency),
                         std::memory_order_relaxed);
  mean_load_factor_.store(with_load == 0 ? 1 : loads / static_cast<float>(with_load), std::memory_order_relaxed);
  const bool panic = healthy * 100 < settings_.panic_percent * members_.size() || healthy == 0;
  panic_.store(panic, std::memory_order_relaxed);
  if (panic) {
    healthy = static_cast<uint32_t>(members_.size());
    healthy_own = own_;
  }
  // As if every zone had an equal part of the requests: what its hosts cannot take with an equal part of the work for
  // each host goes to the others.
  const float share =
      healthy == 0 ? 1 : static_cast<float>(zones_) * static_cast<float>(healthy_own) / static_cast<float>(healthy);
  own_share_.store(std::min(1.0F, share), std::memory_order_relaxed);
}

}  // namespace signalbox::balance
