// The text format of Prometheus (version 0.0.4), read piece by piece: what it takes does not grow with the page.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace signalbox::cli {

struct MetricLabel {
  std::string name;
  std::string value;  // without escapes; any bytes
};

// One line of values. Its views and labels live until the call that it was given to returns.
struct MetricSample {
  std::string_view name;
  const std::vector<MetricLabel>& labels;
  double value = 0;  // may be NaN or infinite

  // Empty when there is no such label, which is the same to Prometheus.
  std::string_view label(std::string_view label_name) const;
};

// Not thread-safe. After an error nothing more may be added.
class MetricsTextReader {
 public:
  // A page of 2048 series, the default limit of a proxy, has 20 MiB.
  static constexpr size_t kPageBytesMax = 128 << 20;
  static constexpr size_t kLineBytesMax = 64 << 10;
  static constexpr size_t kLabelsMax = 64;  // of one sample

  // `on_family`: the name of a family that is declared by a line "# TYPE", with or without samples. An error of
  // `on_sample` ends the reading, with the place before it.
  MetricsTextReader(std::function<absl::Status(const MetricSample&)> on_sample,
                    std::function<void(std::string_view)> on_family)
      : on_sample_(std::move(on_sample)), on_family_(std::move(on_family)) {}

  // The next bytes of the page, cut anywhere. INVALID_ARGUMENT says the line and the column, what is expected there and
  // what is there instead.
  absl::Status Add(std::string_view bytes);
  // After the last byte.
  absl::Status Finish();

 private:
  absl::Status ReadLine(std::string_view line);

  std::function<absl::Status(const MetricSample&)> on_sample_;
  std::function<void(std::string_view)> on_family_;
  std::string begun_line_;
  std::vector<MetricLabel> labels_;
  size_t page_bytes_ = 0;
  size_t line_number_ = 0;
};

}  // namespace signalbox::cli
