// How much of a host is in use, told to who asks for it with each answer: ORCA load reports, as vLLM and Triton give
// them.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace signalbox::host {

class Repository;

// Thread-safe.
class LoadReport {
 public:
  static constexpr std::string_view kFormatHeader = "endpoint-load-metrics-format";
  static constexpr std::string_view kHeader = "endpoint-load-metrics";

  explicit LoadReport(const Repository& repository);

  // "TEXT cpu_utilization=0.31,mem_utilization=0.5" or "JSON {...}", for the `format` "text" or "json" in any case;
  // empty for others. CPU: this process's part of all cores, of the last second or so. Memory: of the limit for models,
  // where there is one.
  std::string Now(std::string_view format);

 private:
  double CpuUtilization();

  const Repository& repository_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point measured_at_;  // guarded by mutex_, as are the next two
  double cpu_seconds_ = 0;                             // used by then
  double utilization_ = 0;
};

}  // namespace signalbox::host
