#include "cli/control_metrics.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace signalbox::cli {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(std::string name, std::string help, MetricType type) {
  return {"signalbox_control_" + std::move(name), std::move(help), type, {}};
}

void Add(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

MetricFamily Single(std::string name, std::string help, MetricType type, double value) {
  MetricFamily family = Family(std::move(name), std::move(help), type);
  Add(family, value);
  return family;
}

std::string_view StateOf(const control::SubscriberInfo& subscriber, const control::ControlStatus& status) {
  if (subscriber.acknowledged_version == status.version) return "current";
  return subscriber.refusal.empty() ? "behind" : "refusing";
}

MetricFamily Subscribers(const control::ControlStatus& status) {
  MetricFamily family = Family("subscribers", "Connected data planes by what they run", MetricType::Gauge);
  for (std::string_view state : {"current", "behind", "refusing"}) {
    double count = 0;
    for (const control::SubscriberInfo& subscriber : status.distribution.subscribers) {
      if (StateOf(subscriber, status) == state) ++count;
    }
    Add(family, count, {{"state", std::string(state)}});
  }
  return family;
}

// Of the leader alone: the others do not look at hosts.
MetricFamily Hosts(const control::ControlStatus& status) {
  MetricFamily family = Family("fleet_hosts", "Model hosts by whether they answer", MetricType::Gauge);
  if (!status.leader.leads) return family;
  Add(family, static_cast<double>(status.leader.hosts_alive), {{"state", "alive"}});
  Add(family, static_cast<double>(status.leader.hosts - status.leader.hosts_alive), {{"state", "away"}});
  return family;
}

}  // namespace

std::vector<MetricFamily> ControlMetrics::Collect() const {
  const control::ControlStatus status = control_.status();
  std::vector<MetricFamily> families = {
      Single("snapshot_version", "Sequence of the store that is out", MetricType::Gauge,
             static_cast<double>(status.version)),
      Single("snapshot_created_timestamp_seconds", "When the snapshot that is out was made", MetricType::Gauge,
             static_cast<double>(status.created_unix_ms) / 1000),
      Subscribers(status),
      Single("snapshots_sent_total", "Snapshots sent to data planes", MetricType::Counter,
             static_cast<double>(status.distribution.sent_total)),
      Single("refusals_total", "Snapshots that a data plane refused", MetricType::Counter,
             static_cast<double>(status.distribution.refusals_total)),
      Single("slow_subscribers_total", "Streams ended because the data plane did not answer", MetricType::Counter,
             static_cast<double>(status.distribution.too_slow_total)),
      Single("store_up", "0 while the store cannot be read", MetricType::Gauge, status.store.ok() ? 1 : 0),
      Single("file_up", "0 while the newest content of the placement or fleet file is not published", MetricType::Gauge,
             status.file.ok() ? 1 : 0),
      Single("leads", "1: this control plane leads rollouts", MetricType::Gauge, status.leader.leads ? 1 : 0),
      Hosts(status),
  };
  MetricFamily held_back = Family("held_back", "Topics whose newest version cannot run", MetricType::Gauge);
  for (const control::HeldBack& held : status.held_back) Add(held_back, 1, {{"topic", held.topic}});
  families.push_back(std::move(held_back));
  return families;
}

std::string DescribeHeldBack(const control::ControlStatus& status) {
  std::string text;
  for (const control::HeldBack& held : status.held_back) {
    text += fmt::format(
        "{}{} version {} is held back, {}: {}", text.empty() ? "" : "; ", held.topic, held.newest_version,
        held.running_version == 0 ? "none runs" : fmt::format("version {} runs", held.running_version), held.reason);
  }
  return text;
}

}  // namespace signalbox::cli
