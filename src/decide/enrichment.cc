#include "decide/enrichment.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string_view>

#include "absl/strings/escaping.h"
#include "api/rule_set.h"
#include "inference/open_inference.pb.h"
#include "signalbox/v1/serving.pb.h"

namespace signalbox::decide {
namespace {

using inference::InferParameter;
using inference::ModelInferRequest;
using v1::ObjectiveConfig;

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Written by hand because protobuf leaves out what is empty, and an empty value must override a client's as well.
void AppendTag(int field_number, size_t content_bytes, std::string& out) {
  constexpr uint64_t kLengthDelimited = 2;
  AppendVarint(static_cast<uint64_t>(field_number) << 3 | kLengthDelimited, out);
  AppendVarint(content_bytes, out);
}

void AppendField(int field_number, std::string_view content, std::string& out) {
  AppendTag(field_number, content.size(), out);
  out.append(content);
}

std::string MapEntry(std::string_view key, std::string_view value) {
  std::string entry;
  AppendField(1, key, entry);
  AppendField(2, value, entry);
  return entry;
}

void AppendInferParameter(std::string_view key, std::string_view value, std::string& out) {
  std::string parameter;
  AppendField(InferParameter::kStringParamFieldNumber, value, parameter);
  AppendField(ModelInferRequest::kParametersFieldNumber, MapEntry(key, parameter), out);
}

// protobuf's maps have no order; the bytes of an answer must.
std::map<std::string_view, std::string_view> Sorted(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

void AppendObjectiveConfig(const ObjectiveConfig& config, bool with_empty_fields, std::string& out) {
  auto append = [&](int field_number, const std::string& value) {
    if (with_empty_fields || !value.empty()) AppendField(field_number, value, out);
  };
  append(ObjectiveConfig::kObjectiveFieldNumber, config.objective());
  append(ObjectiveConfig::kModelNameFieldNumber, config.model_name());
  append(ObjectiveConfig::kModelVersionFieldNumber, config.model_version());
  append(ObjectiveConfig::kExperimentFieldNumber, config.experiment());
  append(ObjectiveConfig::kCellFieldNumber, config.cell());
  append(ObjectiveConfig::kModelInputTypeFieldNumber, config.model_input_type());
  append(ObjectiveConfig::kModelTypeFieldNumber, config.model_type());
  for (const auto& [key, value] : Sorted(config.parameters()))
    AppendField(ObjectiveConfig::kParametersFieldNumber, MapEntry(key, value), out);
  for (const auto& [experiment, cell] : Sorted(config.cells()))
    AppendField(ObjectiveConfig::kCellsFieldNumber, MapEntry(experiment, cell), out);
}

// Calls `append` with each overlay of the decision that goes to `answering`.
template <typename Append>
void ForEachOverlay(const Decision& decision, const Answer& answering, const Append& append) {
  // Fallbacks and shadows are no choice of the experiment, and have none.
  const bool is_of_experiment = !answering.experiment.empty();
  for (const Overlay* overlay : decision.overlays) {
    if (is_of_experiment || !overlay->is_of_choosing_cell) append(*overlay);
  }
}

// What is a map in ObjectiveConfig.
void AppendMaps(const ObjectiveConfig& config, std::string& out) {
  for (const auto& [experiment, cell] : Sorted(config.cells()))
    AppendInferParameter("sb_cell." + std::string(experiment), cell, out);
  for (const auto& [key, value] : Sorted(config.parameters())) AppendInferParameter(key, value, out);
}

}  // namespace

std::string SerialiseObjectiveConfig(const ObjectiveConfig& config) {
  std::string out;
  AppendObjectiveConfig(config, /*with_empty_fields=*/false, out);
  return out;
}

std::string OpenInferenceSuffix(const ObjectiveConfig& config) {
  std::string out;
  AppendField(ModelInferRequest::kModelNameFieldNumber, config.model_name(), out);
  AppendField(ModelInferRequest::kModelVersionFieldNumber, config.model_version(), out);
  AppendInferParameter("sb_objective", config.objective(), out);
  AppendInferParameter("sb_experiment", config.experiment(), out);
  AppendInferParameter("sb_cell", config.cell(), out);
  AppendInferParameter("sb_model_input_type", config.model_input_type(), out);
  AppendMaps(config, out);
  return out;
}

std::string OpenInferenceOverlay(const ObjectiveConfig& config) {
  std::string out;
  if (!config.experiment().empty()) AppendInferParameter("sb_experiment", config.experiment(), out);
  if (!config.cell().empty()) AppendInferParameter("sb_cell", config.cell(), out);
  if (!config.model_input_type().empty()) AppendInferParameter("sb_model_input_type", config.model_input_type(), out);
  AppendMaps(config, out);
  return out;
}

std::string ServeSuffix(const ObjectiveConfig& config) {
  std::string nested;
  AppendObjectiveConfig(config, /*with_empty_fields=*/true, nested);
  std::string out;
  AppendField(v1::ServeRequest::kObjectiveConfigFieldNumber, nested, out);
  return out;
}

std::string_view OpenInferenceSuffix(const Decision& decision, const Answer& answering, std::string& buffer) {
  if (decision.overlays.empty()) return answering.open_inference_suffix;
  buffer.assign(answering.open_inference_suffix);
  ForEachOverlay(decision, answering, [&](const Overlay& each) { buffer.append(each.open_inference_suffix); });
  return buffer;
}

std::string_view ServeSuffix(const Decision& decision, const Answer& answering, std::string& buffer) {
  if (decision.overlays.empty()) return answering.serve_suffix;
  // A second objective_config behind the first is merged with it, field by field.
  buffer.assign(answering.serve_suffix);
  size_t bytes = 0;
  ForEachOverlay(decision, answering, [&](const Overlay& each) { bytes += each.objective_config.size(); });
  AppendTag(v1::ServeRequest::kObjectiveConfigFieldNumber, bytes, buffer);
  ForEachOverlay(decision, answering, [&](const Overlay& each) { buffer.append(each.objective_config); });
  return buffer;
}

std::string_view ObjectiveConfigBase64(const Decision& decision, const Answer& answering, std::string& buffer) {
  if (decision.overlays.empty()) return answering.objective_config_base64;
  // At most kObjectiveConfigBytesMax, so it is put together on the stack.
  std::array<char, rule_set::kObjectiveConfigBytesMax> whole;
  size_t bytes = 0;
  const auto append = [&](std::string_view part) {
    part = part.substr(0, whole.size() - bytes);
    std::copy(part.begin(), part.end(), whole.begin() + static_cast<ptrdiff_t>(bytes));
    bytes += part.size();
  };
  append(answering.objective_config);
  ForEachOverlay(decision, answering, [&](const Overlay& each) { append(each.objective_config); });
  absl::Base64Escape(absl::string_view(whole.data(), bytes), &buffer);
  return buffer;
}

}  // namespace signalbox::decide
