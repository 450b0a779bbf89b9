#include "host/load_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "host/repository.h"

namespace signalbox::host {
namespace {

// Shorter times measure chance.
constexpr std::chrono::milliseconds kMeasureMin{500};

double CpuSecondsUsed() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

bool IsWord(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

LoadReport::LoadReport(const Repository& repository)
    : repository_(repository), measured_at_(std::chrono::steady_clock::now()), cpu_seconds_(CpuSecondsUsed()) {}

std::string LoadReport::Now(std::string_view format) {
  const bool is_text = IsWord(format, "text");
  if (!is_text && !IsWord(format, "json")) return "";
  const double cpu = CpuUtilization();
  const uint64_t memory_max = repository_.memory_bytes_max();
  if (memory_max == 0) {
    return is_text ? fmt::format("TEXT cpu_utilization={:.4f}", cpu)
                   : fmt::format("JSON {{\"cpu_utilization\": {:.4f}}}", cpu);
  }
  const double memory = static_cast<double>(repository_.memory_bytes()) / static_cast<double>(memory_max);
  return is_text ? fmt::format("TEXT cpu_utilization={:.4f},mem_utilization={:.4f}", cpu, memory)
                 : fmt::format("JSON {{\"cpu_utilization\": {:.4f}, \"mem_utilization\": {:.4f}}}", cpu, memory);
}

double LoadReport::CpuUtilization() {
  std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - measured_at_ < kMeasureMin) return utilization_;
  const double used = CpuSecondsUsed();
  const double cores = std::max(1U, std::thread::hardware_concurrency());
  utilization_ = (used - cpu_seconds_) / (std::chrono::duration<double>(now - measured_at_).count() * cores);
  cpu_seconds_ = used;
  measured_at_ = now;
  return utilization_;
}

}  // namespace signalbox::host
