// Runs the files of a rule set and takes out what they declare.
#pragma once

#include <span>
#include <vector>

#include "rules/rule_value.h"
#include "rules/rules.h"

struct JSContext;

namespace signalbox::rules {

// Runs `files` and appends their rules to `rules`, in order of declaration, and what is wrong to `diagnostics`. A
// script has a global object of its own and sees nothing of the others; modules see what they import (rule_modules.h).
// Returns early when the engine was stopped.
void RunRuleFiles(JSContext* context, std::span<const SourceFile> files, std::vector<DeclaredRule>& rules,
                  std::vector<Diagnostic>& diagnostics);

}  // namespace signalbox::rules
