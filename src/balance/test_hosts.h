// Groups of hosts in a world with a clock of its own. For tests only.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "balance/balancer.h"

namespace signalbox::balance {

class TestHosts {
 public:
  using Zones = std::vector<std::string>;

  explicit TestHosts(size_t count, Settings settings = {}, Zones zones = {}, bool has_ring = false)
      : balancer(std::move(settings)) {
    group = MakeGroup(count, zones, has_ring);
    balancer.Keep({group}, now);
  }

  std::shared_ptr<Group> MakeGroup(size_t count, const Zones& zones = {}, bool has_ring = false) {
    std::vector<Member> members;
    for (uint32_t i = 0; i < count; ++i) {
      members.push_back({.host = balancer.StateOf(fmt::format("host-{}:1", i), now),
                         .place = i,
                         .zone = i < zones.size() ? zones[i] : std::string()});
      if (hosts.size() <= i) hosts.push_back(members.back().host);
    }
    return std::make_shared<Group>(std::move(members), balancer.settings(), has_ring);
  }

  static bool Any(uint32_t) { return true; }
  uint32_t Choose() { return group->Choose(random, now, Any).value(); }
  // How many of `requests` requests each host gets, none of which stays.
  std::vector<int> Count(int requests) {
    std::vector<int> counts(hosts.size());
    for (int i = 0; i < requests; ++i) ++counts[Choose()];
    return counts;
  }
  void Answer(uint32_t host, milliseconds took, Outcome outcome = Outcome::kAnswered) {
    hosts[host]->OnBegin();
    hosts[host]->OnEnd(outcome, took, now, balancer.settings());
  }
  void Pass(milliseconds time) {
    for (const Time end = now + time; now < end;) {
      now += kTickInterval;
      balancer.Tick(now);
    }
  }

  Balancer balancer;
  Time now = Time() + std::chrono::hours(1);
  Random random{4711};
  std::shared_ptr<Group> group;
  std::vector<std::shared_ptr<HostState>> hosts;
};

}  // namespace signalbox::balance
