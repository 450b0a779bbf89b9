// What a script threw, in words and with its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rules/rule_value.h"
#include "rules/source_lines.h"

struct JSContext;

namespace signalbox::rules {

struct ScriptError {
  std::string message;  // "TypeError: x is not a function"
  Place place;          // in the source that was given; unknown when it was thrown elsewhere
  unsigned number = 0;  // of the engine's own messages (js/friend/ErrorNumbers.msg), else 0
};

// Takes the pending exception. nullopt when there is none: the script was stopped. Runs no code of the script.
std::optional<ScriptError> TakeError(JSContext* context, std::string_view file, const SourceLines& lines);

}  // namespace signalbox::rules
