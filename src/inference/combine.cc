#include "inference/combine.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"
#include "inference/open_inference.pb.h"
#include "inference/tensor_elements.h"

namespace signalbox::combine {
namespace {

// One member's answer, parsed and checked.
struct Parsed {
  std::string_view model;
  double weight;
  ::inference::ModelInferResponse response;
  bool is_raw;
  struct Tensor {
    Datatype datatype;
    std::string raw;
  };
  std::vector<Tensor> tensors;  // of response.outputs()
};

absl::Status Invalid(std::string_view model, const Output& output, const absl::Status& why) {
  return absl::InternalError(
      fmt::format("the answer of model {} is not valid: output {}: {}", model, output.name(), Message(why)));
}

absl::StatusOr<Parsed> Parse(const MemberAnswer& answer) {
  Parsed parsed{.model = answer.model, .weight = answer.weight, .response = {}, .is_raw = false, .tensors = {}};
  ::inference::ModelInferResponse& response = parsed.response;
  if (!response.ParseFromArray(answer.response.data(), static_cast<int>(answer.response.size()))) {
    return absl::InternalError(
        fmt::format("the answer of model {} is not valid: it is no inference.ModelInferResponse", answer.model));
  }
  const int raw_count = response.raw_output_contents_size();
  parsed.is_raw = raw_count > 0;
  if (parsed.is_raw && raw_count != response.outputs_size()) {
    return absl::InternalError(fmt::format("the answer of model {} is not valid: it has {} outputs and {} raw contents",
                                           answer.model, response.outputs_size(), raw_count));
  }
  for (int i = 0; i < response.outputs_size(); ++i) {
    const Output& output = response.outputs(i);
    const absl::StatusOr<Datatype> datatype = ParseDatatype(output.datatype());
    if (!datatype.ok()) return Invalid(answer.model, output, datatype.status());
    const absl::StatusOr<size_t> count = ElementCount(output.shape());
    if (!count.ok()) return Invalid(answer.model, output, count.status());
    absl::StatusOr<std::string> raw =
        RawElements(output, *datatype, *count, parsed.is_raw ? &response.raw_output_contents(i) : nullptr);
    if (!raw.ok()) return Invalid(answer.model, output, raw.status());
    parsed.tensors.push_back({.datatype = *datatype, .raw = *std::move(raw)});
  }
  return parsed;
}

absl::StatusOr<std::vector<Parsed>> ParseAll(std::span<const MemberAnswer> answers) {
  if (answers.empty()) return absl::FailedPreconditionError("there is no answer to combine");
  std::vector<Parsed> all;
  for (const MemberAnswer& answer : answers) {
    ASSIGN_OR_RETURN(Parsed parsed, Parse(answer));
    all.push_back(std::move(parsed));
  }
  return all;
}

// The place of the one output of that name.
absl::StatusOr<int> FindOutput(const Parsed& in, const std::string& name) {
  std::optional<int> found;
  for (int i = 0; i < in.response.outputs_size(); ++i) {
    if (in.response.outputs(i).name() != name) continue;
    if (found) return absl::FailedPreconditionError(fmt::format("model {} answers output {} twice", in.model, name));
    found = i;
  }
  if (!found) return absl::FailedPreconditionError(fmt::format("model {} does not answer output {}", in.model, name));
  return *found;
}

absl::Status CheckAlike(const Parsed& a, const Output& output_a, const Parsed& b, const Output& output_b) {
  if (output_a.datatype() != output_b.datatype()) {
    return absl::FailedPreconditionError(fmt::format("output {} is {} of model {} and {} of model {}", output_a.name(),
                                                     output_a.datatype(), a.model, output_b.datatype(), b.model));
  }
  const bool same_shape =
      std::equal(output_a.shape().begin(), output_a.shape().end(), output_b.shape().begin(), output_b.shape().end());
  if (same_shape) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("output {} has shape {} of model {} and {} of model {}",
                                                   output_a.name(), ShapeText(output_a.shape()), a.model,
                                                   ShapeText(output_b.shape()), b.model));
}

// The elements of output `index` of the first answer, combined with those of the same name in all others.
absl::StatusOr<std::string> MeanOf(const std::vector<Parsed>& all, int index, long double weights) {
  const Parsed& first = all.front();
  const Output& output = first.response.outputs(index);
  const Parsed::Tensor& tensor = first.tensors[static_cast<size_t>(index)];
  const bool has_mean = tensor.datatype != Datatype::kBool && tensor.datatype != Datatype::kBytes;
  std::vector<long double> sums;
  for (const Parsed& parsed : all) {
    ASSIGN_OR_RETURN(const int place, FindOutput(parsed, output.name()));
    RETURN_IF_ERROR(CheckAlike(first, output, parsed, parsed.response.outputs(place)));
    const std::string& raw = parsed.tensors[static_cast<size_t>(place)].raw;
    if (!has_mean) {
      if (raw == tensor.raw) continue;
      return absl::FailedPreconditionError(
          fmt::format("output {} is {}, which has no mean, and models {} and {} answer different values", output.name(),
                      output.datatype(), first.model, parsed.model));
    }
    const std::vector<long double> numbers = Numbers(raw, tensor.datatype);
    // From nothing, not from 0: with that, -0 would become 0.
    sums.resize(numbers.size(), -0.0L);
    for (size_t i = 0; i < numbers.size(); ++i) sums[i] += numbers[i] * parsed.weight;
  }
  if (!has_mean) return tensor.raw;
  for (long double& sum : sums) sum /= weights;
  return RawOfNumbers(sums, tensor.datatype);
}

using Parameters = google::protobuf::Map<std::string, ::inference::InferParameter>;

// Drops from `kept` what `other` does not have, or has otherwise.
void KeepCommon(Parameters& kept, const Parameters& other) {
  for (auto parameter = kept.begin(); parameter != kept.end();) {
    const auto same = other.find(parameter->first);
    const bool keep = same != other.end() && same->second.SerializeAsString() == parameter->second.SerializeAsString();
    parameter = keep ? std::next(parameter) : kept.erase(parameter);
  }
}

void SetElements(std::string raw, Datatype datatype, bool is_raw, ::inference::ModelInferResponse& response) {
  Output& output = *response.mutable_outputs(response.outputs_size() - 1);
  output.clear_contents();
  if (is_raw) return static_cast<void>(response.add_raw_output_contents(std::move(raw)));
  SetTypedElements(raw, datatype, output);
}

}  // namespace

absl::StatusOr<std::string> Mean(std::string_view name, std::span<const MemberAnswer> answers) {
  ASSIGN_OR_RETURN(const std::vector<Parsed> all, ParseAll(answers));
  const Parsed& first = all.front();
  ::inference::ModelInferResponse combined;
  combined.set_model_name(std::string(name));
  combined.set_id(first.response.id());
  *combined.mutable_parameters() = first.response.parameters();
  long double weights = 0;
  for (const Parsed& parsed : all) {
    weights += parsed.weight;
    if (parsed.response.id() != combined.id()) combined.clear_id();
    KeepCommon(*combined.mutable_parameters(), parsed.response.parameters());
    // What the first does not have is not looked for below.
    for (const Output& output : parsed.response.outputs()) RETURN_IF_ERROR(FindOutput(first, output.name()).status());
  }
  for (int i = 0; i < first.response.outputs_size(); ++i) {
    ASSIGN_OR_RETURN(std::string raw, MeanOf(all, i, weights));
    *combined.add_outputs() = first.response.outputs(i);
    SetElements(std::move(raw), first.tensors[static_cast<size_t>(i)].datatype, first.is_raw, combined);
  }
  return combined.SerializeAsString();
}

absl::StatusOr<std::string> Labelled(std::string_view name, std::span<const MemberAnswer> answers) {
  ASSIGN_OR_RETURN(std::vector<Parsed> all, ParseAll(answers));
  const bool is_raw = std::any_of(all.begin(), all.end(), [](const Parsed& parsed) { return parsed.is_raw; });
  ::inference::ModelInferResponse combined;
  combined.set_model_name(std::string(name));
  combined.set_id(all.front().response.id());
  for (Parsed& parsed : all) {
    if (parsed.response.id() != combined.id()) combined.clear_id();
    for (const auto& [key, value] : parsed.response.parameters()) {
      (*combined.mutable_parameters())[fmt::format("{}/{}", parsed.model, key)] = value;
    }
    for (int i = 0; i < parsed.response.outputs_size(); ++i) {
      Output& output = *combined.add_outputs() = std::move(*parsed.response.mutable_outputs(i));
      output.set_name(fmt::format("{}/{}", parsed.model, output.name()));
      Parsed::Tensor& tensor = parsed.tensors[static_cast<size_t>(i)];
      SetElements(std::move(tensor.raw), tensor.datatype, is_raw, combined);
    }
  }
  return combined.SerializeAsString();
}

}  // namespace signalbox::combine
