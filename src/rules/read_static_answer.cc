#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "api/rule_set.h"
#include "inference/open_inference.pb.h"
#include "rules/rule_reading.h"

namespace signalbox::rules {
namespace {

using Tensor = inference::ModelInferResponse::InferOutputTensor;
using Contents = inference::InferTensorContents;

constexpr size_t kMessageBytesMax = 64U << 10;
constexpr size_t kOutputsMax = 100;
constexpr size_t kDimensionsMax = 8;

struct Number {
  double low;
  double high;
  bool is_whole;
  std::string_view type = {};
};

template <typename T>
bool AddNumber(FieldReader& reader, const Field& item, const Number& number, google::protobuf::RepeatedField<T>* to) {
  const std::string expected = number.is_whole
                                   ? fmt::format("a whole number from {:.0f} to {:.0f}", number.low, number.high)
                                   : fmt::format("a number that {} can hold", number.type);
  const std::optional<double> value = reader.Number(item, number.low, number.high, expected);
  if (!value) return false;
  if (number.is_whole && *value != std::floor(*value)) {
    reader.ErrorExpected(item, expected);
    return false;
  }
  to->Add(static_cast<T>(*value));
  return true;
}

// JavaScript has whole numbers up to 2^53.
constexpr double kExact = 9007199254740991.0;

bool AddItem(FieldReader& reader, const Field& item, std::string_view datatype, Contents& contents) {
  if (datatype == "BOOL") {
    const auto* boolean = std::get_if<bool>(&item.value->data);
    if (boolean == nullptr) reader.ErrorExpected(item, "true or false");
    if (boolean != nullptr) contents.add_bool_contents(*boolean);
    return boolean != nullptr;
  }
  if (datatype == "BYTES") {
    const std::optional<std::string> text = reader.Text(item, "a text");
    if (text) contents.add_bytes_contents(*text);
    return text.has_value();
  }
  if (datatype == "INT8") return AddNumber(reader, item, {-128, 127, true}, contents.mutable_int_contents());
  if (datatype == "INT16") return AddNumber(reader, item, {-32768, 32767, true}, contents.mutable_int_contents());
  if (datatype == "INT32")
    return AddNumber(reader, item, {-2147483648.0, 2147483647.0, true}, contents.mutable_int_contents());
  if (datatype == "INT64") return AddNumber(reader, item, {-kExact, kExact, true}, contents.mutable_int64_contents());
  if (datatype == "UINT8") return AddNumber(reader, item, {0, 255, true}, contents.mutable_uint_contents());
  if (datatype == "UINT16") return AddNumber(reader, item, {0, 65535, true}, contents.mutable_uint_contents());
  if (datatype == "UINT32") return AddNumber(reader, item, {0, 4294967295.0, true}, contents.mutable_uint_contents());
  if (datatype == "UINT64") return AddNumber(reader, item, {0, kExact, true}, contents.mutable_uint64_contents());
  if (datatype == "FP32")
    return AddNumber(reader, item, {-3.4028234663852886e38, 3.4028234663852886e38, false, "FP32"},
                     contents.mutable_fp32_contents());
  return AddNumber(reader, item, {-1.7976931348623157e308, 1.7976931348623157e308, false, "FP64"},
                   contents.mutable_fp64_contents());
}

constexpr std::array<std::string_view, 12> kDatatypes = {"BOOL",   "INT8",   "INT16",  "INT32", "INT64", "UINT8",
                                                         "UINT16", "UINT32", "UINT64", "FP32",  "FP64",  "BYTES"};

void ReadTensor(FieldReader& reader, const Field& field, Tensor& tensor) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "a tensor: {name: 'scores', datatype: 'FP32', shape: [1], data: [0]}");
  reader.CheckKeys(field, {"name", "datatype", "shape", "data"});
  tensor.set_name(reader.Id(reader.Key(field, "name")).value_or(""));
  const Field datatype = reader.Key(field, "datatype");
  const std::string expected = fmt::format("a type of Open Inference: {}", fmt::join(kDatatypes, ", "));
  const std::optional<std::string> type = reader.Text(datatype, expected);
  if (!type) return;
  if (std::find(kDatatypes.begin(), kDatatypes.end(), *type) == kDatatypes.end())
    return reader.ErrorExpected(datatype, expected);
  tensor.set_datatype(*type);
  const Field shape = reader.Key(field, "shape");
  if (shape.AsArray() == nullptr || shape.AsArray()->empty() || shape.AsArray()->size() > kDimensionsMax)
    return reader.ErrorExpected(shape, fmt::format("an array of 1 to {} whole numbers", kDimensionsMax));
  double items = 1;
  for (size_t i = 0; i < shape.AsArray()->size(); ++i) {
    const std::optional<uint64_t> size = reader.Whole(reader.Item(shape, i), 0, 1e6);
    if (!size) return;
    tensor.add_shape(static_cast<int64_t>(*size));
    items *= static_cast<double>(*size);
  }
  const Field data = reader.Key(field, "data");
  if (data.AsArray() == nullptr) return reader.ErrorExpected(data, "an array, flat and in row-major order");
  const size_t given = data.AsArray()->size();
  if (static_cast<double>(given) != items)
    return reader.Error(data, fmt::format("has {} items, expected {:.0f}, the product of the shape", given, items));
  for (size_t i = 0; i < given; ++i) {
    if (!AddItem(reader, reader.Item(data, i), *type, *tensor.mutable_contents())) return;
  }
}

}  // namespace

void ReadStaticAnswer(FieldReader& reader, const Field& field, v1::StaticAnswer& answer) {
  if (field.AsObject() == nullptr)
    return reader.ErrorExpected(field, "{outputs: [{name, datatype, shape, data}]} or {base64: '...'}");
  if (const Field base64 = reader.Key(field, "base64"); base64.IsPresent()) {
    reader.CheckKeys(field, {"base64"});
    const std::optional<std::string> text = reader.Text(base64, "one serialised response message in base64");
    if (text && !absl::Base64Unescape(*text, answer.mutable_message()))
      reader.Error(base64, "is no base64, expected one serialised response message in base64");
  } else {
    reader.CheckKeys(field, {"outputs", "base64"});
    const Field outputs = reader.Key(field, "outputs");
    const RuleValue::Array* items = outputs.AsArray();
    if (items == nullptr || items->empty() || items->size() > kOutputsMax) {
      return reader.ErrorExpected(outputs,
                                  "an array of tensors: [{name: 'scores', datatype: 'FP32', shape: [1], data: [0]}]");
    }
    inference::ModelInferResponse response;
    for (size_t i = 0; i < items->size(); ++i) ReadTensor(reader, reader.Item(outputs, i), *response.add_outputs());
    answer.set_message(response.SerializeAsString());
  }
  if (answer.message().empty() && reader.ok()) reader.Error(field, "is empty, expected one response message");
  if (answer.message().size() > kMessageBytesMax) {
    reader.Error(field, fmt::format("takes {} bytes, expected at most {}", answer.message().size(), kMessageBytesMax));
  }
}

}  // namespace signalbox::rules
