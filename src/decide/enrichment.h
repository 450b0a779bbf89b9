// The bytes that carry a decision inside a request, without reading the request.
//
// A serialised protobuf message followed by more fields is the merged message: of a singular field the last value wins,
// a map takes further entries. So what is made here once for each answer is appended to requests as it is.
#pragma once

#include <string>
#include <string_view>

#include "decide/decide.h"
#include "signalbox/v1/objective_config.pb.h"

namespace signalbox::decide {

// Deterministic: parameters and cells in order of their keys. What is empty is left out, so that of an overlay only
// that is written which it says.
std::string SerialiseObjectiveConfig(const v1::ObjectiveConfig& config);

// To be appended to an inference.ModelInferRequest: model_name, model_version, and in `parameters` sb_objective,
// sb_experiment, sb_cell, sb_model_input_type, sb_cell.ID of each experiment in `cells`, and every parameter of
// `config`, as string_param. All of signalbox's own fields are written even when they are empty, so that nothing that a
// client put there is left.
std::string OpenInferenceSuffix(const v1::ObjectiveConfig& config);

// The same of an overlay: its experiment and cell only where it has them, its cells, and its parameters.
std::string OpenInferenceOverlay(const v1::ObjectiveConfig& config);

// To be appended to a signalbox.v1.ServeRequest: objective_config, with every singular field written even when empty.
std::string ServeSuffix(const v1::ObjectiveConfig& config);

// What goes with a request to `answering`, which is the decision's answer, one of its fallbacks, a member of its
// ensemble or a shadow's: the answer's own bytes with the decision's overlays behind them, but that of the cell that
// chose the model only behind what the cell chose, and not behind fallbacks and shadows. Where there are none, the
// answer's own text is returned; else it is put together in `buffer`, which the caller keeps, so that nothing is
// allocated once it has grown.
std::string_view OpenInferenceSuffix(const Decision& decision, const Answer& answering, std::string& buffer);
std::string_view ServeSuffix(const Decision& decision, const Answer& answering, std::string& buffer);
std::string_view ObjectiveConfigBase64(const Decision& decision, const Answer& answering, std::string& buffer);

}  // namespace signalbox::decide
