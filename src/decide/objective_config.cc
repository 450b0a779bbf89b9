#include "decide/objective_config.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <map>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"

namespace signalbox::decide {
namespace {

std::string SerializeDeterministically(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

void AppendVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// A length-delimited field, written also when it is empty: an empty value must override one that the client had set,
// and proto3's own serialiser leaves empty fields out.
void AppendField(uint32_t number, std::string_view value, std::string& out) {
  constexpr uint32_t kLengthDelimited = 2;
  AppendVarint(number << 3 | kLengthDelimited, out);
  AppendVarint(value.size(), out);
  out.append(value);
}

// One entry of ModelInferRequest.parameters: key, and InferParameter{string_param}.
void AppendParameter(std::string_view key, std::string_view value, std::string& out) {
  constexpr uint32_t kParameters = 4, kKey = 1, kValue = 2, kStringParam = 3;
  std::string parameter, entry;
  AppendField(kStringParam, value, parameter);
  AppendField(kKey, key, entry);
  AppendField(kValue, parameter, entry);
  AppendField(kParameters, entry, out);
}

std::string OpenInferenceSuffix(const v1::ObjectiveConfig& config) {
  constexpr uint32_t kModelName = 1, kModelVersion = 2;
  std::string suffix;
  AppendField(kModelName, config.model_name(), suffix);
  AppendField(kModelVersion, config.model_version(), suffix);
  // signalbox's own names last among equals: a rule's parameter of that name does not hide them (std::map keeps the
  // last assignment).
  std::map<std::string, std::string> parameters(config.parameters().begin(), config.parameters().end());
  parameters["sb_objective"] = config.objective();
  parameters["sb_experiment"] = config.experiment();
  parameters["sb_cell"] = config.cell();
  parameters["sb_model_input_type"] = config.model_input_type();
  for (const auto& [key, value] : parameters) AppendParameter(key, value, suffix);
  return suffix;
}

}  // namespace

void SerializeInto(const v1::ObjectiveConfig& config, Answer& answer) {
  constexpr uint32_t kServeRequestObjectiveConfig = 15;
  answer.objective_config = SerializeDeterministically(config);
  // gRPC's "-bin" headers: base64 without padding is what its implementations send, and all of them accept.
  answer.objective_config_base64 = absl::Base64Escape(answer.objective_config);
  while (answer.objective_config_base64.ends_with('=')) answer.objective_config_base64.pop_back();
  answer.open_inference_suffix = OpenInferenceSuffix(config);
  AppendField(kServeRequestObjectiveConfig, answer.objective_config, answer.serve_suffix);
}

}  // namespace signalbox::decide
