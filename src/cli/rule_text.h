// One rule in words, as `signalbox rules show` prints it. Each ends with a line end.
#pragma once

#include <string>
#include <string_view>

#include "signalbox/v1/rules.pb.h"

namespace signalbox::cli {

// "no cells", "1 cell", "2 cells".
std::string Plural(int count, std::string_view one, std::string_view many);

// `a=1 b=2`, sorted, without a line end.
std::string ParametersText(const google::protobuf::Map<std::string, std::string>& parameters);

// "from 2026-01-01T00:00:00Z: 1 % for 30 min, 100 %", without a line end.
std::string ScheduleText(const v1::RampSchedule& schedule);

// Rules of an Objective, indented below its name.
std::string OverrideText(const v1::Override& rule);
std::string ContextRuleText(const v1::ContextRule& rule);
std::string ExperimentText(const v1::Experiment& experiment, const v1::Objective& objective);
std::string ShiftText(const v1::TrafficShift& shift);
std::string ShadowText(const v1::Shadow& shadow);

// What several Objectives share.
std::string LayerText(const v1::Layer& layer);
std::string HoldoutText(const v1::Holdout& holdout);
std::string EnsembleText(const v1::Ensemble& ensemble);
std::string PolicyText(const v1::Policy& policy);

}  // namespace signalbox::cli
