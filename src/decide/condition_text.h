// Conditions in words, for explanations and for the effect of a change.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "signalbox/v1/condition.pb.h"

namespace signalbox::decide {

// `country in ("US", "CA") and not device is "tv"`. Of long lists only the first texts.
std::string ConditionText(const v1::Condition& condition);

// Names of the fields that it asks for, each once, in order.
std::vector<std::string_view> FieldsOf(const v1::Condition& condition);

}  // namespace signalbox::decide
