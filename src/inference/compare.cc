#include "inference/compare.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "inference/open_inference.pb.h"
#include "inference/tensor_elements.h"

namespace signalbox::compare {
namespace {

using combine::Datatype;
using combine::Output;

// Of what hosts say, in reasons.
constexpr size_t kNameBytesMax = 64;
constexpr size_t kElementTextBytesMax = 48;

// Text of a host that may be any bytes, made fit for a log: printable ASCII, and at most `bytes_max` of it.
std::string Printable(std::string_view text, size_t bytes_max) {
  std::string out(text.substr(0, bytes_max));
  for (char& c : out) {
    if (c < 0x20 || c == 0x7F) c = '?';  // char is signed: bytes above 0x7F are below 0x20
  }
  if (text.size() > bytes_max) out += "...";
  return out;
}

std::string NameOf(const Output& output) {
  return output.name().empty() ? "without a name" : Printable(output.name(), kNameBytesMax);
}

struct Tensor {
  const Output* output;
  Datatype datatype;
  size_t count;
  std::string raw;

  bool numeric() const { return datatype != Datatype::kBool && datatype != Datatype::kBytes; }
};

// An answer, parsed and checked.
struct Answer {
  inference::ModelInferResponse response;
  std::vector<Tensor> tensors;  // of response.outputs()

  const Tensor* Find(const std::string& name) const {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& one) { return one.output->name() == name; });
    return found == tensors.end() ? nullptr : &*found;
  }
};

absl::Status Parse(std::string_view bytes, Answer& answer) {
  if (bytes.size() > kResponseBytesMax) {
    return absl::InvalidArgumentError(fmt::format("is longer than {} bytes", kResponseBytesMax));
  }
  inference::ModelInferResponse& response = answer.response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not an inference.ModelInferResponse");
  }
  if (response.outputs_size() > kOutputsMax) {
    return absl::InvalidArgumentError(fmt::format("has more than {} outputs", kOutputsMax));
  }
  const int raw_count = response.raw_output_contents_size();
  if (raw_count > 0 && raw_count != response.outputs_size()) {
    return absl::InvalidArgumentError(
        fmt::format("has {} outputs and {} raw contents", response.outputs_size(), raw_count));
  }
  for (int i = 0; i < response.outputs_size(); ++i) {
    const Output& output = response.outputs(i);
    const absl::StatusOr<Tensor> tensor = [&]() -> absl::StatusOr<Tensor> {
      constexpr int kDimensionsMax = 32;
      if (output.shape_size() > kDimensionsMax) {
        return absl::InvalidArgumentError(fmt::format("its shape has more than {} dimensions", kDimensionsMax));
      }
      // A datatype's name is in the message of the error.
      if (output.datatype().size() > kNameBytesMax) return absl::InvalidArgumentError("its datatype is none");
      ASSIGN_OR_RETURN(const Datatype datatype, combine::ParseDatatype(output.datatype()));
      ASSIGN_OR_RETURN(const size_t count, combine::ElementCount(output.shape()));
      ASSIGN_OR_RETURN(
          std::string raw,
          combine::RawElements(output, datatype, count, raw_count == 0 ? nullptr : &response.raw_output_contents(i)));
      return Tensor{.output = &output, .datatype = datatype, .count = count, .raw = std::move(raw)};
    }();
    if (!tensor.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("is not valid: output {}: {}", NameOf(output), Printable(Message(tensor.status()), 200)));
    }
    answer.tensors.push_back(*tensor);
  }
  return absl::OkStatus();
}

Result NotComparable(std::string reason) { return {.verdict = Verdict::kNotComparable, .reason = std::move(reason)}; }
Result Disagree(std::string reason) { return {.verdict = Verdict::kDisagree, .reason = std::move(reason)}; }
Result Agree() { return {.verdict = Verdict::kAgree, .reason = {}}; }

uint32_t LengthAt(std::string_view raw, size_t place) {
  uint32_t length = 0;
  std::memcpy(&length, raw.data() + place, sizeof(length));
  return length;
}

// Of BYTES, where the element `index` begins. The contents were checked when they were read.
size_t PlaceOfBytes(std::string_view raw, size_t index) {
  size_t place = 0;
  for (; index > 0; --index) place += sizeof(uint32_t) + LengthAt(raw, place);
  return place;
}

std::string_view RawElement(const Tensor& tensor, size_t index) {
  if (tensor.datatype == Datatype::kBytes) {
    const size_t place = PlaceOfBytes(tensor.raw, index);
    return std::string_view(tensor.raw).substr(place + sizeof(uint32_t), LengthAt(tensor.raw, place));
  }
  const size_t bytes = combine::ElementBytes(tensor.datatype);
  return std::string_view(tensor.raw).substr(index * bytes, bytes);
}

std::string NumberText(long double number) {
  // Integers in all their digits; others as short as tells doubles apart.
  if (std::nearbyint(number) == number && std::fabs(number) < 0x1p64L) return fmt::format("{:.0f}", number);
  return fmt::format("{}", static_cast<double>(number));
}

std::string ElementText(const Tensor& tensor, size_t index) {
  const std::string_view raw = RawElement(tensor, index);
  if (tensor.datatype == Datatype::kBool) return raw[0] == 0 ? "false" : "true";
  if (tensor.datatype == Datatype::kBytes) return fmt::format("\"{}\"", Printable(raw, kElementTextBytesMax));
  return NumberText(combine::Numbers(raw, tensor.datatype).front());
}

Result ElementsDiffer(const Tensor& live, const Tensor& shadow, size_t index, std::string_view besides) {
  return Disagree(fmt::format("output {}, element {}: {} of the live answer, {} of the shadow's{}",
                              NameOf(*live.output), index, ElementText(live, index), ElementText(shadow, index),
                              besides));
}

// The first element that differs in its bytes, of raws that differ.
size_t FirstDifference(const Tensor& live, const Tensor& shadow) {
  const auto differs = std::mismatch(live.raw.begin(), live.raw.end(), shadow.raw.begin(), shadow.raw.end()).first;
  const auto place = static_cast<size_t>(differs - live.raw.begin());
  if (live.datatype != Datatype::kBytes) return place / combine::ElementBytes(live.datatype);
  size_t index = 0;
  for (size_t at = 0; at < live.raw.size(); ++index) {
    at += sizeof(uint32_t) + LengthAt(live.raw, at);
    if (at > place) break;
  }
  return index;
}

bool Near(long double live, long double shadow, const v1::Comparison::NumericTolerance& tolerance) {
  if (std::isnan(live) || std::isnan(shadow)) return std::isnan(live) && std::isnan(shadow);
  if (std::isinf(live) || std::isinf(shadow)) return live == shadow;
  return std::fabs(live - shadow) <= tolerance.absolute() + tolerance.relative() * std::fabs(live);
}

std::optional<Result> Difference(const v1::Comparison& by, const Tensor& live, const Tensor& shadow) {
  const std::string name = NameOf(*live.output);
  if (live.datatype != shadow.datatype) {
    return Disagree(fmt::format("output {} is {} of the live answer, {} of the shadow's", name, live.output->datatype(),
                                shadow.output->datatype()));
  }
  const auto& live_shape = live.output->shape();
  const auto& shadow_shape = shadow.output->shape();
  if (!std::equal(live_shape.begin(), live_shape.end(), shadow_shape.begin(), shadow_shape.end())) {
    return Disagree(fmt::format("output {} has shape {} of the live answer, {} of the shadow's", name,
                                combine::ShapeText(live_shape), combine::ShapeText(shadow_shape)));
  }
  if (live.raw == shadow.raw) return std::nullopt;
  if (!by.has_numeric() || !live.numeric()) return ElementsDiffer(live, shadow, FirstDifference(live, shadow), "");
  const std::vector<long double> live_numbers = combine::Numbers(live.raw, live.datatype);
  const std::vector<long double> shadow_numbers = combine::Numbers(shadow.raw, shadow.datatype);
  for (size_t i = 0; i < live_numbers.size(); ++i) {
    if (Near(live_numbers[i], shadow_numbers[i], by.numeric())) continue;
    const double allowed =
        by.numeric().absolute() + by.numeric().relative() * std::fabs(static_cast<double>(live_numbers[i]));
    return ElementsDiffer(live, shadow, i, fmt::format("; allowed is a difference of {:.6g}", allowed));
  }
  return std::nullopt;
}

Result CompareElements(const v1::Comparison& by, const Answer& live, const Answer& shadow) {
  for (const Tensor& tensor : shadow.tensors) {
    if (live.Find(tensor.output->name()) == nullptr) {
      return Disagree(fmt::format("the shadow's answer has an output {}, the live one has none of that name",
                                  NameOf(*tensor.output)));
    }
  }
  for (const Tensor& tensor : live.tensors) {
    const Tensor* other = shadow.Find(tensor.output->name());
    if (other == nullptr) {
      return Disagree(
          fmt::format("the live answer has an output {}, the shadow's has none of that name", NameOf(*tensor.output)));
    }
    if (std::optional<Result> difference = Difference(by, tensor, *other)) return *std::move(difference);
  }
  return Agree();
}

// Of each element, from 1; equal ones have the mean of theirs.
std::vector<double> Ranks(const std::vector<long double>& numbers) {
  std::vector<uint32_t> order(numbers.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return numbers[a] < numbers[b]; });
  std::vector<double> ranks(numbers.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin + 1;
    while (end < order.size() && numbers[order[end]] == numbers[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;
    for (; begin < end; ++begin) ranks[order[begin]] = rank;
  }
  return ranks;
}

// Spearman's: Pearson's correlation of the ranks.
double RankCorrelation(const std::vector<long double>& a, const std::vector<long double>& b) {
  const std::vector<double> ranks_a = Ranks(a);
  const std::vector<double> ranks_b = Ranks(b);
  const double mean = static_cast<double>(a.size() + 1) / 2;
  double product = 0;
  double square_a = 0;
  double square_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += (ranks_a[i] - mean) * (ranks_b[i] - mean);
    square_a += (ranks_a[i] - mean) * (ranks_a[i] - mean);
    square_b += (ranks_b[i] - mean) * (ranks_b[i] - mean);
  }
  if (square_a == 0 || square_b == 0) return square_a == square_b ? 1 : 0;
  // Rounding must not keep equal rankings below 1.
  return ranks_a == ranks_b ? 1 : std::clamp(product / (std::sqrt(square_a) * std::sqrt(square_b)), -1.0, 1.0);
}

std::optional<size_t> FirstNan(const std::vector<long double>& numbers) {
  const auto found =
      std::find_if(numbers.begin(), numbers.end(), [](long double number) { return std::isnan(number); });
  if (found == numbers.end()) return std::nullopt;
  return static_cast<size_t>(found - numbers.begin());
}

Result CompareRanks(double min, const Answer& live, const Answer& shadow) {
  if (live.tensors.empty()) return NotComparable("the live answer has no output");
  const Tensor& of_live = live.tensors.front();
  const std::string name = NameOf(*of_live.output);
  const Tensor* of_shadow = shadow.Find(of_live.output->name());
  if (of_shadow == nullptr) {
    return Disagree(fmt::format("the live answer has an output {}, the shadow's has none of that name", name));
  }
  if (!of_live.numeric() || !of_shadow->numeric()) {
    const Tensor& unranked = of_live.numeric() ? *of_shadow : of_live;
    return NotComparable(fmt::format("output {} is {}, which has no ranks", name, unranked.output->datatype()));
  }
  if (of_live.count < 2) {
    return NotComparable(fmt::format("output {} has {} elements: ranks need two", name, of_live.count));
  }
  if (of_live.count != of_shadow->count) {
    return Disagree(fmt::format("output {} has {} elements of the live answer, {} of the shadow's", name, of_live.count,
                                of_shadow->count));
  }
  const std::vector<long double> live_numbers = combine::Numbers(of_live.raw, of_live.datatype);
  const std::vector<long double> shadow_numbers = combine::Numbers(of_shadow->raw, of_shadow->datatype);
  if (const std::optional<size_t> nan = FirstNan(live_numbers)) {
    return NotComparable(fmt::format("output {}, element {} of the live answer is NaN, which has no rank", name, *nan));
  }
  if (const std::optional<size_t> nan = FirstNan(shadow_numbers)) return ElementsDiffer(of_live, *of_shadow, *nan, "");
  const double correlation = RankCorrelation(live_numbers, shadow_numbers);
  if (correlation >= min) return Agree();
  return Disagree(
      fmt::format("output {}: the rank correlation of its {} elements is {:.4g}, at least {:.4g} is expected", name,
                  of_live.count, correlation, min));
}

// That two outputs have one name makes "the output of that name" nothing.
std::optional<std::string_view> RepeatedName(const Answer& answer) {
  std::vector<std::string_view> names;
  for (const Tensor& tensor : answer.tensors) names.push_back(tensor.output->name());
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  if (repeated == names.end()) return std::nullopt;
  return *repeated;
}

}  // namespace

Result Compare(const v1::Comparison& by, std::string_view live, std::string_view shadow) {
  // What hosts send must not fill our log.
  static const google::protobuf::LogSilencer silence;
  Answer live_answer;
  Answer shadow_answer;
  for (const auto& [bytes, answer, whose] :
       {std::tuple(live, &live_answer, "the live answer"), std::tuple(shadow, &shadow_answer, "the shadow's answer")}) {
    if (absl::Status status = Parse(bytes, *answer); !status.ok()) {
      return NotComparable(fmt::format("{} {}", whose, Message(status)));
    }
    if (const auto repeated = RepeatedName(*answer)) {
      return NotComparable(fmt::format("{} has two outputs {}", whose, Printable(*repeated, kNameBytesMax)));
    }
  }
  if (live_answer.tensors.empty() && shadow_answer.tensors.empty())
    return NotComparable("neither answer has an output");
  if (by.has_rank()) return CompareRanks(by.rank().min(), live_answer, shadow_answer);
  return CompareElements(by, live_answer, shadow_answer);
}

std::string Describe(std::string_view response, size_t bytes_max) {
  Answer answer;
  if (absl::Status status = Parse(response, answer); !status.ok()) {
    return Printable(fmt::format("({} bytes; it {})", response.size(), Message(status)), bytes_max - 3);
  }
  std::string text;
  for (const Tensor& tensor : answer.tensors) {
    if (text.size() > bytes_max) break;
    text += fmt::format("{}{} {} {}:", text.empty() ? "" : "; ", NameOf(*tensor.output), tensor.output->datatype(),
                        combine::ShapeText(tensor.output->shape()));
    // BYTES are looked for from the front each time, but there are few that fit.
    for (size_t i = 0; i < tensor.count && text.size() <= bytes_max; ++i) text += ' ' + ElementText(tensor, i);
  }
  if (text.size() <= bytes_max) return text;
  text.resize(bytes_max - 3);
  return text + "...";
}

}  // namespace signalbox::compare
