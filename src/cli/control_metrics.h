// What the control plane tells Prometheus.
#pragma once

#include <string>
#include <vector>

#include "control/control_plane.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace signalbox::cli {

// Gives these families:
//   signalbox_control_snapshot_version              the store's sequence that is out
//   signalbox_control_snapshot_created_timestamp_seconds
//   signalbox_control_subscribers                   with `state`: "current", "behind" or "refusing"
//   signalbox_control_snapshots_sent_total
//   signalbox_control_refusals_total                snapshots that a subscriber refused
//   signalbox_control_slow_subscribers_total        streams ended because of no answer
//   signalbox_control_held_back                     1 for each `topic` whose newest version cannot run
//   signalbox_control_store_up, signalbox_control_file_up   1, or 0 while it cannot be read or published
//   signalbox_control_leads                         1: leads rollouts
//   signalbox_control_fleet_hosts                   with `state`: "alive" or "away"; of the leader alone
// Thread-safe. `control` must outlive it.
class ControlMetrics : public prometheus::Collectable {
 public:
  explicit ControlMetrics(const control::ControlPlane& control) : control_(control) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const control::ControlPlane& control_;
};

// One line for people: "rules/home version 5 is held back, version 4 runs: ...". Empty when nothing is.
std::string DescribeHeldBack(const control::ControlStatus& status);

}  // namespace signalbox::cli
