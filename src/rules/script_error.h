// What a script threw, in words and with its place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/rule_value.h"
#include "rules/rules.h"
#include "rules/source_texts.h"

struct JSContext;

namespace signalbox::rules {

struct ScriptError {
  std::string message;  // "TypeError: x is not a function"
  std::string file;     // of the rule set; empty when it was thrown elsewhere
  Place place;
  unsigned number = 0;  // of the engine's own messages (js/friend/ErrorNumbers.msg), else 0
};

// Takes the pending exception. nullopt when there is none: the script was stopped. Runs no code of the script.
std::optional<ScriptError> TakeError(JSContext* context, const SourceTexts& texts);

// Appends `error`. `what`: the beginning of the sentence, or empty. `file`, `fallback`: where to point when the error
// does not know.
void ReportError(const std::optional<ScriptError>& error, const std::string& file, const std::string& what,
                 Place fallback, std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
