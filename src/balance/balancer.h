// All hosts of a process, and what is decided of them from time to time: which are ejected, return, have become warm.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "balance/group.h"
#include "balance/health.h"
#include "balance/host_state.h"
#include "balance/settings.h"
#include "prometheus/collectable.h"

namespace signalbox::balance {

// How often Tick wants to be called.
inline constexpr milliseconds kTickInterval{50};

// Thread-safe. No request waits for it: what they read are HostStates and Groups.
//
// Collect() gives, with the label `host`, for the first 1,000 hosts in order of their names:
//   signalbox_host_outstanding_requests, signalbox_host_latency_seconds (peak EWMA), signalbox_host_weight (0.1 to 1),
//   signalbox_host_utilisation (as it reports; left out where it does not), signalbox_host_ejected,
//   signalbox_host_healthy, signalbox_host_panic (1: health is ignored for some model on it),
//   signalbox_host_ejections_total
class Balancer : public prometheus::Collectable {
 public:
  explicit Balancer(Settings settings) : settings_(std::move(settings)) {}

  const Settings& settings() const { return settings_; }

  // What is known of the host with this address; nothing yet where nobody has used it. Hosts that come after the first
  // Keep begin slowly: before, all are alike.
  std::shared_ptr<HostState> StateOf(const std::string& address, Time now);

  // From now on these groups are looked after, and the hosts in them.
  void Keep(std::vector<std::shared_ptr<Group>> groups, Time now);

  // Looks at what has come. For one thread.
  void Tick(Time now);

  // The hosts of the groups that are looked after.
  std::vector<std::shared_ptr<HostState>> Hosts() const;
  // What the host said when it was asked whether it is healthy, or that it said nothing.
  void OnHealth(const std::string& address, bool is_good, Time now);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Record {
    std::shared_ptr<HostState> state;
    std::vector<Group*> groups;
    Health health;
    HostState::Answers window;
    Time ejected_until{};
    milliseconds last_ejection{0};  // 0: none that counts
    Time forgotten_at{};
    uint64_t ejections = 0;
  };

  void Return(Record& record, Time now);
  void CompareSuccess(const Group& group, Time now);
  bool MayEject(const Record& record) const;
  void Eject(Record& record, Time now);

  const Settings settings_;
  mutable std::mutex mutex_;
  bool kept_ = false;
  std::vector<std::shared_ptr<Group>> groups_;
  absl::flat_hash_map<std::string, Record> records_;  // of those in groups_
  absl::flat_hash_map<std::string, std::weak_ptr<HostState>> states_;
  Time window_ends_{};
};

}  // namespace signalbox::balance
