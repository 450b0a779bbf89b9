#include "telemetry/shadow_records.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "prometheus/metric_family.h"
#include "telemetry/log_record.h"

namespace signalbox::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kSecondsPerMicro = 1e-6;
// A full disk fails every line; an operator needs to read it once.
constexpr std::chrono::seconds kErrorReportInterval{30};

absl::StatusOr<int> OpenForAppending(const std::string& path) {
  // Non-blocking: a FIFO without a reader must hang neither the start nor the end.
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
  if (fd < 0) return absl::ErrnoToStatus(errno, fmt::format("open the shadow log {}", path));
  return fd;
}

void AppendField(std::string_view key, std::string_view text, std::string& out) {
  out += fmt::format(",\"{}\":", key);
  AppendJsonString(text, out);
}

std::string Json(const ShadowReport& report) {
  std::string json = "{\"time\":\"";
  AppendTime(report.start_unix_us, json);
  json += fmt::format("\",\"decision\":\"{:016x}\"", report.decision_id);
  AppendField("objective", report.series->objective(), json);
  AppendField("shadow", report.series->shadow(), json);
  AppendField("outcome", kShadowOutcomeNames[static_cast<size_t>(report.outcome)], json);
  AppendField("reason", report.reason, json);
  AppendField("live_model", report.live_model, json);
  AppendField("shadow_model", report.series->model(), json);
  AppendField("live_answer", report.live_answer, json);
  AppendField("shadow_answer", report.shadow_answer, json);
  json += '}';
  return json;
}

// Lines that are appended one write each, so that a process that is killed leaves no half line of two records.
class Log {
 public:
  Log(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~Log() { close(fd_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  absl::Status Reopen() {
    ASSIGN_OR_RETURN(const int fd, OpenForAppending(path_));
    std::lock_guard lock(mutex_);
    close(std::exchange(fd_, fd));
    return absl::OkStatus();
  }

  void Write(const std::string& line) {
    std::lock_guard lock(mutex_);
    const ssize_t written = write(fd_, line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) {
      written_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const int error = written < 0 ? errno : ENOSPC;
    lost_.fetch_add(1, std::memory_order_relaxed);
    const auto now = std::chrono::steady_clock::now();
    if (now < next_report_) return;
    next_report_ = now + kErrorReportInterval;
    spdlog::error(
        "shadow log {}: {}; {} lines lost so far. Requests are not affected. Free the disk, or point the log "
        "elsewhere.",
        path_, Message(absl::ErrnoToStatus(error, "write")), lost());
  }

  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  const std::string path_;
  std::mutex mutex_;
  int fd_;
  std::chrono::steady_clock::time_point next_report_;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> lost_{0};
};

MetricFamily Unlabelled(const std::string& name, const std::string& help, MetricType type, double value) {
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return {name, help, type, {metric}};
}

ClientMetric MetricOf(const ShadowSeries& series) {
  ClientMetric metric;
  metric.label = {{"objective", series.objective()}, {"shadow", series.shadow()}, {"model", series.model()}};
  return metric;
}

}  // namespace

void ShadowSeries::AddDuration(uint64_t duration_us) {
  size_t bucket = 0;
  for (const uint32_t bound : kRequestBoundsUs) bucket += duration_us > bound ? 1 : 0;
  durations_[bucket].fetch_add(1, std::memory_order_relaxed);
  duration_sum_us_.fetch_add(duration_us, std::memory_order_relaxed);
}

class ShadowRecordsImpl : public ShadowRecords {
 public:
  ShadowRecordsImpl(ShadowRecordsOptions options, std::unique_ptr<Log> log)
      : options_(std::move(options)), log_(std::move(log)) {}

  ShadowSeries& SeriesOf(std::string_view objective, std::string_view shadow, std::string_view model) override {
    std::lock_guard lock(mutex_);
    Key key(objective, shadow, model);
    const auto found = series_.find(key);
    if (found != series_.end()) return *found->second;
    // One place is the others'.
    if (series_.size() + 1 >= options_.series_max) key = Key(kOther, kOther, kOther);
    std::unique_ptr<ShadowSeries>& series = series_[key];
    if (series == nullptr) {
      series = std::make_unique<ShadowSeries>(std::get<0>(key), std::get<1>(key), std::get<2>(key));
    }
    return *series;
  }

  void Report(ShadowReport report) override {
    if (log_ != nullptr) log_->Write(Json(report) + '\n');
    std::lock_guard lock(mutex_);
    std::deque<ShadowReport>& examples = examples_[report.series];
    examples.push_front(std::move(report));
    if (examples.size() > options_.examples_max) examples.pop_back();
  }

  std::string ExamplesJson() const override {
    std::lock_guard lock(mutex_);
    std::string json = "{\"shadows\":[";
    for (const auto& [key, series] : series_) {
      if (json.back() != '[') json += ',';
      json += "{\"objective\":";
      AppendJsonString(series->objective(), json);
      AppendField("shadow", series->shadow(), json);
      AppendField("model", series->model(), json);
      for (size_t i = 0; i < kShadowOutcomeNames.size(); ++i) {
        const uint64_t count = series->count(static_cast<ShadowOutcome>(i));
        if (count > 0) json += fmt::format(",\"{}\":{}", kShadowOutcomeNames[i], count);
      }
      json += ",\"examples\":[";
      const auto examples = examples_.find(series.get());
      if (examples != examples_.end()) {
        for (const ShadowReport& report : examples->second) {
          if (json.back() != '[') json += ',';
          json += Json(report);
        }
      }
      json += "]}";
    }
    json += "]}\n";
    return json;
  }

  absl::Status ReopenLog() override { return log_ == nullptr ? absl::OkStatus() : log_->Reopen(); }

  std::vector<MetricFamily> Collect() const override {
    MetricFamily requests{"signalbox_shadow_requests_total",
                          "Copies of requests that rules ask for, by what became of them.",
                          MetricType::Counter,
                          {}};
    MetricFamily durations{"signalbox_shadow_duration_seconds",
                           "From a copy's headers to the last byte of its answer.",
                           MetricType::Histogram,
                           {}};
    {
      std::lock_guard lock(mutex_);
      for (const auto& [key, series] : series_) AddMetrics(*series, requests, durations);
    }
    std::vector<MetricFamily> families = {std::move(requests), std::move(durations)};
    families.push_back(Unlabelled("signalbox_shadow_copies_open", "Copies of requests that are under way.",
                                  MetricType::Gauge, static_cast<double>(copies_open.load())));
    families.push_back(Unlabelled("signalbox_shadow_held_bytes", "Bodies and answers that are kept for shadows.",
                                  MetricType::Gauge, static_cast<double>(held_bytes.load())));
    if (log_ != nullptr) {
      families.push_back(Unlabelled("signalbox_shadow_log_written_total", "Lines written to the shadow log.",
                                    MetricType::Counter, static_cast<double>(log_->written())));
      families.push_back(Unlabelled("signalbox_shadow_log_lost_total", "Lines of the shadow log that were not written.",
                                    MetricType::Counter, static_cast<double>(log_->lost())));
    }
    return families;
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;

  static void AddMetrics(const ShadowSeries& series, MetricFamily& requests, MetricFamily& durations) {
    for (size_t i = 0; i < kShadowOutcomeNames.size(); ++i) {
      const auto outcome = static_cast<ShadowOutcome>(i);
      const uint64_t count = series.count(outcome);
      // What rates are made of is there from the beginning.
      if (count == 0 && outcome != ShadowOutcome::kAgree && outcome != ShadowOutcome::kDisagree) continue;
      ClientMetric metric = MetricOf(series);
      metric.label.push_back({"outcome", std::string(kShadowOutcomeNames[i])});
      metric.counter.value = static_cast<double>(count);
      requests.metric.push_back(std::move(metric));
    }
    ClientMetric metric = MetricOf(series);
    uint64_t cumulative = 0;
    for (size_t i = 0; i < kRequestBoundsUs.size(); ++i) {
      cumulative += series.durations_[i].load(std::memory_order_relaxed);
      metric.histogram.bucket.push_back({cumulative, static_cast<double>(kRequestBoundsUs[i]) / 1e6});
    }
    metric.histogram.sample_count = cumulative + series.durations_.back().load(std::memory_order_relaxed);
    metric.histogram.sample_sum =
        static_cast<double>(series.duration_sum_us_.load(std::memory_order_relaxed)) * kSecondsPerMicro;
    durations.metric.push_back(std::move(metric));
  }

  const ShadowRecordsOptions options_;
  const std::unique_ptr<Log> log_;
  mutable std::mutex mutex_;
  std::map<Key, std::unique_ptr<ShadowSeries>> series_;
  std::map<const ShadowSeries*, std::deque<ShadowReport>> examples_;
};

absl::StatusOr<std::unique_ptr<ShadowRecords>> ShadowRecords::Create(ShadowRecordsOptions options) {
  std::unique_ptr<Log> log;
  if (!options.log_path.empty()) {
    ASSIGN_OR_RETURN(const int fd, OpenForAppending(options.log_path));
    log = std::make_unique<Log>(options.log_path, fd);
  }
  return std::make_unique<ShadowRecordsImpl>(std::move(options), std::move(log));
}

}  // namespace signalbox::telemetry
