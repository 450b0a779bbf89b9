#include "proxy/limit_families.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "proxy/worker.h"
#include "telemetry/utf8.h"

namespace signalbox::proxy {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr size_t kKeysShownMax = 256;
constexpr std::chrono::minutes kShownFor{1};
constexpr double kSecondsPerNano = 1e-9;

void Add(MetricFamily& family, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<MetricFamily> CollectLimits(const ProcessLimits& limits,
                                        const std::vector<std::unique_ptr<Worker>>& workers) {
  MetricFamily in_flight{"signalbox_limit_in_flight",
                         "Requests under way, of the keys with a limit that have most.",
                         MetricType::Gauge,
                         {}};
  MetricFamily adaptive{"signalbox_limit_adaptive", "The adaptive limit in effect.", MetricType::Gauge, {}};
  MetricFamily keys{"signalbox_limit_keys", "Keys of limits that are remembered.", MetricType::Gauge, {}};
  MetricFamily proxies{"signalbox_limit_proxies", "Proxies that share declared limits.", MetricType::Gauge, {}};
  std::set<std::tuple<std::string, std::string, std::string, std::string>> shown;
  const limit::Time since = std::chrono::steady_clock::now() - kShownFor;
  for (const limit::Table::State& state : limits.table.States(since, kKeysShownMax)) {
    // Tenants are what clients sent: not necessarily UTF-8, and repaired they can be the same text, which may appear
    // only once in a scrape. The busiest is shown.
    std::string tenant;
    telemetry::AppendValidUtf8(state.tenant_is_shared ? "(others)" : std::string_view(state.tenant), tenant);
    if (!shown.emplace(state.objective, tenant, state.model, state.policy).second) continue;
    const std::vector<ClientMetric::Label> labels = {
        {"objective", state.objective}, {"tenant", tenant}, {"model", state.model}, {"policy", state.policy}};
    if (state.adaptive_limit != 0) Add(adaptive, labels, state.adaptive_limit);
    Add(in_flight, labels, state.in_flight);
  }
  Add(keys, {}, static_cast<double>(limits.table.keys()));
  Add(proxies, {}, limits.table.proxies());

  MetricFamily requests{"signalbox_bulkhead_requests", "Open requests of an Objective.", MetricType::Gauge, {}};
  MetricFamily bytes{"signalbox_bulkhead_bytes",
                     "Bytes of an Objective's requests and answers that wait here.",
                     MetricType::Gauge,
                     {}};
  for (const limit::Bulkheads::State& state : limits.bulkheads.States()) {
    Add(requests, {{"objective", state.objective}}, static_cast<double>(state.requests));
    Add(bytes, {{"objective", state.objective}}, static_cast<double>(state.bytes));
  }

  MetricFamily delay{"signalbox_worker_delay_seconds",
                     "How long events wait for the worker that is furthest behind.",
                     MetricType::Gauge,
                     {}};
  std::chrono::nanoseconds longest{0};
  for (const auto& worker : workers) longest = std::max(longest, worker->delay());
  Add(delay, {}, static_cast<double>(longest.count()) * kSecondsPerNano);
  MetricFamily admitted{"signalbox_overload_admitted_ratio",
                        "The part of a priority class that the worker that refuses most lets in.",
                        MetricType::Gauge,
                        {}};
  for (size_t i = 0; i < limit::kPriorityClasses; ++i) {
    const auto priority = static_cast<limit::PriorityClass>(i);
    double least = 1;
    for (const auto& worker : workers) least = std::min(least, worker->admitted_share(priority));
    Add(admitted, {{"priority", std::string(limit::Name(priority))}}, least);
  }
  return {std::move(in_flight), std::move(adaptive), std::move(keys),  std::move(proxies),
          std::move(requests),  std::move(bytes),    std::move(delay), std::move(admitted)};
}

}  // namespace signalbox::proxy
