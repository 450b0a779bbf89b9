// The `when` of rule files: conditions that read as sentences, made into plain data (when.js).
#pragma once

#include "rules/spidermonkey.h"

namespace signalbox::rules {

// The name under which the script's frames appear on a stack.
inline constexpr char kWhenScriptName[] = "when";

// Defines `when` in `global`, which has its standard classes and has run nothing yet. False with an exception pending,
// or when stopped.
bool DefineWhen(JSContext* context, JS::HandleObject global);

}  // namespace signalbox::rules
