#include "host/tensor.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status.h"

namespace signalbox::host {
namespace {

using InputTensor = inference::ModelInferRequest::InferInputTensor;

// What clients send is repeated in messages up to this many bytes.
constexpr size_t kEchoBytesMax = 100;

std::string_view Echo(std::string_view text) { return text.substr(0, kEchoBytesMax); }

template <typename... Arguments>
absl::Status Refuse(std::string_view tensor, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return absl::InvalidArgumentError(
      fmt::format("input \"{}\": {}", Echo(tensor), fmt::format(format, std::forward<Arguments>(arguments)...)));
}

std::string Names(std::span<const TensorSpec> specs) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : specs) {
    names.push_back(fmt::format("{} {}[n]{}", spec.name, spec.datatype, spec.optional ? " (optional)" : ""));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

absl::StatusOr<size_t> Rows(const InputTensor& input) {
  if (input.shape_size() != 1) {
    return Refuse(input.name(), "the shape has {} dimensions, expected one: [n]", input.shape_size());
  }
  const int64_t rows = input.shape(0);
  if (rows < 0 || rows > static_cast<int64_t>(kRowsMax)) {
    return Refuse(input.name(), "shape [{}], expected 0 to {} rows", rows, kRowsMax);
  }
  return static_cast<size_t>(rows);
}

absl::Status CheckElement(const std::string& tensor, size_t row, size_t bytes) {
  if (bytes <= kElementBytesMax) return absl::OkStatus();
  return Refuse(tensor, "element {} has {} bytes, the limit is {}", row, bytes, kElementBytesMax);
}

// How many elements the typed contents hold besides those of the field that the datatype says.
int64_t ElementsElsewhere(const inference::InferTensorContents& contents, int64_t expected_field) {
  return int64_t{contents.bool_contents_size()} + contents.int_contents_size() + contents.int64_contents_size() +
         contents.uint_contents_size() + contents.uint64_contents_size() + contents.fp32_contents_size() +
         contents.fp64_contents_size() + contents.bytes_contents_size() - expected_field;
}

absl::Status CheckCount(const InputTensor& input, std::string_view field, int64_t found, size_t rows) {
  if (int64_t elsewhere = ElementsElsewhere(input.contents(), found); elsewhere != 0) {
    return Refuse(input.name(), "{} elements outside contents.{}, where {} belongs", elsewhere, field,
                  input.datatype());
  }
  if (found != static_cast<int64_t>(rows)) {
    return Refuse(input.name(), "{} elements in contents.{}, the shape says {}", found, field, rows);
  }
  return absl::OkStatus();
}

absl::Status ReadTyped(const InputTensor& input, size_t rows, std::vector<std::string_view>& values) {
  RETURN_IF_ERROR(CheckCount(input, "bytes_contents", input.contents().bytes_contents_size(), rows));
  for (const std::string& value : input.contents().bytes_contents()) {
    RETURN_IF_ERROR(CheckElement(input.name(), values.size(), value.size()));
    values.push_back(value);
  }
  return absl::OkStatus();
}

absl::Status ReadTyped(const InputTensor& input, size_t rows, std::vector<float>& values) {
  RETURN_IF_ERROR(CheckCount(input, "fp32_contents", input.contents().fp32_contents_size(), rows));
  values.assign(input.contents().fp32_contents().begin(), input.contents().fp32_contents().end());
  return absl::OkStatus();
}

// Elements of raw contents are little-endian; so is every machine this is built for.
static_assert(std::endian::native == std::endian::little);

// BYTES: each element is its length in four bytes, then itself.
absl::Status ReadRaw(const InputTensor& input, std::string_view raw, size_t rows,
                     std::vector<std::string_view>& values) {
  for (size_t row = 0; row < rows; ++row) {
    uint32_t length;
    if (raw.size() < sizeof(length)) {
      return Refuse(input.name(), "raw contents end within the length of element {}, the shape says {} elements", row,
                    rows);
    }
    std::memcpy(&length, raw.data(), sizeof(length));
    raw.remove_prefix(sizeof(length));
    RETURN_IF_ERROR(CheckElement(input.name(), row, length));
    if (raw.size() < length) {
      return Refuse(input.name(), "raw contents end within element {}: {} of {} bytes", row, raw.size(), length);
    }
    values.push_back(raw.substr(0, length));
    raw.remove_prefix(length);
  }
  if (!raw.empty())
    return Refuse(input.name(), "{} bytes of raw contents after the last of {} elements", raw.size(), rows);
  return absl::OkStatus();
}

absl::Status ReadRaw(const InputTensor& input, std::string_view raw, size_t rows, std::vector<float>& values) {
  if (raw.size() != rows * sizeof(float)) {
    return Refuse(input.name(), "{} bytes of raw contents, expected {} for {} elements of FP32", raw.size(),
                  rows * sizeof(float), rows);
  }
  values.resize(rows);
  if (rows > 0) std::memcpy(values.data(), raw.data(), raw.size());
  return absl::OkStatus();
}

// `raw` is set when the contents are in raw_input_contents.
template <typename Value>
absl::Status ReadColumn(const InputTensor& input, const std::string* raw, size_t rows, std::vector<Value>& values) {
  values.reserve(rows);
  return raw != nullptr ? ReadRaw(input, *raw, rows, values) : ReadTyped(input, rows, values);
}

absl::Status CheckRawContents(const inference::ModelInferRequest& request) {
  if (request.raw_input_contents_size() == 0) return absl::OkStatus();
  if (request.raw_input_contents_size() != request.inputs_size()) {
    return absl::InvalidArgumentError(fmt::format("{} raw_input_contents for {} inputs: expected one each, or none",
                                                  request.raw_input_contents_size(), request.inputs_size()));
  }
  for (const InputTensor& input : request.inputs()) {
    if (input.has_contents())
      return Refuse(input.name(), "has contents, and raw_input_contents are given too: expected one of them");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Inputs> Inputs::Read(const inference::ModelInferRequest& request, std::span<const TensorSpec> specs) {
  RETURN_IF_ERROR(CheckRawContents(request));
  Inputs inputs;
  inputs.columns_.resize(specs.size());
  std::vector<bool> seen(specs.size());
  std::optional<size_t> rows;
  for (int i = 0; i < request.inputs_size(); ++i) {
    const InputTensor& input = request.inputs(i);
    auto spec = std::find_if(specs.begin(), specs.end(), [&](const TensorSpec& s) { return s.name == input.name(); });
    if (spec == specs.end()) return Refuse(input.name(), "this model has no such input; it takes {}", Names(specs));
    const size_t index = static_cast<size_t>(spec - specs.begin());
    if (seen[index]) return Refuse(input.name(), "given twice");
    seen[index] = true;
    if (input.datatype() != spec->datatype) {
      return Refuse(input.name(), "datatype \"{}\", expected {}", Echo(input.datatype()), spec->datatype);
    }
    ASSIGN_OR_RETURN(size_t input_rows, Rows(input));
    if (rows && *rows != input_rows)
      return Refuse(input.name(), "{} rows, the input before it has {}", input_rows, *rows);
    rows = input_rows;
    const std::string* raw = request.raw_input_contents_size() > 0 ? &request.raw_input_contents(i) : nullptr;
    Column& column = inputs.columns_[index];
    RETURN_IF_ERROR(spec->datatype == "BYTES" ? ReadColumn(input, raw, input_rows, column.bytes)
                                              : ReadColumn(input, raw, input_rows, column.floats));
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    if (!seen[i] && !specs[i].optional) return Refuse(specs[i].name, "missing; this model takes {}", Names(specs));
  }
  inputs.rows_ = rows.value_or(0);
  return inputs;
}

absl::Status Outputs::CheckRequested(const inference::ModelInferRequest& request, std::span<const TensorSpec> specs) {
  for (const auto& output : request.outputs()) {
    if (std::none_of(specs.begin(), specs.end(), [&](const TensorSpec& s) { return s.name == output.name(); })) {
      return absl::InvalidArgumentError(
          fmt::format("output \"{}\": this model has no such output; it gives {}", Echo(output.name()), Names(specs)));
    }
  }
  return absl::OkStatus();
}

inference::ModelInferResponse::InferOutputTensor* Outputs::Begin(const TensorSpec& spec, size_t rows) {
  const auto& requested = request_.outputs();
  if (!requested.empty() && std::none_of(requested.begin(), requested.end(),
                                         [&](const auto& output) { return output.name() == spec.name; })) {
    return nullptr;
  }
  auto* output = response_.add_outputs();
  output->set_name(spec.name.data(), spec.name.size());
  output->set_datatype(spec.datatype.data(), spec.datatype.size());
  output->add_shape(static_cast<int64_t>(rows));
  return output;
}

void Outputs::Add(const TensorSpec& spec, std::span<const std::string_view> values) {
  auto* output = Begin(spec, values.size());
  if (output == nullptr) return;
  if (!raw()) {
    for (std::string_view value : values) output->mutable_contents()->add_bytes_contents(value.data(), value.size());
    return;
  }
  std::string& bytes = *response_.add_raw_output_contents();
  for (std::string_view value : values) {
    const uint32_t length = static_cast<uint32_t>(value.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes.append(value);
  }
}

void Outputs::Add(const TensorSpec& spec, std::span<const float> values) {
  auto* output = Begin(spec, values.size());
  if (output == nullptr) return;
  if (raw()) {
    response_.add_raw_output_contents(values.data(), values.size_bytes());
  } else {
    output->mutable_contents()->mutable_fp32_contents()->Add(values.begin(), values.end());
  }
}

}  // namespace signalbox::host
