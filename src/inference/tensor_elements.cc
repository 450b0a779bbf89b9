#include "inference/tensor_elements.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/status.h"

namespace signalbox::combine {
namespace {

static_assert(std::endian::native == std::endian::little, "raw contents are little-endian");

struct NamedDatatype {
  std::string_view name;
  size_t element_bytes;
};
// In the order of Datatype.
constexpr std::array<NamedDatatype, 14> kDatatypes = {{{"BOOL", 1},
                                                       {"UINT8", 1},
                                                       {"UINT16", 2},
                                                       {"UINT32", 4},
                                                       {"UINT64", 8},
                                                       {"INT8", 1},
                                                       {"INT16", 2},
                                                       {"INT32", 4},
                                                       {"INT64", 8},
                                                       {"FP16", 2},
                                                       {"BF16", 2},
                                                       {"FP32", 4},
                                                       {"FP64", 8},
                                                       {"BYTES", 0}}};

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float FloatOfHalf(uint16_t half) {
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = half >> 10 & 0x1F;
  const int fraction = half & 0x3FF;
  if (exponent == 0x1F) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(fraction | 0x400), exponent - 25);
}

// To the nearest, ties to even, from the exact value: rounding to float first would round twice.
uint16_t HalfOf(long double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return 0x7E00;
  const long double size = std::fabs(value);
  constexpr long double kOverflow = 65520;  // halfway between the largest and what would come next
  if (size >= kOverflow) return static_cast<uint16_t>(sign | 0x7C00);
  int exponent = -13;
  if (size > 0) (void)std::frexp(size, &exponent);                               // size = m * 2^exponent, m in [0.5, 1)
  exponent = std::max(exponent, -13);                                            // subnormal below 2^-14
  const long double fraction = std::nearbyint(std::ldexp(size, 11 - exponent));  // 11 significant bits
  // 1024 to 2048; a carry to 2048 goes into the exponent by itself, and so does a subnormal that became normal.
  const auto bits = static_cast<uint32_t>(fraction) + (static_cast<uint32_t>(exponent + 13) << 10);
  return static_cast<uint16_t>(sign | bits);
}

float FloatOfBf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t Bf16Of(long double value) {
  if (std::isnan(value)) return 0x7FC0;
  // To odd first, so that the second rounding cannot be misled by the first.
  auto nearest = static_cast<float>(value);
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::isfinite(nearest) && static_cast<long double>(nearest) != value && (bits & 1) == 0) {
    const bool is_larger = std::fabs(static_cast<long double>(nearest)) > std::fabs(value);
    bits = is_larger ? bits - 1 : bits | 1;
  }
  if (std::isinf(nearest)) return static_cast<uint16_t>(bits >> 16);
  bits += 0x7FFF + (bits >> 16 & 1);
  return static_cast<uint16_t>(bits >> 16);
}

template <typename T>
void AppendRaw(T value, std::string& out) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

template <typename T>
T RawAt(std::string_view raw, size_t index) {
  T value;
  std::memcpy(&value, raw.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T, typename Values>
std::string RawOfTyped(const Values& values) {
  std::string raw;
  raw.reserve(static_cast<size_t>(values.size()) * sizeof(T));
  for (const auto value : values) AppendRaw(static_cast<T>(value), raw);
  return raw;
}

template <typename T, typename Values>
void TypedOfRaw(std::string_view raw, Values& values) {
  for (size_t i = 0; i < raw.size() / sizeof(T); ++i) values.Add(RawAt<T>(raw, i));
}

// The number of BYTES elements in the raw form; nullopt when their lengths do not add up.
std::optional<size_t> CountBytesElements(std::string_view raw) {
  size_t count = 0;
  while (!raw.empty()) {
    if (raw.size() < sizeof(uint32_t)) return std::nullopt;
    const size_t size = RawAt<uint32_t>(raw, 0);
    raw.remove_prefix(sizeof(uint32_t));
    if (size > raw.size()) return std::nullopt;
    raw.remove_prefix(size);
    ++count;
  }
  return count;
}

template <typename T>
void AppendNumbers(std::string_view raw, std::vector<long double>& numbers) {
  for (size_t i = 0; i < raw.size() / sizeof(T); ++i) numbers.push_back(static_cast<long double>(RawAt<T>(raw, i)));
}

// Means never leave the datatype's range, but for what rounding adds at its very end.
template <typename T>
T Rounded(long double number) {
  const long double rounded = std::nearbyint(number);
  if (rounded <= static_cast<long double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (rounded >= static_cast<long double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(rounded);
}

}  // namespace

absl::StatusOr<Datatype> ParseDatatype(std::string_view name) {
  for (size_t i = 0; i < kDatatypes.size(); ++i) {
    if (kDatatypes[i].name == name) return static_cast<Datatype>(i);
  }
  return absl::InvalidArgumentError(fmt::format("its datatype is \"{}\", which the protocol does not have", name));
}

size_t ElementBytes(Datatype datatype) { return kDatatypes[static_cast<size_t>(datatype)].element_bytes; }

absl::StatusOr<size_t> ElementCount(const google::protobuf::RepeatedField<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(count, static_cast<size_t>(dimension), &count)) {
      return absl::InvalidArgumentError(fmt::format("its shape is {}, which no tensor can have", ShapeText(shape)));
    }
  }
  return count;
}

std::string ShapeText(const google::protobuf::RepeatedField<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ","));
}

absl::StatusOr<std::string> RawElements(const Output& output, Datatype datatype, size_t count,
                                        const std::string* raw_contents) {
  const ::inference::InferTensorContents& typed = output.contents();
  std::string raw;
  if (raw_contents != nullptr) {
    raw = *raw_contents;
  } else {
    switch (datatype) {
      case Datatype::kBool:
        raw = RawOfTyped<bool>(typed.bool_contents());
        break;
      case Datatype::kUint8:
        raw = RawOfTyped<uint8_t>(typed.uint_contents());
        break;
      case Datatype::kUint16:
        raw = RawOfTyped<uint16_t>(typed.uint_contents());
        break;
      case Datatype::kUint32:
        raw = RawOfTyped<uint32_t>(typed.uint_contents());
        break;
      case Datatype::kUint64:
        raw = RawOfTyped<uint64_t>(typed.uint64_contents());
        break;
      case Datatype::kInt8:
        raw = RawOfTyped<int8_t>(typed.int_contents());
        break;
      case Datatype::kInt16:
        raw = RawOfTyped<int16_t>(typed.int_contents());
        break;
      case Datatype::kInt32:
        raw = RawOfTyped<int32_t>(typed.int_contents());
        break;
      case Datatype::kInt64:
        raw = RawOfTyped<int64_t>(typed.int64_contents());
        break;
      case Datatype::kFp32:
        raw = RawOfTyped<float>(typed.fp32_contents());
        break;
      case Datatype::kFp64:
        raw = RawOfTyped<double>(typed.fp64_contents());
        break;
      case Datatype::kFp16:
      case Datatype::kBf16:
        break;  // only in the raw form
      case Datatype::kBytes:
        for (const std::string& element : typed.bytes_contents()) {
          AppendRaw(static_cast<uint32_t>(element.size()), raw);
          raw += element;
        }
        break;
    }
  }
  std::optional<size_t> found;
  if (datatype == Datatype::kBytes) {
    found = CountBytesElements(raw);
  } else if (raw.size() % ElementBytes(datatype) == 0) {
    found = raw.size() / ElementBytes(datatype);
  }
  if (found == count) return raw;
  return absl::InvalidArgumentError(
      fmt::format("its contents have {}, but {} of shape {} has {} elements",
                  found ? fmt::format("{} elements", *found) : fmt::format("{} bytes, which do not add up", raw.size()),
                  output.datatype(), ShapeText(output.shape()), count));
}

void SetTypedElements(std::string_view raw, Datatype datatype, Output& output) {
  ::inference::InferTensorContents& typed = *output.mutable_contents();
  switch (datatype) {
    case Datatype::kBool:
      return TypedOfRaw<bool>(raw, *typed.mutable_bool_contents());
    case Datatype::kUint8:
      return TypedOfRaw<uint8_t>(raw, *typed.mutable_uint_contents());
    case Datatype::kUint16:
      return TypedOfRaw<uint16_t>(raw, *typed.mutable_uint_contents());
    case Datatype::kUint32:
      return TypedOfRaw<uint32_t>(raw, *typed.mutable_uint_contents());
    case Datatype::kUint64:
      return TypedOfRaw<uint64_t>(raw, *typed.mutable_uint64_contents());
    case Datatype::kInt8:
      return TypedOfRaw<int8_t>(raw, *typed.mutable_int_contents());
    case Datatype::kInt16:
      return TypedOfRaw<int16_t>(raw, *typed.mutable_int_contents());
    case Datatype::kInt32:
      return TypedOfRaw<int32_t>(raw, *typed.mutable_int_contents());
    case Datatype::kInt64:
      return TypedOfRaw<int64_t>(raw, *typed.mutable_int64_contents());
    case Datatype::kFp32:
      return TypedOfRaw<float>(raw, *typed.mutable_fp32_contents());
    case Datatype::kFp64:
      return TypedOfRaw<double>(raw, *typed.mutable_fp64_contents());
    case Datatype::kFp16:
    case Datatype::kBf16:
      return;
    case Datatype::kBytes:
      while (!raw.empty()) {
        const size_t size = RawAt<uint32_t>(raw, 0);
        raw.remove_prefix(sizeof(uint32_t));
        typed.add_bytes_contents(std::string(raw.substr(0, size)));
        raw.remove_prefix(size);
      }
  }
}

std::vector<long double> Numbers(std::string_view raw, Datatype datatype) {
  std::vector<long double> numbers;
  if (ElementBytes(datatype) != 0) numbers.reserve(raw.size() / ElementBytes(datatype));
  switch (datatype) {
    case Datatype::kUint8:
      AppendNumbers<uint8_t>(raw, numbers);
      break;
    case Datatype::kUint16:
      AppendNumbers<uint16_t>(raw, numbers);
      break;
    case Datatype::kUint32:
      AppendNumbers<uint32_t>(raw, numbers);
      break;
    case Datatype::kUint64:
      AppendNumbers<uint64_t>(raw, numbers);
      break;
    case Datatype::kInt8:
      AppendNumbers<int8_t>(raw, numbers);
      break;
    case Datatype::kInt16:
      AppendNumbers<int16_t>(raw, numbers);
      break;
    case Datatype::kInt32:
      AppendNumbers<int32_t>(raw, numbers);
      break;
    case Datatype::kInt64:
      AppendNumbers<int64_t>(raw, numbers);
      break;
    case Datatype::kFp32:
      AppendNumbers<float>(raw, numbers);
      break;
    case Datatype::kFp64:
      AppendNumbers<double>(raw, numbers);
      break;
    case Datatype::kFp16:
      for (size_t i = 0; i < raw.size() / 2; ++i) numbers.push_back(FloatOfHalf(RawAt<uint16_t>(raw, i)));
      break;
    case Datatype::kBf16:
      for (size_t i = 0; i < raw.size() / 2; ++i) numbers.push_back(FloatOfBf16(RawAt<uint16_t>(raw, i)));
      break;
    case Datatype::kBool:
    case Datatype::kBytes:
      break;
  }
  return numbers;
}

std::string RawOfNumbers(const std::vector<long double>& numbers, Datatype datatype) {
  std::string raw;
  raw.reserve(numbers.size() * ElementBytes(datatype));
  for (const long double number : numbers) {
    switch (datatype) {
      case Datatype::kUint8:
        AppendRaw(Rounded<uint8_t>(number), raw);
        break;
      case Datatype::kUint16:
        AppendRaw(Rounded<uint16_t>(number), raw);
        break;
      case Datatype::kUint32:
        AppendRaw(Rounded<uint32_t>(number), raw);
        break;
      case Datatype::kUint64:
        AppendRaw(Rounded<uint64_t>(number), raw);
        break;
      case Datatype::kInt8:
        AppendRaw(Rounded<int8_t>(number), raw);
        break;
      case Datatype::kInt16:
        AppendRaw(Rounded<int16_t>(number), raw);
        break;
      case Datatype::kInt32:
        AppendRaw(Rounded<int32_t>(number), raw);
        break;
      case Datatype::kInt64:
        AppendRaw(Rounded<int64_t>(number), raw);
        break;
      case Datatype::kFp16:
        AppendRaw(HalfOf(number), raw);
        break;
      case Datatype::kBf16:
        AppendRaw(Bf16Of(number), raw);
        break;
      case Datatype::kFp32:
        AppendRaw(static_cast<float>(number), raw);
        break;
      case Datatype::kFp64:
        AppendRaw(static_cast<double>(number), raw);
        break;
      case Datatype::kBool:
      case Datatype::kBytes:
        break;
    }
  }
  return raw;
}

}  // namespace signalbox::combine
