// Tensors of Open Inference messages, read with suspicion and written in the form that the client used.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "inference/open_inference.pb.h"

namespace signalbox::host {

// What a model takes or gives: always one dimension, one element a row.
struct TensorSpec {
  std::string_view name;
  std::string_view datatype;  // "BYTES" or "FP32"
  bool optional = false;
};

// Rows that one request may ask for. A ranked list has tens; at ten thousand a request holds its thread for some ten
// milliseconds.
inline constexpr size_t kRowsMax = 10'000;
// Bytes of one BYTES element: titles and airport codes, not payloads.
inline constexpr size_t kElementBytesMax = 4096;

// The inputs of one request, checked. Views into the request, which must outlive it.
class Inputs {
 public:
  // INVALID_ARGUMENT, naming the tensor and what was expected, for: a required input that is missing, one that `specs`
  // does not have, one given twice, another datatype, a shape that is not [n] with 0 <= n <= kRowsMax or not the same n
  // in all, contents of another length or field than the shape and datatype say, raw_input_contents beside contents, or
  // of another number than inputs, or truncated.
  static absl::StatusOr<Inputs> Read(const inference::ModelInferRequest& request, std::span<const TensorSpec> specs);

  size_t rows() const { return rows_; }
  // `index` is that of the spec; the datatype of the spec says which may be called. Empty for an optional input that
  // was not given.
  std::span<const std::string_view> Bytes(size_t index) const { return columns_[index].bytes; }
  std::span<const float> Floats(size_t index) const { return columns_[index].floats; }

 private:
  struct Column {
    std::vector<std::string_view> bytes;
    std::vector<float> floats;
  };
  std::vector<Column> columns_;
  size_t rows_ = 0;
};

// Writes the outputs that `request` asks for (all, when it names none), raw when its inputs were raw and typed
// otherwise.
class Outputs {
 public:
  // INVALID_ARGUMENT when the request names an output that `specs` does not have.
  static absl::Status CheckRequested(const inference::ModelInferRequest& request, std::span<const TensorSpec> specs);

  Outputs(const inference::ModelInferRequest& request, inference::ModelInferResponse& response)
      : request_(request), response_(response) {}
  void Add(const TensorSpec& spec, std::span<const std::string_view> values);
  void Add(const TensorSpec& spec, std::span<const float> values);

 private:
  // nullptr when it was not asked for.
  inference::ModelInferResponse::InferOutputTensor* Begin(const TensorSpec& spec, size_t rows);
  bool raw() const { return request_.raw_input_contents_size() > 0; }

  const inference::ModelInferRequest& request_;
  inference::ModelInferResponse& response_;
};

}  // namespace signalbox::host
