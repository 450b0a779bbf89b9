// The shadow copies of one worker: how many there may be, what they hold, and connections to hosts that are theirs
// alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/string_map.h"
#include "decide/snapshot.h"
#include "proxy/deadline_queue.h"
#include "proxy/host.h"
#include "proxy/host_address.h"
#include "proxy/intrusive_list.h"
#include "proxy/shadow_comparer.h"
#include "proxy/shadow_copy.h"
#include "proxy/shadow_limits.h"
#include "telemetry/shadow_records.h"

namespace signalbox::proxy {

class Worker;
struct Routes;

// For its worker's thread.
class ShadowTraffic {
 public:
  // The others outlive it.
  ShadowTraffic(Worker& worker, const ShadowLimits& limits, telemetry::ShadowRecords& records,
                ShadowComparer& comparer);
  ~ShadowTraffic();
  ShadowTraffic(const ShadowTraffic&) = delete;
  ShadowTraffic& operator=(const ShadowTraffic&) = delete;

  const ShadowLimits& limits() const { return limits_; }

  // A copy for this shadow; nullptr, and counted, when as many are under way as may be.
  ShadowCopy* NewCopy(const decide::Shadow& shadow);
  void Free(ShadowCopy& copy);
  // One of the shadow's hosts that can be reached, as far as is known. nullptr when there is none.
  Host* ChooseHost(const Routes& routes, const decide::Answer& answer);
  // Hands on what is left to be done off this thread. False when too much waits for that already.
  bool Finish(ShadowResult result) { return comparer_.Add(std::move(result)); }
  DeadlineQueue<ShadowCopy>& deadlines() { return deadlines_; }
  const DeadlineQueue<ShadowCopy>& deadlines() const { return deadlines_; }

  // --- What the worker reports.
  // The name of the host was looked up again.
  void SetAddress(const HostAddress& address);
  // Hosts whose names it does not know any more have their connections ended.
  void DropHosts(const std::function<bool(const std::string&)>& is_known);
  // Gives up what is under way.
  void Stop();

 private:
  friend class ShadowCharge;
  bool Hold(ObjectiveShadows& objective, size_t bytes);
  void Release(ObjectiveShadows& objective, size_t bytes);
  ObjectiveShadows& Of(std::string_view objective);
  // Forgets it when nothing is under way for it.
  void LetGo(ObjectiveShadows& objective);

  Worker& worker_;
  const ShadowLimits limits_;
  telemetry::ShadowRecords& records_;
  ShadowComparer& comparer_;

  IntrusiveList<ShadowCopy, &ShadowCopy::open_hook> open_;
  DeadlineQueue<ShadowCopy> deadlines_;
  std::vector<std::unique_ptr<ShadowCopy>> free_;  // those that are open own themselves until they are freed
  uint64_t bytes_ = 0;
  StringMap<std::unique_ptr<ObjectiveShadows>> objectives_;  // of open copies
  absl::flat_hash_map<std::string, std::unique_ptr<Host>> hosts_;
  absl::flat_hash_map<std::string, telemetry::ShadowSeries*> series_;
};

}  // namespace signalbox::proxy
