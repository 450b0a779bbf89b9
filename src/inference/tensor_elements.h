// The elements of one output tensor, whichever of the protocol's two forms they came in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "inference/open_inference.pb.h"

namespace signalbox::combine {

enum class Datatype : uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes,
};

// INVALID_ARGUMENT for what is no datatype of the protocol.
absl::StatusOr<Datatype> ParseDatatype(std::string_view name);
// Of one element in the raw form; 0 for kBytes, whose elements have lengths of their own.
size_t ElementBytes(Datatype datatype);

// Number of elements of a shape. INVALID_ARGUMENT for negative dimensions, and for more elements than can be.
absl::StatusOr<size_t> ElementCount(const google::protobuf::RepeatedField<int64_t>& shape);
// `[1,3]`.
std::string ShapeText(const google::protobuf::RepeatedField<int64_t>& shape);

using Output = ::inference::ModelInferResponse::InferOutputTensor;

// In the raw form: little-endian elements one after the other; of BYTES, each behind its length in 4 bytes. What is in
// the raw form already is checked. INVALID_ARGUMENT when there are more or fewer elements than `count`, or when typed
// contents are not those of the datatype.
absl::StatusOr<std::string> RawElements(const Output& output, Datatype datatype, size_t count,
                                        const std::string* raw_contents);
// The other way round. Not for kFp16 and kBf16, which have no typed form.
void SetTypedElements(std::string_view raw, Datatype datatype, Output& output);

// The values of a numeric datatype. Not for kBytes and kBool.
std::vector<long double> Numbers(std::string_view raw, Datatype datatype);
// Rounded to the nearest value of the datatype; integers: halves to even.
std::string RawOfNumbers(const std::vector<long double>& numbers, Datatype datatype);

}  // namespace signalbox::combine
