// What can be set about the choice of hosts. docs/operate.md says how to choose each.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace signalbox::balance {

// Of all functions here: the caller's clock, so that a simulated one can take its place.
using Time = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct Settings {
  // Where this proxy stands; empty: nobody knows, and all hosts are alike.
  std::string zone = {};

  // How fast a latency is forgotten.
  milliseconds latency_decay{1000};
  // A host that is new, or has returned, has its full weight after so long and so many answers; after three times as
  // long in any case. 0: at once.
  milliseconds slow_start{10'000};
  uint32_t slow_start_answers = 50;
  // A load report that is older counts no more.
  milliseconds report_lifetime{10'000};

  // A host that could not answer so many requests in succession is ejected. 0: never.
  uint32_t failures_in_succession = 5;
  // So is one whose share of good answers is so much lower than that of its model's other hosts, in percentage points,
  // over `success_window`, of at least `success_requests_min` answers. 0: never.
  uint32_t success_gap_percent = 20;
  milliseconds success_window{10'000};
  uint32_t success_requests_min = 50;
  // The first time; then twice as long each time, up to the maximum. What was ejected is forgotten as slowly.
  milliseconds ejection{5'000};
  milliseconds ejection_max{300'000};
  // Of a model's hosts. One always stays.
  uint32_t ejected_percent_max = 50;
  // Where less than this part of a model's hosts is healthy, it does not count who is.
  uint32_t panic_percent = 50;

  // Every host is asked so often whether it is healthy. 0: none is. Nobody asks yet: these four are for
  // Balancer::OnHealth.
  milliseconds health_interval{0};
  milliseconds health_timeout{1'000};
  uint32_t unhealthy_after = 3;
  uint32_t healthy_after = 2;
};

}  // namespace signalbox::balance
