#include "telemetry/metric_families.h"

#include <string>
#include <utility>

#include "telemetry/utf8.h"

namespace signalbox::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kSecondsPerMicro = 1e-6;
constexpr std::array kQuantiles = {0.5, 0.9, 0.99, 0.999};

// The sums over workers. Plain numbers: this is one scrape's own copy.
template <size_t kBounds>
struct HistogramSum {
  std::array<uint64_t, kBounds + 1> buckets = {};
  uint64_t sum_us = 0;

  void Add(const BoundedHistogram<kBounds>& histogram) {
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += histogram.bucket(i).value();
    sum_us += histogram.sum_us();
  }
};

struct SeriesSum {
  std::array<uint64_t, kGrpcCodes> requests = {};
  HistogramSum<kRequestBoundsUs.size()> request_duration;
  HistogramSum<kOwnBoundsUs.size()> own_duration;
  uint64_t fallbacks = 0;
  uint64_t static_answers = 0;
  uint64_t overrides = 0;
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;

  void Add(const Series& series) {
    for (size_t code = 0; code < kGrpcCodes; ++code) requests[code] += series.requests[code].value();
    request_duration.Add(series.request_duration);
    own_duration.Add(series.own_duration);
    fallbacks += series.fallbacks.value();
    static_answers += series.static_answers.value();
    overrides += series.overrides.value();
    request_bytes += series.request_bytes.value();
    response_bytes += series.response_bytes.value();
  }
};

// What is counted by Objective alone.
struct ObjectiveSum {
  std::array<uint64_t, kNoteNames.size()> notes = {};
  std::array<uint64_t, kTryEventNames.size()> try_events = {};
  uint64_t shadows_not_sent = 0;

  void Add(const Series& series) {
    for (size_t note = 0; note < notes.size(); ++note) notes[note] += series.notes[note].value();
    for (size_t i = 0; i < try_events.size(); ++i) try_events[i] += series.try_events[i].value();
    shadows_not_sent += series.shadows_not_sent.value();
  }
};

// By Objective and tenant.
struct RefusalSum {
  std::array<std::array<uint64_t, kPriorityNames.size()>, kRefusalNames.size()> refusals = {};

  void Add(const Series& series) {
    for (size_t limit = 0; limit < refusals.size(); ++limit) {
      for (size_t priority = 0; priority < kPriorityNames.size(); ++priority) {
        refusals[limit][priority] += series.refusals[limit][priority].value();
      }
    }
  }
  void AddTo(MetricFamily& family, const std::string& objective, const std::string& tenant) const {
    for (size_t limit = 0; limit < refusals.size(); ++limit) {
      for (size_t priority = 0; priority < kPriorityNames.size(); ++priority) {
        if (refusals[limit][priority] == 0) continue;
        ClientMetric metric;
        metric.label = {{std::string(kLabelNames[kObjectiveLabel]), objective},
                        {std::string(kLabelNames[kTenantLabel]), tenant},
                        {"limit", std::string(kRefusalNames[limit])},
                        {"priority", std::string(kPriorityNames[priority])}};
        metric.counter.value = static_cast<double>(refusals[limit][priority]);
        family.metric.push_back(std::move(metric));
      }
    }
  }
};

struct QuantileSum {
  std::vector<uint64_t> buckets = std::vector<uint64_t>(QuantileHistogram::kBuckets);
  uint64_t sum_us = 0;

  void Add(const QuantileHistogram& histogram) {
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += histogram.bucket(i).value();
    sum_us += histogram.sum_us();
  }
};

struct CellLatencySum {
  QuantileSum request;
  QuantileSum own;
};

Labels ValidUtf8(const Labels& labels) {
  Labels valid;
  for (size_t i = 0; i < kLabelCount; ++i) AppendValidUtf8(labels[i], valid[i]);
  return valid;
}

MetricFamily Family(std::string name, std::string help, MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}

ClientMetric MetricWith(const Labels& labels) {
  ClientMetric metric;
  for (size_t i = 0; i < kLabelCount; ++i) metric.label.push_back({std::string(kLabelNames[i]), labels[i]});
  return metric;
}

void AddCounter(MetricFamily& family, ClientMetric metric, uint64_t value) {
  metric.counter.value = static_cast<double>(value);
  family.metric.push_back(std::move(metric));
}

template <size_t kBounds>
void AddHistogram(MetricFamily& family, ClientMetric metric, const std::array<uint32_t, kBounds>& bounds_us,
                  const HistogramSum<kBounds>& sum) {
  uint64_t cumulative = 0;
  for (size_t i = 0; i < kBounds; ++i) {
    cumulative += sum.buckets[i];
    // Divided, as a product would make 0.1 a bound of 0.09999999999999999.
    metric.histogram.bucket.push_back({cumulative, static_cast<double>(bounds_us[i]) / 1e6});
  }
  // The serializer adds the +Inf bucket from the count.
  metric.histogram.sample_count = cumulative + sum.buckets[kBounds];
  metric.histogram.sample_sum = static_cast<double>(sum.sum_us) * kSecondsPerMicro;
  family.metric.push_back(std::move(metric));
}

void AddSummary(MetricFamily& family, ClientMetric metric, RecentCounts::Time now, const QuantileSum& sum,
                RecentCounts& recent) {
  std::erase_if(metric.label, [](const ClientMetric::Label& label) { return label.name == kLabelNames[kTenantLabel]; });
  std::vector<uint64_t> counts = recent.Update(now, sum.buckets);
  for (double quantile : kQuantiles) {
    metric.summary.quantile.push_back({quantile, QuantileUs(counts, quantile) * kSecondsPerMicro});
  }
  for (uint64_t count : sum.buckets) metric.summary.sample_count += count;
  metric.summary.sample_sum = static_cast<double>(sum.sum_us) * kSecondsPerMicro;
  family.metric.push_back(std::move(metric));
}

}  // namespace

std::vector<uint64_t> RecentCounts::Update(Time now, std::span<const uint64_t> counts) {
  if (older_.empty()) {
    older_.assign(counts.size(), 0);
    newer_ = older_;
    newer_at_ = now;
  }
  if (now - newer_at_ >= kWindow) {
    older_ = std::move(newer_);
    newer_.assign(counts.begin(), counts.end());
    newer_at_ = now;
  }
  std::vector<uint64_t> recent(counts.begin(), counts.end());
  for (size_t i = 0; i < recent.size(); ++i) recent[i] -= older_[i];
  return recent;
}

std::vector<MetricFamily> MetricFamilies::Collect(const std::vector<const WorkerSeries*>& workers,
                                                  RecentCounts::Time now) {
  std::map<Labels, SeriesSum> series_sums;
  std::map<Labels, CellLatencySum> cell_sums;
  std::map<std::string, ObjectiveSum> objective_sums;
  std::map<std::pair<std::string, std::string>, RefusalSum> refusal_sums;
  for (const WorkerSeries* worker : workers) {
    for (size_t i = 0, size = worker->series().size(); i < size; ++i) {
      const Series& series = worker->series()[i];
      // Different bytes can become the same valid text, and a label combination may appear only once in a scrape: so
      // merged after the repair.
      const Labels labels = ValidUtf8(series.labels);
      series_sums[labels].Add(series);
      objective_sums[labels[kObjectiveLabel]].Add(series);
      refusal_sums[{labels[kObjectiveLabel], labels[kTenantLabel]}].Add(series);
    }
    for (size_t i = 0, size = worker->cell_latencies().size(); i < size; ++i) {
      const CellLatency& latency = worker->cell_latencies()[i];
      CellLatencySum& sum = cell_sums[ValidUtf8(latency.labels)];
      sum.request.Add(latency.request);
      sum.own.Add(latency.own);
    }
  }

  MetricFamily requests = Family("signalbox_requests_total", "Requests, by gRPC status name.", MetricType::Counter);
  MetricFamily request_duration =
      Family("signalbox_request_duration_seconds", "From the request's headers to the last byte of its answer.",
             MetricType::Histogram);
  MetricFamily own_duration =
      Family("signalbox_proxy_duration_seconds", "The part of the request's duration that signalbox itself took.",
             MetricType::Histogram);
  MetricFamily fallbacks =
      Family("signalbox_fallbacks_total", "Models that were tried in vain before a fallback.", MetricType::Counter);
  MetricFamily static_answers = Family(
      "signalbox_static_answers_total",
      "Requests that got the answer that rules declare, because no model could be reached.", MetricType::Counter);
  MetricFamily overrides = Family("signalbox_overrides_total",
                                  "Requests of which an override chose the model or a cell.", MetricType::Counter);
  MetricFamily request_bytes =
      Family("signalbox_request_bytes_total", "Payload received from clients.", MetricType::Counter);
  MetricFamily response_bytes =
      Family("signalbox_response_bytes_total", "Payload sent to clients.", MetricType::Counter);
  for (const auto& [labels, sum] : series_sums) {
    const ClientMetric metric = MetricWith(labels);
    for (size_t code = 0; code < kGrpcCodes; ++code) {
      if (sum.requests[code] == 0) continue;
      ClientMetric with_code = metric;
      with_code.label.push_back({"code", std::string(GrpcCodeName(static_cast<int>(code)))});
      AddCounter(requests, std::move(with_code), sum.requests[code]);
    }
    AddHistogram(request_duration, metric, kRequestBoundsUs, sum.request_duration);
    AddHistogram(own_duration, metric, kOwnBoundsUs, sum.own_duration);
    AddCounter(fallbacks, metric, sum.fallbacks);
    AddCounter(static_answers, metric, sum.static_answers);
    AddCounter(overrides, metric, sum.overrides);
    AddCounter(request_bytes, metric, sum.request_bytes);
    AddCounter(response_bytes, metric, sum.response_bytes);
  }

  MetricFamily request_recent =
      Family("signalbox_request_duration_recent_seconds",
             "Quantiles of the request's duration over the last one to two minutes.", MetricType::Summary);
  MetricFamily own_recent =
      Family("signalbox_proxy_duration_recent_seconds",
             "Quantiles of signalbox's own part over the last one to two minutes.", MetricType::Summary);
  for (const auto& [labels, sum] : cell_sums) {
    RecentLatency& recent = recent_[labels];
    AddSummary(request_recent, MetricWith(labels), now, sum.request, recent.request);
    AddSummary(own_recent, MetricWith(labels), now, sum.own, recent.own);
  }

  MetricFamily notes =
      Family("signalbox_decision_notes_total",
             "Requests that lacked or misused what rules ask for, and were decided without it.", MetricType::Counter);
  MetricFamily shadows_not_sent =
      Family("signalbox_shadows_not_sent_total", "Copies of requests that rules ask for and that were not sent.",
             MetricType::Counter);
  MetricFamily try_events =
      Family("signalbox_try_events_total", "What was done for requests beyond asking one host.", MetricType::Counter);
  for (const auto& [objective, sum] : objective_sums) {
    ClientMetric metric;
    metric.label.push_back({std::string(kLabelNames[kObjectiveLabel]), objective});
    AddCounter(shadows_not_sent, metric, sum.shadows_not_sent);
    for (size_t note = 0; note < kNoteNames.size(); ++note) {
      if (sum.notes[note] == 0) continue;
      ClientMetric with_note = metric;
      with_note.label.push_back({"note", std::string(kNoteNames[note])});
      AddCounter(notes, std::move(with_note), sum.notes[note]);
    }
    for (size_t event = 0; event < kTryEventNames.size(); ++event) {
      if (sum.try_events[event] == 0) continue;
      ClientMetric with_event = metric;
      with_event.label.push_back({"event", std::string(kTryEventNames[event])});
      AddCounter(try_events, std::move(with_event), sum.try_events[event]);
    }
  }

  MetricFamily refusals =
      Family("signalbox_refusals_total", "Requests that a limit, a bulkhead or an overload did not let in.",
             MetricType::Counter);
  for (const auto& [key, sum] : refusal_sums) sum.AddTo(refusals, key.first, key.second);

  std::vector<MetricFamily> families;
  for (MetricFamily* family :
       {&requests, &request_duration, &own_duration, &fallbacks, &static_answers, &overrides, &request_bytes,
        &response_bytes, &request_recent, &own_recent, &notes, &try_events, &shadows_not_sent, &refusals}) {
    families.push_back(std::move(*family));
  }
  return families;
}

MetricFamily CounterFamily(std::string name, std::string help, const std::string& label,
                           const std::vector<std::pair<std::string, uint64_t>>& values) {
  MetricFamily family = Family(std::move(name), std::move(help), MetricType::Counter);
  for (const auto& [label_value, value] : values) {
    ClientMetric metric;
    if (!label.empty()) metric.label.push_back({label, label_value});
    AddCounter(family, std::move(metric), value);
  }
  return family;
}

}  // namespace signalbox::telemetry
