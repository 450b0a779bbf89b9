#include "host/booster.h"

#include <xgboost/c_api.h>

#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include "base/status.h"

namespace signalbox::host {
namespace {

absl::Status Check(int result, std::string_view action) {
  if (result == 0) return absl::OkStatus();
  // The first line is the reason; a stack trace follows.
  std::string_view reason = XGBGetLastError();
  return absl::FailedPreconditionError(fmt::format("XGBoost, {}: {}", action, reason.substr(0, reason.find('\n'))));
}

// NumPy's array interface: the form in which XGBoost takes memory that is not its own.
std::string ArrayInterface(const Matrix& matrix) {
  return fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                     reinterpret_cast<uintptr_t>(matrix.values.data()), matrix.rows(), matrix.columns);
}

struct FreeData {
  void operator()(void* handle) const { XGDMatrixFree(handle); }
};
using Data = std::unique_ptr<void, FreeData>;

absl::StatusOr<Data> MakeData(const TrainingSet& set) {
  DMatrixHandle handle = nullptr;
  RETURN_IF_ERROR(
      Check(XGDMatrixCreateFromDense(ArrayInterface(set.features).c_str(), R"({"missing":NaN,"nthread":1})", &handle),
            "take the training data"));
  Data data(handle);
  RETURN_IF_ERROR(
      Check(XGDMatrixSetFloatInfo(handle, "label", set.labels.data(), set.labels.size()), "take the labels"));
  if (!set.groups.empty()) {
    RETURN_IF_ERROR(
        Check(XGDMatrixSetUIntInfo(handle, "group", set.groups.data(), set.groups.size()), "take the groups"));
  }
  return data;
}

}  // namespace

std::span<float> Matrix::AddRow() {
  values.resize(values.size() + columns, std::numeric_limits<float>::quiet_NaN());
  return std::span(values).last(columns);
}

void Booster::Free::operator()(void* handle) const { XGBoosterFree(handle); }

absl::StatusOr<Booster> Booster::Train(const TrainingSet& set, const std::map<std::string, std::string>& parameters,
                                       int rounds) {
  if (set.features.rows() == 0 || set.features.rows() != set.labels.size()) {
    return absl::InvalidArgumentError(fmt::format("{} rows with {} labels: expected as many of both, and at least one",
                                                  set.features.rows(), set.labels.size()));
  }
  ASSIGN_OR_RETURN(Data data, MakeData(set));
  BoosterHandle handle = nullptr;
  DMatrixHandle matrices[] = {data.get()};
  RETURN_IF_ERROR(Check(XGBoosterCreate(matrices, 1, &handle), "create"));
  Booster booster(handle);
  RETURN_IF_ERROR(Check(XGBoosterSetParam(handle, "nthread", "1"), "set nthread"));
  for (const auto& [name, value] : parameters) {
    RETURN_IF_ERROR(
        Check(XGBoosterSetParam(handle, name.c_str(), value.c_str()), fmt::format("set {}={}", name, value)));
  }
  for (int round = 0; round < rounds; ++round) {
    RETURN_IF_ERROR(Check(XGBoosterUpdateOneIter(handle, round, data.get()), fmt::format("round {}", round)));
  }
  return booster;
}

absl::StatusOr<Booster> Booster::Parse(std::string_view bytes, size_t columns) {
  BoosterHandle handle = nullptr;
  RETURN_IF_ERROR(Check(XGBoosterCreate(nullptr, 0, &handle), "create"));
  Booster booster(handle);
  RETURN_IF_ERROR(Check(XGBoosterLoadModelFromBuffer(handle, bytes.data(), bytes.size()), "read the model"));
  // A request is served on the thread it came on; the host's parallelism is its requests.
  RETURN_IF_ERROR(Check(XGBoosterSetParam(handle, "nthread", "1"), "set nthread"));
  bst_ulong features = 0;
  RETURN_IF_ERROR(Check(XGBoosterGetNumFeature(handle, &features), "count the features"));
  if (features != columns) {
    return absl::FailedPreconditionError(
        fmt::format("the model was trained on {} features, the workflow computes {}", features, columns));
  }
  return booster;
}

absl::StatusOr<std::string> Booster::Serialize() const {
  bst_ulong size = 0;
  const char* bytes = nullptr;
  RETURN_IF_ERROR(
      Check(XGBoosterSaveModelToBuffer(handle_.get(), R"({"format":"ubj"})", &size, &bytes), "write the model"));
  return std::string(bytes, size);
}

absl::Status Booster::Predict(const Matrix& features, std::vector<float>& predictions) const {
  predictions.clear();
  if (features.rows() == 0) return absl::OkStatus();
  static constexpr char kConfig[] =
      R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false,"cache_id":0,"missing":NaN})";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* values = nullptr;
  RETURN_IF_ERROR(Check(XGBoosterPredictFromDense(handle_.get(), ArrayInterface(features).c_str(), kConfig, nullptr,
                                                  &shape, &dimensions, &values),
                        "predict"));
  size_t count = dimensions == 0 ? 0 : 1;
  for (bst_ulong i = 0; i < dimensions; ++i) count *= shape[i];
  if (count != features.rows()) {
    return absl::FailedPreconditionError(
        fmt::format("the model answers {} numbers for {} rows, expected one each", count, features.rows()));
  }
  predictions.assign(values, values + count);
  return absl::OkStatus();
}

}  // namespace signalbox::host
