#include "telemetry/telemetry.h"

#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "telemetry/decision_log.h"
#include "telemetry/metric_families.h"
#include "telemetry/series.h"
#include "telemetry/tenant_set.h"

namespace signalbox::telemetry {
namespace {

constexpr uint32_t kSamplePpmMax = 1'000'000;
constexpr size_t kRingBytesMax = 1 << 30;
// Beyond this a scrape of all series would be more than 100 MB.
constexpr size_t kSeriesMax = 16 << 10;

class Worker : public WorkerTelemetry {
 public:
  // `ring` is nullptr when nothing is logged.
  Worker(TenantSet& tenants, size_t series_max, RecordRing* ring, uint32_t sample_ppm)
      : series_(tenants, series_max), ring_(ring), sample_ppm_(sample_ppm) {}

  void Record(const RequestRecord& record) override {
    series_.Count(record);
    if (ring_ != nullptr && InSample(record.decision_id, sample_ppm_)) ring_->Push(record);
  }

  const WorkerSeries& series() const { return series_; }

 private:
  WorkerSeries series_;
  RecordRing* const ring_;
  const uint32_t sample_ppm_;
};

class TelemetryImpl : public Telemetry {
 public:
  TelemetryImpl(Options options, std::unique_ptr<DecisionLog> log)
      : options_(std::move(options)), log_(std::move(log)), tenants_(options_.tenants_max) {}

  WorkerTelemetry& AddWorker() override {
    RecordRing* ring = log_ == nullptr ? nullptr : &log_->AddRing(options_.decision_log_ring_bytes);
    std::lock_guard lock(mutex_);
    return *workers_.emplace_back(
        std::make_unique<Worker>(tenants_, options_.series_max, ring, options_.decision_log_sample_ppm));
  }

  void Flush() override {
    if (log_ != nullptr) log_->Flush();
  }

  absl::Status ReopenDecisionLog() override { return log_ == nullptr ? absl::OkStatus() : log_->Reopen(); }

  std::vector<prometheus::MetricFamily> Collect() const override {
    // Held for the whole scrape: two at once would disturb each other's recent quantiles. Workers do not take it.
    std::lock_guard lock(mutex_);
    std::vector<const WorkerSeries*> series;
    uint64_t dropped = 0;
    for (const auto& worker : workers_) {
      series.push_back(&worker->series());
      dropped += worker->series().dropped();
    }
    std::vector<prometheus::MetricFamily> families = families_.Collect(series, std::chrono::steady_clock::now());
    families.push_back(CounterFamily(
        "signalbox_telemetry_series_dropped_total",
        "Requests counted under \"other\" because the limit of label combinations was reached.", "", {{"", dropped}}));
    if (log_ != nullptr) {
      families.push_back(CounterFamily("signalbox_decision_log_written_total", "Decision records written.", "",
                                       {{"", log_->written()}}));
      families.push_back(
          CounterFamily("signalbox_decision_log_lost_total", "Decision records that were not written.", "cause",
                        {{"ring_full", log_->lost_to_full_rings()}, {"write_error", log_->lost_to_write_errors()}}));
    }
    return families;
  }

 private:
  const Options options_;
  const std::unique_ptr<DecisionLog> log_;
  TenantSet tenants_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  mutable MetricFamilies families_;
};

absl::Status CheckRange(std::string_view option, size_t value, size_t min, size_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("telemetry: {} is {}, expected {} to {}", option, value, min, max));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Telemetry>> Telemetry::Create(Options options) {
  RETURN_IF_ERROR(CheckRange("decision_log_sample_ppm", options.decision_log_sample_ppm, 0, kSamplePpmMax));
  RETURN_IF_ERROR(CheckRange("decision_log_ring_bytes", options.decision_log_ring_bytes, 1, kRingBytesMax));
  RETURN_IF_ERROR(CheckRange("tenants_max", options.tenants_max, 0, kSeriesMax));
  RETURN_IF_ERROR(CheckRange("series_max", options.series_max, 1, kSeriesMax));
  std::unique_ptr<DecisionLog> log;
  if (!options.decision_log_path.empty()) {
    ASSIGN_OR_RETURN(log, DecisionLog::Open(options.decision_log_path));
  }
  return std::make_unique<TelemetryImpl>(std::move(options), std::move(log));
}

}  // namespace signalbox::telemetry
