// XGBoost as a value: trees that were trained or read, and predictions from them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace signalbox::host {

// Rows of features, row by row. NaN is "not known"; XGBoost learns which way such a row goes at each split.
struct Matrix {
  size_t columns = 0;
  std::vector<float> values;

  size_t rows() const { return columns == 0 ? 0 : values.size() / columns; }
  // Appends a row of NaN and returns it; valid until the next call.
  std::span<float> AddRow();
};

struct TrainingSet {
  Matrix features;
  std::vector<float> labels;  // one a row
  std::vector<unsigned>
      groups;  // sizes of consecutive groups that are ranked within themselves; empty where nothing is ranked
};

class Booster {
 public:
  // `parameters` are XGBoost's own ("objective", "max_depth", ...). One thread, so that equal inputs give equal bytes.
  static absl::StatusOr<Booster> Train(const TrainingSet& set, const std::map<std::string, std::string>& parameters,
                                       int rounds);
  // The reverse of Serialize. FAILED_PRECONDITION with XGBoost's reason, also when it was trained on another number of
  // columns.
  static absl::StatusOr<Booster> Parse(std::string_view bytes, size_t columns);

  // UBJSON, XGBoost's own format.
  absl::StatusOr<std::string> Serialize() const;

  // One number a row. Thread-safe: XGBoost keeps the results of in-place prediction by thread, and changes nothing else
  // (since 1.4). Runs on the calling thread.
  absl::Status Predict(const Matrix& features, std::vector<float>& predictions) const;

 private:
  struct Free {
    void operator()(void* handle) const;
  };
  explicit Booster(void* handle) : handle_(handle) {}
  std::unique_ptr<void, Free> handle_;
};

}  // namespace signalbox::host
