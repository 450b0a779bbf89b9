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
// Shares, weights and allocations are in parts per million of the users.
inline constexpr uint32_t kEverybodyPpm = 1'000'000;
// Names of parameters that begin so belong to signalbox; rules may not use them.
inline constexpr std::string_view kReservedParameterPrefix = "sb_";

// 1 to kNameBytesMax letters, digits, '.', '_' and '-': what may stand in headers and in model ids.
bool IsName(std::string_view text);
// 1 to kNameBytesMax letters, digits and '_', the first one a letter: what can stand behind `Objectives.`.
bool IsObjectiveName(std::string_view text);

// `name@version`, or the name alone where there is no version.
std::string ModelId(const v1::ModelRef& ref);

// What goes to `model` with a request for `objective`. `experiment` and `cell` are nullptr, both, where the answer is
// no experiment's; what they say goes before what the Objective says.
v1::ObjectiveConfig ConfigOf(const v1::Objective& objective, const v1::ModelRef& model,
                             const v1::Experiment* experiment, const v1::Cell* cell);

}  // namespace signalbox::rule_set
