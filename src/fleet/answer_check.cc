#include "fleet/answer_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "base/printable.h"
#include "base/status.h"

namespace signalbox::fleet {
namespace {

using inference::InferTensorContents;
using inference::ModelInferResponse;
using Output = ModelInferResponse::InferOutputTensor;

constexpr size_t kNameBytesShown = 100;
// "BYTES" is a length of four bytes, and the bytes, for each element.
constexpr size_t kLengthBytes = 4;

template <typename... Arguments>
absl::Status Broken(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return absl::FailedPreconditionError(fmt::format(format, std::forward<Arguments>(arguments)...));
}

std::string Shown(std::string_view name) { return EscapeControlCharacters(name.substr(0, kNameBytesShown)); }

template <typename Shape>
std::string ShapeText(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Of one element; 0: they differ (BYTES); nullopt: not a datatype of the protocol.
std::optional<size_t> ElementBytes(std::string_view datatype) {
  if (datatype == "BYTES") return 0;
  if (datatype == "BOOL" || datatype == "UINT8" || datatype == "INT8") return 1;
  if (datatype == "UINT16" || datatype == "INT16" || datatype == "FP16" || datatype == "BF16") return 2;
  if (datatype == "UINT32" || datatype == "INT32" || datatype == "FP32") return 4;
  if (datatype == "UINT64" || datatype == "INT64" || datatype == "FP64") return 8;
  return std::nullopt;
}

absl::StatusOr<uint64_t> ElementsOf(const Output& output) {
  uint64_t elements = 1;
  for (int64_t dimension : output.shape()) {
    if (dimension < 0) {
      return Broken("output \"{}\" has the shape {}: an answer has no dimension below 0", Shown(output.name()),
                    ShapeText(output.shape()));
    }
    if (__builtin_mul_overflow(elements, static_cast<uint64_t>(dimension), &elements)) {
      return Broken("output \"{}\" has the shape {}: more elements than can be counted", Shown(output.name()),
                    ShapeText(output.shape()));
    }
  }
  return elements;
}

// How many elements the bytes hold; nullopt when lengths do not add up.
std::optional<uint64_t> CountBytesElements(std::string_view raw) {
  uint64_t elements = 0;
  for (; !raw.empty(); ++elements) {
    uint32_t length = 0;
    if (raw.size() < kLengthBytes) return std::nullopt;
    std::memcpy(&length, raw.data(), kLengthBytes);  // little-endian, as this machine
    raw.remove_prefix(kLengthBytes);
    if (raw.size() < length) return std::nullopt;
    raw.remove_prefix(length);
  }
  return elements;
}

template <typename Number>
Number At(std::string_view raw, size_t index) {
  Number number;
  std::memcpy(&number, raw.data() + index * sizeof number, sizeof number);
  return number;
}

// The first element that is no finite number.
std::optional<size_t> FirstNotFinite(std::string_view datatype, std::string_view raw) {
  auto find = [raw](size_t bytes, auto is_finite) -> std::optional<size_t> {
    for (size_t index = 0; index < raw.size() / bytes; ++index) {
      if (!is_finite(index)) return index;
    }
    return std::nullopt;
  };
  // NaN and the infinities have all bits of the exponent set.
  auto has_exponent = [&](uint16_t mask) {
    return find(2, [raw, mask](size_t index) { return (At<uint16_t>(raw, index) & mask) != mask; });
  };
  if (datatype == "FP32") return find(4, [raw](size_t index) { return std::isfinite(At<float>(raw, index)); });
  if (datatype == "FP64") return find(8, [raw](size_t index) { return std::isfinite(At<double>(raw, index)); });
  if (datatype == "FP16") return has_exponent(0x7c00);
  if (datatype == "BF16") return has_exponent(0x7f80);
  return std::nullopt;
}

template <typename Numbers>
std::optional<size_t> FirstNotFinite(const Numbers& numbers) {
  for (int index = 0; index < numbers.size(); ++index) {
    if (!std::isfinite(numbers[index])) return index;
  }
  return std::nullopt;
}

absl::Status NotFinite(const Output& output, size_t index) {
  return Broken("output \"{}\": element {} is NaN or infinite; the sample is expected to give numbers",
                Shown(output.name()), index);
}

absl::Status CheckRaw(const Output& output, std::string_view raw, uint64_t elements) {
  const std::optional<size_t> bytes = ElementBytes(output.datatype());
  if (!bytes) return absl::OkStatus();
  if (*bytes == 0) {
    const std::optional<uint64_t> found = CountBytesElements(raw);
    if (found == elements) return absl::OkStatus();
    return Broken("output \"{}\": its shape {} says {} elements, its {} raw bytes hold {}", Shown(output.name()),
                  ShapeText(output.shape()), elements, raw.size(),
                  found ? fmt::format("{}", *found) : "lengths that do not add up");
  }
  uint64_t expected = 0;
  if (__builtin_mul_overflow(elements, *bytes, &expected) || raw.size() != expected) {
    return Broken("output \"{}\": its shape {} says {} elements of {} bytes ({}), it has {} raw bytes",
                  Shown(output.name()), ShapeText(output.shape()), elements, *bytes, output.datatype(), raw.size());
  }
  if (std::optional<size_t> index = FirstNotFinite(output.datatype(), raw)) return NotFinite(output, *index);
  return absl::OkStatus();
}

// In the field that the protocol wants for the datatype; nullopt: it has none, or the datatype is not the protocol's.
std::optional<int> TypedElements(std::string_view datatype, const InferTensorContents& contents) {
  if (datatype == "BOOL") return contents.bool_contents_size();
  if (datatype == "INT8" || datatype == "INT16" || datatype == "INT32") return contents.int_contents_size();
  if (datatype == "INT64") return contents.int64_contents_size();
  if (datatype == "UINT8" || datatype == "UINT16" || datatype == "UINT32") return contents.uint_contents_size();
  if (datatype == "UINT64") return contents.uint64_contents_size();
  if (datatype == "FP32") return contents.fp32_contents_size();
  if (datatype == "FP64") return contents.fp64_contents_size();
  if (datatype == "BYTES") return contents.bytes_contents_size();
  return std::nullopt;
}

absl::Status CheckTyped(const Output& output, uint64_t elements) {
  const std::optional<int> found = TypedElements(output.datatype(), output.contents());
  if (!found) {
    if (!ElementBytes(output.datatype())) return absl::OkStatus();
    return Broken("output \"{}\" is {} and not in raw_output_contents, the only place for it", Shown(output.name()),
                  output.datatype());
  }
  if (static_cast<uint64_t>(*found) != elements) {
    return Broken("output \"{}\": its shape {} says {} elements, its contents of {} have {}", Shown(output.name()),
                  ShapeText(output.shape()), elements, output.datatype(), *found);
  }
  std::optional<size_t> index = FirstNotFinite(output.contents().fp32_contents());
  if (!index) index = FirstNotFinite(output.contents().fp64_contents());
  return index ? NotFinite(output, *index) : absl::OkStatus();
}

bool Fits(const v1::OutputContract& contract, const Output& output) {
  if (contract.shape().empty()) return true;
  if (contract.shape_size() != output.shape_size()) return false;
  for (int i = 0; i < contract.shape_size(); ++i) {
    if (contract.shape(i) >= 0 && contract.shape(i) != output.shape(i)) return false;
  }
  return true;
}

absl::Status CheckContract(const v1::OutputContract& contract, const ModelInferResponse& answer) {
  const Output* found = nullptr;
  std::vector<std::string> names;
  for (const Output& output : answer.outputs()) {
    names.push_back(Shown(output.name()));
    if (output.name() != contract.name()) continue;
    if (found != nullptr) return Broken("output \"{}\" stands twice in the answer", Shown(contract.name()));
    found = &output;
  }
  if (found == nullptr) {
    return Broken("the answer has no output \"{}\", which is declared; it has {}", Shown(contract.name()),
                  names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
  }
  if (!contract.datatype().empty() && found->datatype() != contract.datatype()) {
    return Broken("output \"{}\" is {}, declared is {}", Shown(contract.name()), Shown(found->datatype()),
                  contract.datatype());
  }
  if (!Fits(contract, *found)) {
    return Broken("output \"{}\" has the shape {}, declared is {} (-1: any)", Shown(contract.name()),
                  ShapeText(found->shape()), ShapeText(contract.shape()));
  }
  return absl::OkStatus();
}

}  // namespace

OutputContracts ContractOf(const inference::ModelMetadataResponse& metadata) {
  OutputContracts contracts;
  for (const auto& tensor : metadata.outputs()) {
    v1::OutputContract* contract = contracts.Add();
    contract->set_name(tensor.name());
    contract->set_datatype(tensor.datatype());
    *contract->mutable_shape() = tensor.shape();
  }
  return contracts;
}

absl::Status CheckAnswer(std::string_view model_name, std::string_view model_version, const OutputContracts& contract,
                         const ModelInferResponse& answer) {
  const bool other_name = !answer.model_name().empty() && answer.model_name() != model_name;
  const bool other_version =
      !model_version.empty() && !answer.model_version().empty() && answer.model_version() != model_version;
  if (other_name || other_version) {
    return Broken("model \"{}\" version \"{}\" answered", Shown(answer.model_name()), Shown(answer.model_version()));
  }
  for (const v1::OutputContract& output : contract) RETURN_IF_ERROR(CheckContract(output, answer));
  if (answer.outputs().empty()) return Broken("the answer has no outputs");
  const bool is_raw = !answer.raw_output_contents().empty();
  if (is_raw && answer.raw_output_contents_size() != answer.outputs_size()) {
    return Broken("the answer has {} outputs and raw contents of {}", answer.outputs_size(),
                  answer.raw_output_contents_size());
  }
  for (int i = 0; i < answer.outputs_size(); ++i) {
    const Output& output = answer.outputs(i);
    ASSIGN_OR_RETURN(const uint64_t elements, ElementsOf(output));
    RETURN_IF_ERROR(is_raw ? CheckRaw(output, answer.raw_output_contents(i), elements) : CheckTyped(output, elements));
  }
  return absl::OkStatus();
}

}  // namespace signalbox::fleet
