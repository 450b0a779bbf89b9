// What those who check rule sets and those who run them agree on beyond the messages of api/signalbox/v1/rules.proto:
// one alphabet, one id of a model, one ObjectiveConfig for an answer, and their limits. Pure; every thread may call it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "signalbox/v1/objective_config.pb.h"
#include "signalbox/v1/rules.pb.h"

namespace signalbox::rule_set {

inline constexpr size_t kNameBytesMax = 200;
inline constexpr int kFallbacksMax = 8;
// gRPC hosts take 8 KiB of headers by default, and `sb-objective-config-bin` is a third longer than what is in it.
inline constexpr size_t kObjectiveConfigBytesMax = 4U << 10;
// Of one Objective's rules: what a decision walks through, and keeps room for.
inline constexpr size_t kExperimentsMax = 1'000;
inline constexpr size_t kLayersMax = 16;  // with the one of the experiments that name none
inline constexpr size_t kUnitsMax = 16;   // different ones, of its experiments, holdouts and shifts
inline constexpr size_t kHoldoutsMax = 32;
inline constexpr size_t kParameterRulesMax = 15;  // context rules that add parameters
inline constexpr size_t kOverridesMax = 100;
inline constexpr size_t kShadowsMax = 8;
inline constexpr size_t kRemoteAllocationsMax = 16;
// Shares, weights and allocations are in parts per million of the users.
inline constexpr uint32_t kEverybodyPpm = 1'000'000;
// Of what a condition holds: it is walked for every request, and its texts are held by every data plane.
inline constexpr int kConditionDepthMax = 16;
inline constexpr size_t kConditionTestsMax = 1000;
inline constexpr size_t kConditionTextsMax = 10'000;
inline constexpr size_t kConditionTextBytesMax = 1000;
// Of a regular expression: its text, and what RE2 may take for its program and automaton. More text needs more memory
// than this.
inline constexpr size_t kPatternBytesMax = 1000;
inline constexpr int64_t kPatternMemoryBytesMax = 1 << 20;
// Names of parameters that begin so belong to signalbox; rules may not use them.
inline constexpr std::string_view kReservedParameterPrefix = "sb_";

// 1 to kNameBytesMax letters, digits, '.', '_' and '-': what may stand in headers and in model ids.
bool IsName(std::string_view text);
// 1 to kNameBytesMax letters, digits and '_', the first one a letter: what can stand behind `Objectives.`.
bool IsObjectiveName(std::string_view text);

// `name@version`, or the name alone where there is no version; `ensemble:NAME` where an ensemble stands for a model.
std::string ModelId(const v1::ModelRef& ref);

// What goes to `model` with a request for `objective`. `experiment` and `cell` are nullptr, both, where the answer is
// no experiment's; what they say goes before what the Objective says.
v1::ObjectiveConfig ConfigOf(const v1::Objective& objective, const v1::ModelRef& model,
                             const v1::Experiment* experiment, const v1::Cell* cell);

}  // namespace signalbox::rule_set
