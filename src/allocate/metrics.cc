#include "allocate/metrics.h"

#include <string>
#include <utility>

namespace signalbox::allocate {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kSecondsPerMicro = 1e-6;

ClientMetric Labelled(const std::string& platform) {
  ClientMetric metric;
  metric.label.push_back({"platform", platform});
  return metric;
}

void AddCounter(MetricFamily& family, ClientMetric metric, uint64_t value) {
  metric.counter.value = static_cast<double>(value);
  family.metric.push_back(std::move(metric));
}

void AddGauge(MetricFamily& family, ClientMetric metric, uint64_t value) {
  metric.gauge.value = static_cast<double>(value);
  family.metric.push_back(std::move(metric));
}

void AddDuration(MetricFamily& family, ClientMetric metric, const ExchangeCounts& counts) {
  uint64_t cumulative = 0;
  for (size_t i = 0; i < kExchangeBoundsUs.size(); ++i) {
    cumulative += counts.duration.bucket(i).value();
    metric.histogram.bucket.push_back({cumulative, static_cast<double>(kExchangeBoundsUs[i]) * kSecondsPerMicro});
  }
  metric.histogram.sample_count = cumulative + counts.duration.bucket(kExchangeBoundsUs.size()).value();
  metric.histogram.sample_sum = static_cast<double>(counts.duration.sum_us()) * kSecondsPerMicro;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<MetricFamily> CollectFamilies(const std::vector<std::unique_ptr<Platform>>& platforms,
                                          const std::vector<std::unique_ptr<WorkerCells>>& workers) {
  MetricFamily questions{"signalbox_allocation_questions_total",
                         "Questions about cells that requests had, by what became of them.",
                         MetricType::Counter,
                         {}};
  MetricFamily coalesced{"signalbox_allocation_coalesced_total",
                         "Questions that were under way already for somebody else.",
                         MetricType::Counter,
                         {}};
  MetricFamily unknown_cells{"signalbox_allocation_unknown_cells_total",
                             "Cells that a platform gave to requests, and that the rules do not have.",
                             MetricType::Counter,
                             {}};
  MetricFamily exchanges{
      "signalbox_allocation_exchanges_total", "Questions to platforms, by what they said.", MetricType::Counter, {}};
  MetricFamily duration{"signalbox_allocation_exchange_duration_seconds",
                        "How long platforms took to answer.",
                        MetricType::Histogram,
                        {}};
  MetricFamily open{
      "signalbox_allocation_exchanges_open", "Questions that a platform works on now.", MetricType::Gauge, {}};
  MetricFamily queue{"signalbox_allocation_queue", "Questions that wait for their turn.", MetricType::Gauge, {}};
  MetricFamily paused{
      "signalbox_allocation_paused", "1: the platform failed and is asked only now and then.", MetricType::Gauge, {}};
  MetricFamily entries{"signalbox_allocation_cache_entries", "Answers that workers remember.", MetricType::Gauge, {}};
  MetricFamily bytes{"signalbox_allocation_cache_bytes", "What they take of the memory.", MetricType::Gauge, {}};

  for (size_t i = 0; i < platforms.size(); ++i) {
    const std::string& name = platforms[i]->name();
    const ExchangeCounts& counts = platforms[i]->counts();
    for (size_t outcome = 0; outcome < kOutcomes; ++outcome) {
      if (static_cast<Outcome>(outcome) == Outcome::kUnknownPlatform) continue;
      uint64_t sum = 0;
      for (const auto& worker : workers) sum += worker->counts(i).outcomes[outcome].value();
      ClientMetric metric = Labelled(name);
      metric.label.push_back({"outcome", std::string(Name(static_cast<Outcome>(outcome)))});
      AddCounter(questions, std::move(metric), sum);
    }
    uint64_t joined = counts.coalesced.value();
    uint64_t not_there = 0;
    for (const auto& worker : workers) {
      joined += worker->counts(i).coalesced.value();
      not_there += worker->counts(i).unknown_cells.value();
    }
    AddCounter(unknown_cells, Labelled(name), not_there);
    AddCounter(coalesced, Labelled(name), joined);
    for (size_t result = 0; result < kResults; ++result) {
      ClientMetric metric = Labelled(name);
      metric.label.push_back({"result", std::string(Name(static_cast<Result>(result)))});
      AddCounter(exchanges, std::move(metric), counts.results[result].value());
    }
    AddDuration(duration, Labelled(name), counts);
    AddGauge(open, Labelled(name), counts.open.load(std::memory_order_relaxed));
    AddGauge(queue, Labelled(name), counts.queued.load(std::memory_order_relaxed));
    AddGauge(paused, Labelled(name), counts.paused.load(std::memory_order_relaxed) ? 1 : 0);
  }
  uint64_t unknown = 0;
  uint64_t entries_sum = 0;
  uint64_t bytes_sum = 0;
  for (const auto& worker : workers) {
    unknown += worker->unknown_platform();
    entries_sum += worker->cache_entries();
    bytes_sum += worker->cache_bytes();
  }
  // Names that only rules know are no labels: there is no end to them.
  ClientMetric metric = Labelled("");
  metric.label.push_back({"outcome", std::string(Name(Outcome::kUnknownPlatform))});
  AddCounter(questions, std::move(metric), unknown);
  AddGauge(entries, ClientMetric{}, entries_sum);
  AddGauge(bytes, ClientMetric{}, bytes_sum);
  return {std::move(questions), std::move(coalesced),    std::move(exchanges), std::move(duration),
          std::move(open),      std::move(queue),        std::move(paused),    std::move(entries),
          std::move(bytes),     std::move(unknown_cells)};
}

}  // namespace signalbox::allocate
