// Whether a rule file is text at all.
#pragma once

#include <optional>

#include "rules/rules.h"

namespace signalbox::rules {

// The first place that is no UTF-8, or a NUL byte (which no editor writes), if there is one.
std::optional<Diagnostic> CheckText(const SourceFile& file);

}  // namespace signalbox::rules
